package udp

import (
	"testing"
	"time"

	"github.com/netpupper/netp/agent/clock"
)

// TestToLook: a traced stream looks for a report when one should be there, not after each packet, and for departures when there are
// many, or none were told for long.
func TestToLook(t *testing.T) {
	const now = int64(time.Hour)
	ago := func(d time.Duration) int64 { return now - int64(d) }
	for _, c := range []struct {
		name          string
		heard, looked time.Duration
		spacing       time.Duration
		told          time.Duration
		pending       uint64
		want          bool
	}{
		{name: "heard a moment ago", heard: 60 * time.Millisecond, looked: 60 * time.Millisecond, spacing: reportEvery},
		{name: "reports are seldom", heard: reportSeldom, looked: 60 * time.Millisecond, spacing: reportSeldom},
		{name: "a report is due", heard: reportEvery + reportSlack, looked: 20 * time.Millisecond, spacing: reportEvery, want: true},
		{name: "looked a moment ago", heard: 300 * time.Millisecond, looked: time.Millisecond, spacing: reportEvery},
		{name: "the reports have ended", heard: deadMan, looked: 20 * time.Millisecond, spacing: reportEvery, want: true},
		{name: "many departures", pending: tellAfter, want: true},
		{name: "few departures", pending: tellAfter - 1, spacing: reportEvery},
		{name: "departures of a slow stream", heard: 60 * time.Millisecond, looked: 60 * time.Millisecond, spacing: reportEvery, told: tellEvery, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := &sender{tracer: newTracer(ago(c.told), tellAfter), arrived: ago(c.heard), spacing: int64(c.spacing)}
			x.tracer.sent = c.pending
			x.looked.Store(ago(c.looked))
			if got := x.toLook(now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// TestHostThatStoodStill: silence counts only while the sender could have heard something. After it has stood still, with the receiver on
// the same host, it goes on for as long as always.
func TestHostThatStoodStill(t *testing.T) {
	x := &sender{ctx: t.Context()}
	now := int64(time.Hour)
	x.heard.Store(now)
	step := func(by time.Duration) (alive, hold bool) {
		now += int64(by)
		x.looked.Store(now) // in vain
		return x.alive(now)
	}
	step(0)
	step(alert)
	if alive, hold := step(2 * time.Second); !alive || hold {
		t.Errorf("after standing still: alive %v, hold %v; want it to go on", alive, hold)
	}
	awake := alert
	for alive, hold := true, false; alive && !hold; awake += alert {
		if awake > time.Minute {
			t.Fatal("it goes on for ever without a report")
		}
		alive, hold = step(alert)
	}
	if awake > deadMan+3*alert || awake < deadMan-3*alert {
		t.Errorf("it paused after %v of silence; want %v", awake, deadMan)
	}
}

// TestStallThatSilences: a receiving host that let its sender hear nothing is named, whatever stamps its packets.
func TestStallThatSilences(t *testing.T) {
	set := newSettings(nil)
	for _, c := range []struct {
		stall time.Duration
		sent  uint64
		ok    bool
	}{
		{deadMan / 2, set.asked() / 2, true},
		{deadMan + time.Millisecond, set.asked(), true}, // the sender did not mind
		{deadMan + time.Millisecond, set.asked() / 2, false},
	} {
		x := &session{set: set, inbound: &receiving{receivers: []*receiver{{stall: int64(c.stall)}}}}
		if got := x.hostStall(c.sent); got.OK != c.ok || c.ok == (got.Reason != "") || !c.ok && !got.Touches("loss.ratio") {
			t.Errorf("stall of %v, %d sent: %+v; want OK %v", c.stall, c.sent, got, c.ok)
		}
	}
}

// TestLeave: a sender whose stream has ended waits for the receiver's confirmation as long as that reports: it still reads what was sent.
func TestLeave(t *testing.T) {
	x := &sender{set: settings{timeout: defaultTimeout}}
	x.state.Store(stateFinished)
	x.peer.Store(stateReceiving)
	for _, silent := range []time.Duration{0, 2 * finishLimit} {
		x.heard.Store(clock.Mono() - int64(silent))
		if got, want := x.leave(t.Context(), 2*finishLimit, true), silent > finishLimit; got != want || (x.fault.Load() != nil) != want {
			t.Errorf("no report for %v: it leaves %v, fault %v; want %v", silent, got, x.fault.Load(), want)
		}
	}
}
