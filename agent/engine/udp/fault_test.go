//go:build netptest

package udp

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// TestClockFaults: the stated error of a delay covers the truth when the sender's clock is wrong. On loopback the truth is below a
// few milliseconds, however busy the machine.
func TestClockFaults(t *testing.T) {
	const truth = 0.005
	for name, fault := range map[string]clock.Fault{
		"ahead":  {Offset: 20 * time.Millisecond},
		"behind": {Offset: -20 * time.Millisecond},
		"drift":  {Drift: 100},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := new(clock.Clock)
			wrong.Inject(fault)
			m := bench{params: netp.Params{"rate": "500pps", "duration": 2.0}, separate: true, clock: wrong}.merged(t)
			delay := m.Metrics[metricDelay]
			p50 := delay.Distribution.Member("p50")
			if p50+delay.Uncertainty < 0 || p50-delay.Uncertainty > truth {
				t.Errorf("median %v ± %v s", p50, delay.Uncertainty)
			}
			if delay.Uncertainty > 0.01 {
				t.Errorf("stated error %v s", delay.Uncertainty)
			}
			t.Logf("median %v ± %v s", p50, delay.Uncertainty)
		})
	}
	t.Run("step", func(t *testing.T) {
		wrong := new(clock.Clock)
		wrong.Inject(clock.Fault{Step: time.Hour, StepAt: time.Now().Add(1200 * time.Millisecond)})
		m := bench{params: netp.Params{"rate": "500pps", "duration": 2.0}, separate: true, clock: wrong}.merged(t)
		if c := checkOf(t, m, checkClock); c.OK {
			t.Errorf("a step of an hour was not noticed: %+v", c)
		} else {
			t.Log(c)
		}
	})
}
