//go:build netptest

package rtt

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// TestClocksAreStepped sets the clocks of both ends by an hour in the middle of a session, and lets them be far apart and drift.
func TestClocksAreStepped(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		params := netp.Params{"count": 100.0, "interval": 0.002}
		initiator, responder := agents(t, loopback4, params)
		now := time.Now()
		initiator.Clock, responder.Clock = new(clock.Clock), new(clock.Clock)
		initiator.Clock.Inject(clock.Fault{Offset: time.Minute, Drift: 100, Step: step, StepAt: now.Add(100 * time.Millisecond)})
		responder.Clock.Inject(clock.Fault{Drift: -100, Step: -step, StepAt: now.Add(150 * time.Millisecond)})
		near, _ := play(deadlined(t), initiator, responder)
		wantComplete(t, near, params)
		wantMetrics(t, near, map[string]float64{metricReceived: 100, metricLost: 0})
		if d := near.Metrics[metricRTT].Distribution; d.All.Min() <= 0 || d.Member("max") > 10 {
			t.Errorf("step %v: rtt from %d ns to %v s", step, d.All.Min(), d.Member("max"))
		}
	}
}
