//go:build netptest

package clock

import (
	"sync/atomic"
	"time"
)

// Fault is how a clock is wrong.
type Fault struct {
	Offset time.Duration // ahead of the true time from the beginning
	Drift  float64       // parts per million too fast, from the moment of Inject
	Step   time.Duration // jumps ahead by this much ...
	StepAt time.Time     // ... at this true time
}

type fault struct {
	active atomic.Pointer[injected]
}

type injected struct {
	Fault
	since int64 // Unix nanoseconds of the true clock
}

// Inject makes the clock wrong from now on; the zero Fault makes it right again.
func (c *Clock) Inject(f Fault) {
	if f == (Fault{}) {
		c.fault.active.Store(nil)
		return
	}
	c.fault.active.Store(&injected{Fault: f, since: time.Now().UnixNano()})
}

// at is the error of the clock at a true time.
func (f *fault) at(trueNanos int64) time.Duration {
	i := f.active.Load()
	if i == nil {
		return 0
	}
	wrong := i.Offset + time.Duration(i.Drift*1e-6*float64(trueNanos-i.since))
	if i.Step != 0 && trueNanos >= i.StepAt.UnixNano() {
		wrong += i.Step
	}
	return wrong
}

func (f *fault) any() bool { return f.active.Load() != nil }
