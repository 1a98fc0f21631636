package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestGiveBack(t *testing.T) {
	if len(programParts()) == 0 {
		t.Fatal("no part of the program was found in memory")
	}
	for _, p := range programParts() {
		_, _, _ = unix.RawSyscall(unix.SYS_MADVISE, p.start, p.end-p.start, unix.MADV_POPULATE_READ) // before Linux 5.14 it does nothing
	}
	before := fileMemory(t)
	giveBack()
	if after := fileMemory(t); after >= before {
		t.Errorf("%d kB of files are in memory, of %d kB before", after, before)
	}
}

// fileMemory is how much of files the process has in memory [kB].
func fileMemory(t *testing.T) (kilobytes int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	if _, err := fmt.Sscan(rest, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes
}
