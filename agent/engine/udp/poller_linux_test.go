package udp

import (
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
)

// polled is a socket that has joined a poller, and what sends to it.
func polled(t *testing.T, p *poller) (*rawSocket, func()) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &rawSocket{facts: socketFacts{kernelStamps: true, receiveBuffer: relaxedBuffer}, fd: pair[0], clock: new(clock.Clock), poller: p, slow: true, roused: make(chan struct{}, 1)}
	r.allocate(2, controlSize)
	if err := p.join(r); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.leave(r)
		unix.Close(pair[0])
		unix.Close(pair[1])
	})
	return r, func() {
		if _, err := unix.Write(pair[1], []byte("packet")); err != nil {
			t.Error(err)
		}
	}
}

// TestPollerSteps: a step is taken at once, when packets come, and when its time is over, until there is to be no more.
func TestPollerSteps(t *testing.T) {
	var p poller
	for range 2 { // the second time with a new watch
		r, send := polled(t, &p)
		var got []int
		r.each(func(batch []datagram, err error) (until int64, more bool) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, len(batch))
			switch len(got) {
			case 1:
				send()
				return math.MaxInt64, true // only the packet can be next
			case 2:
				return clock.Mono(), true // only the time
			}
			return 0, false
		})
		if len(got) != 3 || got[0] != 0 || got[1] != 1 || got[2] != 0 {
			t.Errorf("steps with %v packets; want 0, 1, 0", got)
		}
		p.leave(r)
	}
	if p.watch != nil || len(p.users) != 0 {
		t.Errorf("%d users remain, watch %v", len(p.users), p.watch)
	}
}

// TestPollerIsFair: a socket in which there always are more packets keeps no other one waiting.
func TestPollerIsFair(t *testing.T) {
	var p poller
	full, send := polled(t, &p)
	other, _ := polled(t, &p)
	const enough = 10_000
	var both sync.WaitGroup
	steps, turns := 0, 0 // both of the poller's goroutine
	ready := make(chan struct{})
	both.Go(func() {
		other.each(func([]datagram, error) (int64, bool) {
			switch {
			case steps > 0:
				turns++
			case turns == 0:
				turns = 1
				close(ready)
			}
			return clock.Mono(), turns < 4 && steps < enough
		})
	})
	both.Go(func() {
		<-ready
		full.each(func([]datagram, error) (int64, bool) {
			for range len(full.headers) {
				send()
			}
			steps++
			return math.MaxInt64, turns < 4 && steps < enough
		})
	})
	both.Wait()
	if steps >= enough {
		t.Errorf("the other socket got no turn in %d steps", steps)
	}
}

// TestPollerReadsABacklog: of a socket with many packets several reads are taken in a row, and who reads makes no pause meanwhile: else
// forged packets would keep those of the stream out of the socket.
func TestPollerReadsABacklog(t *testing.T) {
	var p poller
	full, send := polled(t, &p)
	other, _ := polled(t, &p)
	const reads = 1000
	done, turns := 0, 0 // both of the poller's goroutine
	var both sync.WaitGroup
	both.Go(func() {
		other.each(func([]datagram, error) (int64, bool) {
			turns++
			return clock.Mono(), done < reads
		})
	})
	both.Go(func() {
		full.each(func([]datagram, error) (int64, bool) {
			if done == 0 {
				turns = 0
			}
			for range len(full.headers) {
				send()
			}
			done++
			return math.MaxInt64, done < reads
		})
	})
	both.Wait()
	if turns > reads/4 {
		t.Errorf("the other socket got %d turns in %d reads", turns, reads)
	}
	w := watch{turns: turnHeap{{due: clock.Mono()}}}
	if !w.behind() {
		t.Error("a step is due, and the poller pauses")
	}
	if w.turns[0].due = math.MaxInt64; w.behind() {
		t.Error("no step is due, and the poller does not pause")
	}
}

