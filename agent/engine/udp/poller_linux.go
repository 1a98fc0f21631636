package udp

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// gatherFrom is from how many arrivals per second on, of all sockets together, they are gathered, and gatherFor is how long: the
	// kernel's stamps say when a packet came, whenever it is read.
	gatherFrom = 2000
	gatherFor  = time.Millisecond
	// gatherLook is how often the arrivals are counted.
	gatherLook = 20 * time.Millisecond
)

// poller waits for the sockets of slow streams, with one thread for all. The runtime's own poller would wake its thread for
// each packet that comes, and also for each that has left; with hundreds of streams that costs more than all that is done with the
// packets. The zero value is ready.
type poller struct {
	arrivals atomic.Uint64 // packets read by all

	mu    sync.Mutex // guards what follows
	users map[int32]*rawSocket
	watch *watch // nil while there are no users
}

// watch is what waits.
type watch struct {
	epoll, wake int            // descriptors; an event on wake ends it
	waiting     sync.WaitGroup // the goroutine
}

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
	if err := w.add(wake, unix.EPOLLIN); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *watch) add(fd int, events uint32) error {
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (w *watch) close() error { return errors.Join(unix.Close(w.wake), unix.Close(w.epoll)) }

// stop ends the goroutine. The write can only fail when an earlier one still stands, which does the same.
func (w *watch) stop() {
	one := [8]byte{1}
	_, _ = unix.Write(w.wake, one[:])
	w.waiting.Wait()
	_ = w.close()
}

// run tells sockets that packets have come, until it is stopped.
func (w *watch) run(p *poller) {
	var events [256]unix.EpollEvent
	before, since := p.arrivals.Load(), time.Now()
	gather := false
	for {
		n, err := unix.EpollWait(w.epoll, events[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			panic("udp: epoll: " + err.Error()) // only wrong arguments can fail
		}
		if p.tell(events[:max(n, 0)], int32(w.wake)) {
			return
		}
		if past := time.Since(since); past > gatherLook {
			now := p.arrivals.Load()
			gather = float64(now-before) > gatherFrom*past.Seconds()
			before, since = now, time.Now()
		}
		if gather {
			time.Sleep(gatherFor)
		}
	}
}

// tell passes events on and reports whether it is over.
func (p *poller) tell(events []unix.EpollEvent, wake int32) (over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range events {
		if e.Fd == wake {
			return true
		}
		if r := p.users[e.Fd]; r != nil {
			r.rouse()
		}
	}
	return false
}
