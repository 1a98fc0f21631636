//go:build netptest

package clock

import (
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	var c Clock
	c.Inject(Fault{Offset: 50 * time.Millisecond})
	stamp := time.Now().UnixNano()
	if got := c.Stamp(stamp) - stamp; got != 50e6 {
		t.Errorf("a kernel stamp is off by %d; want 50 ms", got)
	}
	before := time.Now().Add(50 * time.Millisecond)
	nanos, now := c.Nanos(), c.Now()
	after := time.Now().Add(50 * time.Millisecond)
	if nanos < before.UnixNano() || nanos > after.UnixNano() {
		t.Errorf("the clock says %d; want %d to %d", nanos, before.UnixNano(), after.UnixNano())
	}
	if now.Before(before) || now.After(after) {
		t.Errorf("now is %v; want %v to %v", now, before, after)
	}
	if c.HostID() != "" {
		t.Error("a wrong clock has the host's id")
	}
	future := time.Now().Add(time.Hour).UnixNano()
	c.Inject(Fault{Drift: 100, Step: time.Second, StepAt: time.Now().Add(30 * time.Minute)})
	if got := c.Stamp(future) - future; got < 1_359e6 || got > 1_361e6 {
		t.Errorf("after an hour of 100 ppm and a step the clock is off by %d; want 1.36 s", got)
	}
	c.Inject(Fault{})
	if c.Stamp(7) != 7 || c.HostID() == "" && hostID() != "" {
		t.Error("the fault stays")
	}
}
