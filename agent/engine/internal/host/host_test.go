package host

import (
	"runtime"
	"testing"
	"time"
)

func TestUntil(t *testing.T) {
	began := time.Now()
	known := func(at, process time.Duration, total, idle, steal uint64) Reading {
		return Reading{at: began.Add(at), processors: ticks{total, idle, steal}, process: process, hostKnown: true, selfKnown: true}
	}
	second := float64(runtime.NumCPU())
	for _, c := range []struct {
		name           string
		earlier, later Reading
		want           Use
	}{
		{"usual", known(0, 0, 1000, 500, 10), known(time.Second, time.Second/2, 1200, 550, 20),
			Use{HostKnown: true, Busy: 0.75, Steal: 0.05, ProcessKnown: true, Process: time.Second / 2, ProcessShare: 0.5 / second}},
		{"too soon for a tick", known(0, 0, 1000, 500, 10), known(time.Millisecond, 0, 1000, 500, 10), Use{HostKnown: true, ProcessKnown: true}},
		{"counters that go back", known(0, 0, 1000, 500, 10), known(time.Second, 0, 1100, 400, 5), Use{HostKnown: true, Busy: 1, ProcessKnown: true}},
		{"unknown before", Reading{}, known(0, time.Second, 1000, 500, 10), Use{}},
		{"unknown after", known(0, time.Second, 1000, 500, 10), Reading{}, Use{}},
	} {
		if got := c.earlier.Until(c.later); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}
