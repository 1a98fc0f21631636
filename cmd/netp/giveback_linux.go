package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// giveBack has the kernel take the pages of the program out of this process's memory. It maps them again when they are touched, with
// what lies around: nothing depends on this, and what fails is left as it is.
func giveBack() {
	for _, p := range programParts() {
		_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, p.start, p.end-p.start, unix.MADV_DONTNEED)
	}
}

// part is a range of addresses.
type part struct{ start, end uintptr }

// programParts are where this program's file is in memory, those parts that are never written to.
var programParts = sync.OnceValue(func() (parts []part) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil
	}
	file, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var p part
		var access string
		_, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &p.start, &p.end, &access)
		if err == nil && !strings.Contains(access, "w") && strings.HasSuffix(lines.Text(), " "+program) {
			parts = append(parts, p)
		}
	}
	return parts
})
