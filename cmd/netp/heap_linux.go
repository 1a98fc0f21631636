package main

import (
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// roomyHeap is how much of the heap comes in large pages: what large suites take [B].
const roomyHeap = 192 << 20

// roomy has the kernel give the heap large pages, where it does so on demand only. Loading a large suite touches its memory for the
// first time, and one page fault for every 4 KiB of it takes longer than the collector. What is allocated here is never touched: the
// heap goes on to use the addresses.
func roomy() {
	var space unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &space) != nil || space.Cur != unix.RLIM_INFINITY {
		return // where addresses are few they are not for this
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	_ = unix.Madvise(make([]byte, roomyHeap), unix.MADV_HUGEPAGE) // an advice: nothing depends on it
}