// TestRelaxedSocketsWait: while packets are gathered, those of a relaxed socket wait until its step is due, and those of another do not;
// once it is no longer relaxed, or they are no longer gathered, what has come is told at once.
func TestRelaxedSocketsWait(t *testing.T) {
	const longEnough = 30 * time.Millisecond
	var p poller
	r, send := polled(t, &p)
	var got []int
	var at []int64
	r.each(func(batch []datagram, err error) (until int64, more bool) {
		if err != nil {
			t.Error(err)
		}
		got, at = append(got, len(batch)), append(at, clock.Mono())
		switch len(got) {
		case 1:
			p.watch.gather = true
			r.relax(true)
			send()
			return clock.Mono() + int64(longEnough), true
		case 2:
			p.watch.gather = false
			if !p.watch.pauses() {
				t.Error("it is not told of arrivals, and does not look for itself")
			}
			r.relax(false)
			time.AfterFunc(time.Millisecond, send)
			return math.MaxInt64, true // only the packet can be next
		case 3:
			r.relax(true)
			p.watch.gather = false
			if p.watch.quiet != 0 {
				t.Errorf("%d sockets are quiet that are read as packets come", p.watch.quiet)
			}
			time.AfterFunc(time.Millisecond, send)
			return math.MaxInt64, true
		}
		r.relax(true)
		p.watch.gather = true
		return 0, false
	})
	if w := p.watch; w.quiet != 0 {
		t.Errorf("%d sockets are quiet at the end", w.quiet)
	}
	if !slices.Equal(got, []int{0, 1, 1, 1}) {
		t.Fatalf("steps with %v packets; want none and thrice one", got)
	}
	if waited := time.Duration(at[1] - at[0]); waited < longEnough {
		t.Errorf("the packet of a relaxed socket was read after %v; want it to wait for %v", waited, longEnough)
	}
}

// TestCrowdedSocketsDoNotWait: when others send as well, the socket would be full before its step is due.
func TestCrowdedSocketsDoNotWait(t *testing.T) {
	var p poller
	r, send := polled(t, &p)
	steps := 0
	r.each(func([]datagram, error) (int64, bool) {
		for range len(r.headers) {
			send()
		}
		r.relax(true)
		steps++
		return math.MaxInt64, steps <= 2*readsAtOnce
	})
	if r.relax(true); r.relaxed {
		t.Errorf("after %d full reads in a row packets may wait", readsAtOnce)
	}
}

// TestLagIsOfTheLastRead: packets read long ago do not seem to wait when nothing comes.
func TestLagIsOfTheLastRead(t *testing.T) {
	var p poller
	r, send := polled(t, &p)
	send()
	r.receive()
	if got, err := r.taken(); len(got) != 1 || err != nil {
		t.Fatalf("%d packets, %v; want one", len(got), err)
	}
	if from, _ := r.lag(); from == 0 {
		t.Error("no lag of a packet is known")
	}
	r.receive()
	if got, err := r.taken(); len(got) != 0 || err != nil {
		t.Fatalf("%d packets, %v; want none", len(got), err)
	}
	if from, lag := r.lag(); from != 0 || lag != 0 {
		t.Errorf("without a packet: lag of %d ns from %d on", lag, from)
	}
}

// lag is the last one of lags, or zero.
func (r *rawSocket) lag() (from, lasted int64) {
	r.lags(func(f, l int64) { from, lasted = f, l })
	return from, lasted
}

// TestPauseNotesStalls: a pause that took much longer than it should have is told once, as lag of the sockets that wait for their time,
// and not to those that came later.
func TestPauseNotesStalls(t *testing.T) {
	p := poller{watch: new(watch)}
	r := &rawSocket{clock: new(clock.Clock), poller: &p, quiet: true}
	_, sleeping := newWaits()
	r.lag()
	p.watch.at = clock.Mono()
	p.watch.pause(sleeping, clock.Mono()) // in time
	if _, lag := r.lag(); lag != 0 {
		t.Errorf("a pause that ended in time: lag of %d ns", lag)
	}
	p.watch.pause(sleeping, clock.Mono()-int64(time.Second)) // as if it had ended a second late
	from, lag := r.lag()
	if began := time.Now().UnixNano() - from; lag < int64(time.Second) || began < int64(time.Second) || began > int64(time.Minute) {
		t.Errorf("lag of %d ns, begun %d ns ago; want a second or more", lag, began)
	}
	if _, lag = r.lag(); lag != 0 {
		t.Errorf("told again: %d ns", lag)
	}
	for _, late := range []time.Duration{3 * time.Second, 2 * time.Second} {
		p.watch.pause(sleeping, clock.Mono()-int64(late))
	}
	var both []int64
	r.lags(func(_, lasted int64) { both = append(both, lasted/int64(time.Second)) })
	if !slices.Equal(both, []int64{3, 2}) {
		t.Errorf("of stalls of 3 and 2 s those of %d s are told", both)
	}
	later := &rawSocket{clock: r.clock, poller: &p}
	later.lag()
	later.quiet = true
	if _, lag = later.lag(); lag != 0 {
		t.Errorf("told to a socket that came later: %d ns", lag)
	}
}
