package pace

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestPinTakesPriorityBack: a loop that seldom runs is real-time, a busy one is not, and afterwards all is as it was.
func TestPinTakesPriorityBack(t *testing.T) {
	look := func() unix.SchedAttr {
		a, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return unix.SchedAttr{}
		}
		return unix.SchedAttr{Policy: a.Policy, Nice: a.Nice}
	}
	done := make(chan [2]unix.SchedAttr)
	go func() {
		outer := Pin(1) // so that all is looked at on one thread
		busy := look()
		outer()
		outer = Pin(0)
		seldom := look()
		inner := Pin(1)
		both := look()
		inner()
		kept := look()
		outer()
		if kept != seldom || both != seldom {
			t.Errorf("within a pinned loop another is %+v, and leaves %+v; want %+v", both, kept, seldom)
		}
		done <- [2]unix.SchedAttr{busy, seldom}
	}()
	seen := <-done
	if unix.Geteuid() != 0 {
		return // what is granted without privilege is the system's affair
	}
	if seen[0].Policy != unix.SCHED_NORMAL || seen[0].Nice > raised {
		t.Errorf("a busy loop has %+v; want an ordinary policy and at most nice %d", seen[0], raised)
	}
	if seen[1].Policy != unix.SCHED_FIFO {
		t.Errorf("a loop that seldom runs has %+v; want a real-time policy", seen[1])
	}
}

// TestPinGivesUp: whatever was granted is taken back, also without privilege.
func TestPinGivesUp(t *testing.T) {
	for _, d := range []Duty{0, 1} {
		done := make(chan unix.SchedAttr)
		go func() {
			Pin(d)()
			a, err := unix.SchedGetAttr(0, 0)
			if err != nil {
				t.Error(err)
				a = new(unix.SchedAttr)
			}
			done <- *a
		}()
		if a := <-done; a.Policy != unix.SCHED_NORMAL || a.Nice < 0 {
			t.Errorf("after a loop with duty %v its thread has %+v; want an ordinary priority", d, a)
		}
	}
}
