//go:build linux && netptest

package main

import (
	"time"

	"github.com/netpupper/netp/agent/clock"
)

// canBeWrong says whether clocks can be told to be wrong.
const canBeWrong = true

// wrongClock is a clock that is wrong from now on.
func wrongClock(w wrongness) *clock.Clock {
	c := new(clock.Clock)
	c.Inject(clock.Fault{Offset: w.offset, Drift: w.drift, Step: w.step, StepAt: time.Now().Add(w.after)})
	return c
}
