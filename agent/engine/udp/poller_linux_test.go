package udp

import (
	"math"
	"sync"
	"testing"

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
	r := &rawSocket{fd: pair[0], clock: new(clock.Clock), poller: p, slow: true, roused: make(chan struct{}, 1)}
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
