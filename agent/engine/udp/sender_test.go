package udp

import (
	"testing"
	"time"
)

// TestToLook: a traced stream looks for a report when one should be there, not after each packet, and for departures when there are
// many, or none were told for long.
func TestToLook(t *testing.T) {
	const now = int64(time.Hour)
	ago := func(d time.Duration) int64 { return now - int64(d) }
	for _, c := range []struct {
		name          string
		heard, looked time.Duration
		told          time.Duration
		pending       uint64
		want          bool
	}{
		{name: "heard a moment ago", heard: 60 * time.Millisecond, looked: 60 * time.Millisecond},
		{name: "a report is due", heard: 100 * time.Millisecond, looked: 20 * time.Millisecond, want: true},
		{name: "looked a moment ago", heard: 300 * time.Millisecond, looked: time.Millisecond},
		{name: "the reports have ended", heard: deadMan, looked: 20 * time.Millisecond, want: true},
		{name: "many departures", pending: tellAfter, want: true},
		{name: "few departures", pending: tellAfter - 1},
		{name: "departures of a slow stream", heard: 60 * time.Millisecond, looked: 60 * time.Millisecond, told: tellEvery, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &sender{tracer: newTracer(ago(c.told), tellAfter)}
			x.tracer.sent = c.pending
			x.heard.Store(ago(c.heard))
			x.looked.Store(ago(c.looked))
			if got := x.toLook(now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}
