package udp

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/pace"
)

const (
	// gatherFrom is from how many arrivals per second on, of all sockets together, they are gathered, and gatherFor is how long: the
	// kernel's stamps say when a packet came, whenever it is read.
	gatherFrom = 2000
	gatherFor  = 2 * time.Millisecond
	// gatherLook is how long, at least, the arrivals are counted before they are gathered, and gatherOver before they no longer are.
	gatherLook = 20 * time.Millisecond
	gatherOver = 250 * time.Millisecond
	// rememberFor is how long a stall is known at least: longer than a socket is not read.
	rememberFor = time.Second
)

// poller waits for the sockets of slow streams, with one goroutine for all. The runtime's own poller would wake its thread for
// each packet that comes, and also for each that has left, and a goroutine for each stream would have to be woken, too; with hundreds
// of streams that costs more than all that is done with the packets. The zero value is ready.
type poller struct {
	arrivals atomic.Uint64 // packets read by all

	mu    sync.Mutex // guards what follows
	users map[int32]*rawSocket
	watch *watch // nil while there are no users
}

// watch is what waits.
type watch struct {
	epoll, wake int            // descriptors; an event on wake makes it look up
	over        bool           // it is to end; guarded as the poller is
	fresh       []*turn        // not on the heap yet; guarded as the poller is
	waiting     sync.WaitGroup // the goroutine, whose alone is what follows
	turns       turnHeap
	ready       []*turn // with the last events
	gather      bool
	quiet       int    // sockets whose arrivals it is not told
	at          int64  // when it last was seen to run (clock.Mono)
	stalls      []rest // the times in which it did not run, but should have, of the last second or more
}

// rest is a span of clock.Mono.
type rest struct{ from, to int64 }

// join adds a socket, whose arrivals are told to it from now on.
func (p *poller) join(r *rawSocket) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch == nil {
		if p.watch, err = newWatch(); err != nil {
			return fmt.Errorf("wait for packets: %w", err)
		}
		p.users = make(map[int32]*rawSocket)
		w := p.watch
		w.waiting.Go(func() { w.run(p) })
	}
	p.users[int32(r.fd)] = r
	if err := p.watch.add(r.fd, unix.EPOLLIN|unix.EPOLLET); err != nil {
		return fmt.Errorf("wait for packets: %w", err) // the caller leaves
	}
	return nil
}

// run takes a step for a socket, which has joined, whenever packets have come or the time is over that the last step gave, until
// there is to be no more.
func (p *poller) run(r *rawSocket, s step) {
	t := &turn{step: s, wake: make(chan bool, 1)}
	p.mu.Lock()
	r.turn = t
	p.watch.fresh = append(p.watch.fresh, t)
	p.watch.poke()
	p.mu.Unlock()
	<-t.wake
}

// leave takes a socket out, before it is closed. It may be called more than once.
func (p *poller) leave(r *rawSocket) {
	if last := p.remove(r); last != nil {
		last.stop()
	}
}

// remove gives the watch back when it has no users any more.
func (p *poller) remove(r *rawSocket) (last *watch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users[int32(r.fd)] != r {
		return nil
	}
	delete(p.users, int32(r.fd))
	_ = unix.EpollCtl(p.watch.epoll, unix.EPOLL_CTL_DEL, r.fd, nil) // closing it does the same
	if len(p.users) == 0 {
		last, p.watch = p.watch, nil
		last.over = true
	}
	return last
}

