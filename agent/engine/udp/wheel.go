package udp

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/pace"
)

const (
	// wheelBelow is up to how many packets per second a stream is paced together with others, by one thread. Above it has a
	// thread of its own.
	wheelBelow = 200
	// wheelLook is how often the wheel looks for streams that have joined: seldom, because a wake-up costs more than a packet.
	wheelLook = 40 * time.Millisecond
	// gatherAbove is from how many packets per second on, all streams together, those that are due within gatherDue leave together:
	// to wake up for each would cost more than to send it.
	gatherAbove = 2000
	gatherDue   = 500 * time.Microsecond
	// watchBelow is up to how many packets per second, all streams together, the wheel watches the clock before each packet.
	// Above, what it would gain is less than the processor time it would take.
	watchBelow = 1000
)

// step sends what is due now and says when to be called again, and whether at all.
type step func(now int64) (next int64, more bool)

// wheel paces many slow streams with one thread: five hundred of them would otherwise need as many threads, or wake-ups of the
// runtime that are a millisecond late. It has no goroutine of its own: one of those that wait for their streams turns it for
// all, and passes it on when its own stream has ended. The zero value is ready.
type wheel struct {
	mu      sync.Mutex // guards what follows
	turns   turnHeap
	pps     float64
	turning bool
}

// turn is a stream on the wheel, or one that the poller reads.
type turn struct {
	step  step
	due   int64
	pps   float64
	wake  chan bool // told true when the stream has ended, false when its goroutine is to turn the wheel
	over  bool
	place int // in the heap
}

// run calls the step of a stream whenever it asks for it, until it has had enough.
func (w *wheel) run(first int64, pps float64, s step) {
	t := &turn{step: s, due: first, pps: pps, wake: make(chan bool, 1)}
	w.mu.Lock()
	heap.Push(&w.turns, t)
	w.pps += pps
	wait := w.turning
	w.turning = true
	w.mu.Unlock()
	if wait && <-t.wake {
		return
	}
	w.turn(t)
}

// turn turns the wheel until a stream has ended, and passes it on.
func (w *wheel) turn(mine *turn) {
	watching, sleeping := newWaits()
	defer pace.Pin()()
	var woke int64
	for !mine.over {
		due, pps := w.earliest()
		if pps > gatherAbove {
			due = max(due, woke+int64(gatherDue))
		}
		if look := clock.Mono() + int64(wheelLook); due > look {
			_, _ = sleeping.Wait(context.Background(), look) // the context is never done
			continue
		}
		wait := sleeping
		if pps <= watchBelow {
			wait = watching
		}
		now, _ := wait.Wait(context.Background(), due)
		woke = now
		for more := true; more; {
			var ended *turn
			if ended, more = w.one(now); ended != nil && ended != mine {
				ended.wake <- true
			}
		}
	}
	w.pass()
}

// newWaits makes what waits for due times: one that watches the clock, one that does not. Their schedules are not used.
func newWaits() (watching, sleeping *pace.Pacer) {
	any := pace.Constant(0, pace.Rate{Units: 1, Per: time.Second})
	watching, err := pace.New(pace.Config{Schedule: any})
	if err == nil {
		sleeping, err = pace.New(pace.Config{Schedule: any, Cheap: true})
	}
	if err != nil {
		panic("udp: " + err.Error()) // the schedule is valid
	}
	return watching, sleeping
}

// earliest is when the next step is due. There always is one: that of the stream whose goroutine turns the wheel.
func (w *wheel) earliest() (due int64, pps float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.turns[0].due, w.pps
}

// one takes the step that is due first, and gives its stream when it has ended with it. More says whether another one is due.
func (w *wheel) one(now int64) (ended *turn, more bool) {
	w.mu.Lock()
	t := w.turns[0]
	w.mu.Unlock()
	next, again := t.step(now) // only we take steps, and a stream that joins meanwhile can only wait
	w.mu.Lock()
	defer w.mu.Unlock()
	if again {
		t.due = next
		heap.Fix(&w.turns, t.place)
	} else {
		heap.Remove(&w.turns, t.place)
		w.pps -= t.pps
		t.over = true
		ended = t
	}
	return ended, len(w.turns) > 0 && w.turns[0].due <= now
}

// pass gives the wheel to another goroutine that waits, if there is one.
func (w *wheel) pass() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turning = len(w.turns) > 0; w.turning {
		w.turns[0].wake <- false
	}
}

// turnHeap is ordered by due time.
type turnHeap []*turn

func (h turnHeap) Len() int           { return len(h) }
func (h turnHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h turnHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *turnHeap) Push(x any) {
	t := x.(*turn)
	t.place = len(*h)
	*h = append(*h, t)
}
func (h *turnHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
