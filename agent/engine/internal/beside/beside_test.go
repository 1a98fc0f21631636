package beside

import (
	"testing"
	"time"

	"github.com/netpupper/netp/agent/clock"
)

// TestTurns: turns that take long, one soon after the other, are given no more for a time.
func TestTurns(t *testing.T) {
	const long, soon = 2 * turnLimit, turnsNear / 2
	now := int64(time.Hour)
	x := new(Turns)
	x.took(now, now+turnLimit)
	x.took(now, now+long)
	x.took(now+turnsNear, now+turnsNear+long)
	if x.off != 0 {
		t.Fatal("none are given although they seldom take long")
	}
	x.took(now+turnsNear+soon, now+turnsNear+soon+long)
	if x.off == 0 {
		t.Fatal("they go on although they take long")
	}
	if after, taken := x.Give(x.off - 1); after != x.off-1 || taken {
		t.Error("a turn is given too early")
	}
	now = clock.Mono()
	x = &Turns{off: now}
	if after, _ := x.Give(now); after <= now {
		t.Error("no turn is given later")
	}
	if after, taken := (*Turns)(nil).Give(7); after != 7 || taken { // where the reader is on another host
		t.Error("nobody's turn is given")
	}
}