func newWatch() (*watch, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(err, unix.Close(epoll))
	}
	w := &watch{epoll: epoll, wake: wake}
	if err := w.add(wake, unix.EPOLLIN|unix.EPOLLET); err != nil { // an event for each write: nobody has to read
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *watch) add(fd int, events uint32) error {
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (w *watch) close() error { return errors.Join(unix.Close(w.wake), unix.Close(w.epoll)) }

// stop ends the goroutine.
func (w *watch) stop() {
	w.poke()
	w.waiting.Wait()
	_ = w.close()
}

// poke makes the goroutine look up.
func (w *watch) poke() {
	one := [8]byte{1}
	_, _ = unix.Write(w.wake, one[:]) // the count behind it never is so high that this can fail
}

// run tells sockets that packets have come, and takes the steps of others, until it is stopped.
func (w *watch) run(p *poller) {
	var events [256]unix.EpollEvent
	_, sleeping := newWaits()
	defer pace.Pin()()
	w.at = clock.Mono()
	before, since := p.arrivals.Load(), w.at
	for {
		if p.tell(w, w.wait(events[:])) {
			return
		}
		for _, t := range w.ready {
			w.one(t)
		}
		for now := clock.Mono(); len(w.turns) > 0 && w.turns[0].due <= now; {
			w.one(w.turns[0])
		}
		now := w.awake()
		if past := time.Duration(now - since); past > gatherOver || past > gatherLook && !w.gather {
			arrivals := p.arrivals.Load()
			w.gather = float64(arrivals-before) > gatherFrom*past.Seconds()
			before, since = arrivals, now
		}
		if w.pauses() && !w.behind() {
			w.pause(sleeping, now+int64(gatherFor))
		}
	}
}

// pauses says whether it looks each gatherFor: while it is not told of some arrivals, so that it knows when this host stood still.
func (w *watch) pauses() bool { return w.gather || w.quiet > 0 }

// wait gives the events there are, and waits for them unless there are pauses for that.
func (w *watch) wait(events []unix.EpollEvent) []unix.EpollEvent {
	if w.pauses() {
		n, _, _ := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		return events[:max(int(n), 0)] // it neither waits nor fails
	}
	n, err := unix.EpollWait(w.epoll, events, w.patience())
	if err != nil && !errors.Is(err, unix.EINTR) {
		panic("udp: epoll: " + err.Error()) // only wrong arguments can fail
	}
	w.at = clock.Mono()
	return events[:max(n, 0)]
}

// pause lets packets gather.
func (w *watch) pause(sleeping *pace.Pacer, until int64) {
	_, _ = sleeping.Wait(context.Background(), until) // the context is never done
	w.at = until
	w.awake()
}

// awake gives the time, and notes when the goroutine did not run for too long before.
func (w *watch) awake() (now int64) {
	now = clock.Mono()
	if now-w.at > int64(stallLimit) {
		known := now - int64(rememberFor)
		w.stalls = slices.DeleteFunc(w.stalls, func(s rest) bool { return s.to < known })
		w.stalls = append(w.stalls, rest{w.at, now})
	}
	w.at = now
	return now
}

// tell passes events on, and reports whether it is over.
func (p *poller) tell(w *watch, events []unix.EpollEvent) (over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range w.fresh {
		heap.Push(&w.turns, t)
	}
	w.fresh, w.ready = w.fresh[:0], w.ready[:0]
	for _, e := range events {
		switch r := p.users[e.Fd]; {
		case r == nil: // left meanwhile, or the wake
		case r.turn == nil:
			r.rouse()
		case !r.turn.over:
			w.ready = append(w.ready, r.turn)
		}
	}
	return w.over
}

// one takes a step.
func (w *watch) one(t *turn) {
	next, more := t.step(w.awake())
	switch {
	case !more:
		heap.Remove(&w.turns, t.place)
		t.over = true
		t.wake <- true
	case next != t.due:
		t.due = next
		heap.Fix(&w.turns, t.place)
	}
}

// hush sees to it that the arrivals at a relaxed socket are not told while those of all are gathered, and else that they are. It is for
// the watch's goroutine.
func (p *poller) hush(r *rawSocket) {
	quiet := r.relaxed && p.watch.gather
	if r.quiet == quiet {
		return
	}
	var events uint32
	if !quiet {
		events = unix.EPOLLIN | unix.EPOLLET // what has come meanwhile is told at once
	}
	event := unix.EpollEvent{Events: events, Fd: int32(r.fd)}
	if unix.EpollCtl(p.watch.epoll, unix.EPOLL_CTL_MOD, r.fd, &event) != nil {
		return // it is read as often as before
	}
	r.quiet = quiet
	if quiet {
		p.watch.quiet++
	} else {
		p.watch.quiet--
	}
}

// behind says whether a step is due: a socket has more than was read at once.
func (w *watch) behind() bool { return len(w.turns) > 0 && w.turns[0].due <= clock.Mono() }

// patience is how long to wait for packets [ms].
func (w *watch) patience() int {
	if len(w.turns) == 0 {
		return -1
	}
	left := time.Duration(w.turns[0].due - clock.Mono())
	return int(max(0, left+time.Millisecond-1) / time.Millisecond)
}
