package agent

import (
	"os"
	"strconv"
	"strings"

	"github.com/netpupper/netp"
)

// systemChecks reads what the kernel says. What cannot be read is left out.
func systemChecks() []netp.Check {
	var out []netp.Check
	if limit, ok := number("/proc/sys/net/core/rmem_max"); ok {
		out = append(out, bufferCheck(int(limit)))
	}
	if load, ok := number("/proc/loadavg"); ok {
		out = append(out, loadCheck(load))
	}
	return out
}

// number reads a file that begins with a number.
func number(file string) (float64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.ParseFloat(word, 64)
	return n, err == nil
}
