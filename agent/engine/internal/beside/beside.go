// Package beside lets the reader of a fast stream share the processor of a sender on the same host, in turns, where more comes through so.
//
// What a sender has written just before is read out of its processor's caches, where nothing else of that size stays, in a third of the
// time, and nobody is woken on another processor. What more than one processor gains depends on the machine: so it is tried, and compared.
//
// A reader starts with New, a sender with Turns.
package beside

import (
	"time"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/pace"
)

const (
	// turnTaken is from when on a turn was taken: to give one that nobody waits for takes less.
	turnTaken = int64(5 * time.Microsecond)
	// turnLimit is what a turn may take, but for one in turnsNear. Else others want the processor, too, and none is given for turnsOff.
	turnLimit = int64(time.Millisecond)
	turnsNear = int64(20 * time.Millisecond)
	turnsOff  = int64(200 * time.Millisecond)
)

// Turns are those that a sender gives to a reader that may be beside it. The zero value gives them, nil none.
type Turns struct {
	long int64 // when one took too long; 0 for never
	off  int64 // until when none is given
}

// Give gives whoever waits for the sender's processor a turn. It takes the time (clock.Mono), and gives the time afterwards and whether the
// turn was taken.
func (t *Turns) Give(now int64) (after int64, taken bool) {
	if t == nil || now < t.off {
		return now, false
	}
	after, taken = give(now)
	t.took(now, after)
	return after, taken
}

func give(now int64) (after int64, taken bool) {
	pace.Yield()
	after = clock.Mono()
	return after, after-now > turnTaken
}

// took learns from a turn.
func (t *Turns) took(from, to int64) {
	if to-from <= turnLimit {
		return
	}
	if t.long > 0 && to-t.long < turnsNear {
		t.off = to + turnsOff
	}
	t.long = to
}
