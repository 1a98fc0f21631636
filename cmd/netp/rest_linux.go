package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// rest gives back the memory that only the start of a daemon needed. Most of it is pages of the program itself: starting touches
// every package, and the kernel maps what lies around. What is needed again is mapped again when it is touched, so nothing depends
// on this, and what fails is left as it is.
func rest() {
	parts := programParts()
	debug.FreeOSMemory()
	for _, p := range parts {
		_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, p.start, p.end-p.start, unix.MADV_DONTNEED)
	}
}

// part is a range of addresses.
type part struct{ start, end uintptr }

// programParts are where this program's file is in memory, those parts that are never written to.
func programParts() (parts []part) {
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
}
