package pace

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
)

// A cheap sleep of up to briefly [ns] keeps its processor of Go's scheduler, as long as no more than mayKeep threads do. The scheduler's
// monitor takes back that of a thread which sleeps in a system call that it was told of, and looks every 20 µs meanwhile: for brief
// sleeps, one after the other, that costs more than they do.
const (
	briefly = 2_500_000
	mayKeep = leastProcessors / 2
)

var keeping atomic.Int32

// newSleep gives a sleep to an absolute time of clock.Mono, which may wake early when a signal comes.
func newSleep(cheap bool) func(until int64) int64 {
	offset := monotonicOffset()
	return func(until int64) int64 {
		at := unix.NsecToTimespec(until + offset)
		keep := cheap && until-clock.Mono() <= briefly
		if keep {
			keep = keeping.Add(1) <= mayKeep
			defer keeping.Add(-1)
		}
		if keep {
			_, _, _ = unix.RawSyscall6(unix.SYS_CLOCK_NANOSLEEP, unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, uintptr(unsafe.Pointer(&at)), 0, 0, 0)
		} else {
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil)
		}
		return clock.Mono()
	}
}

// monotonicOffset is CLOCK_MONOTONIC minus clock.Mono, to some ten nanoseconds: of a few readings, the one with the least time
// around it.
func monotonicOffset() int64 {
	var offset, width int64
	for i := range 10 {
		var raw unix.Timespec
		before := clock.Mono()
		unix.ClockGettime(unix.CLOCK_MONOTONIC, &raw)
		after := clock.Mono()
		if i == 0 || after-before < width {
			width = after - before
			offset = raw.Nano() - (before + width/2)
		}
	}
	return offset
}

// fineTimers asks for wake-ups without slack for the calling thread, and gives what takes that back.
func fineTimers() (restore func()) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) != nil {
		return func() {}
	}
	return func() { unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) }
}

// raised is the nice value that a pinned thread asks for: urgent, and yet below the kernel's threads.
const raised = -10

// raisePriority asks for a higher priority of the calling thread, and gives what takes that back.
func raisePriority() (restore func()) {
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy != unix.SCHED_NORMAL || before.Nice <= raised {
		return func() {} // somebody has chosen already
	}
	wanted := *before
	wanted.Nice = raised
	if unix.SchedSetAttr(0, &wanted, 0) != nil {
		return func() {}
	}
	return func() { _ = unix.SchedSetAttr(0, before, 0) } // back is always allowed
}

// Yield lets another thread that waits for this processor have it first. Go's scheduler is not told.
func Yield() { _, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
