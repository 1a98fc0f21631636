package pace

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
)

// TestPinTakesPriorityBack: a pinned thread is urgent where that is allowed, and afterwards what it was before.
func TestPinTakesPriorityBack(t *testing.T) {
	nice := func() int32 {
		a, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return 0
		}
		return a.Nice
	}
	type seen struct{ before, pinned, twice, once, after int32 }
	done := make(chan seen)
	go func() {
		var s seen
		thread := Pin() // keeps the goroutine on one thread while it looks
		s.pinned = nice()
		inner := Pin()
		s.twice = nice()
		inner()
		s.once = nice()
		thread()
		done <- s
	}()
	s := <-done
	if s.twice != s.pinned || s.once != s.pinned {
		t.Errorf("pinned %d, pinned twice %d, once again %d; want the same", s.pinned, s.twice, s.once)
	}
	if unix.Geteuid() == 0 && s.pinned != raised {
		t.Errorf("root's pinned thread has nice %d, want %d", s.pinned, raised)
	}
	go func() { // the outer lock keeps the thread after Pin has released its own
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var s seen
		s.before = nice()
		Pin()()
		s.after = nice()
		done <- s
	}()
	if s := <-done; s.after != s.before {
		t.Errorf("afterwards the thread has nice %d, before %d", s.after, s.before)
	}
}

// TestCheapSleeps: brief sleeps and long ones last until the time they were given, on a pinned thread, too, and leave processors of Go's
// scheduler to others.
func TestCheapSleeps(t *testing.T) {
	defer Pin()()
	if n := runtime.GOMAXPROCS(0); n < 4 {
		t.Errorf("%d processors beside pinned threads; want 4 at least", n)
	}
	p, err := New(Config{Schedule: Constant(0, Rate{1, time.Second}), Cheap: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int64{briefly / 10, briefly / 2, 2 * briefly} {
		for range 20 {
			due := clock.Mono() + length
			if now, err := p.Wait(t.Context(), due); err != nil || now < due {
				t.Fatalf("a sleep of %d ns ended %d ns early (%v)", length, due-now, err)
			}
		}
	}
}
