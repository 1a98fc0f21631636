package pace

import (
	"runtime"
	"sync"
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

// TestCheapSleeps: brief sleeps and long ones last until the time they were given, also when many threads sleep at once, and leave
// processors of Go's scheduler to others.
func TestCheapSleeps(t *testing.T) {
	var all sync.WaitGroup
	for range 2 * leastProcessors {
		all.Go(func() {
			defer Pin()()
			p, err := New(Config{Schedule: Constant(0, Rate{1, time.Second}), Cheap: true})
			if err != nil {
				t.Error(err)
				return
			}
			for _, length := range []int64{briefly / 10, briefly / 2, 2 * briefly} {
				for range 20 {
					due := clock.Mono() + length
					if now, err := p.Wait(t.Context(), due); err != nil || now < due {
						t.Errorf("a sleep of %d ns ended %d ns early (%v)", length, due-now, err)
					}
				}
			}
		})
	}
	all.Wait()
	if n := runtime.GOMAXPROCS(0); n < leastProcessors {
		t.Errorf("%d processors beside pinned threads; want %d at least", n, leastProcessors)
	}
	if n := keeping.Load(); n != 0 {
		t.Errorf("%d threads keep a processor when none sleeps", n)
	}
}
