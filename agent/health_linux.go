package agent

import (
	"fmt"
	"os"

	"github.com/netpupper/netp"
)

// systemChecks reads what the kernel says. What cannot be read is left out.
func systemChecks() []netp.Check {
	var out []netp.Check
	var limit int
	if scan("/proc/sys/net/core/rmem_max", &limit) {
		out = append(out, bufferCheck(limit))
	}
	var load float64
	if scan("/proc/loadavg", &load) {
		out = append(out, loadCheck(load))
	}
	return out
}

// scan reads the first word of a file.
func scan(file string, into any) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	_, err = fmt.Sscan(string(text), into)
	return err == nil
}
