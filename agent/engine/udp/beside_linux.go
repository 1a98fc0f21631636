package udp

import (
	"time"

	"golang.org/x/sys/unix"
)

// A reader of a flood goes to its sender's processor when packets have waited for it for longer than behind, and leaves it when they have
// not waited for caughtUp. Between two wake-ups they wait for 0.2 ms, and the largest buffer is full after 10 ms. Where it takes longer than
// besideLimit others want the processor, too; then it is not tried again for besideOff.
const (
	behind      = 3 * time.Millisecond
	caughtUp    = 500 * time.Microsecond
	besideLimit = int64(20 * time.Millisecond)
	besideOff   = int64(100 * time.Millisecond)
)

// beside lets a reader that fell behind a sender on the same host catch up. Without it it stays behind until the socket is full: what
// waits for long has left the caches, and copying it takes longer than sending it. The sender's processor carries the packets into the
// socket, too; there reader and sender have it in turns.
type beside struct {
	fd      int
	allowed unix.CPUSet
	usual   *unix.SchedAttr
	there   bool
	cpu     int   // where it went last
	until   int64 // when it leaves at the latest; else until when it stays away (clock.Mono)
}

// follow lets the calling thread, which its goroutine keeps, go beside its sender when it is behind. What it returns ends that.
func (r *rawSocket) follow() (release func()) {
	b := &beside{fd: r.fd}
	var err error
	b.usual, err = unix.SchedGetAttr(0, 0)
	if err != nil || b.usual.Policy != unix.SCHED_NORMAL || unix.SchedGetaffinity(0, &b.allowed) != nil || !r.facts.joins || !r.facts.kernelStamps {
		return func() {}
	}
	r.beside = b
	return func() {
		r.beside = nil
		b.leave()
	}
}

// look takes the time (clock.Mono), and for how long packets had waited when they were read.
func (b *beside) look(now int64, waited time.Duration) {
	switch {
	case b.there && waited < caughtUp:
		b.leave()
		b.until = 0
	case b.there && now > b.until:
		b.leave()
		b.until = now + besideOff
	case b.there:
		b.join()
	case waited > behind && now > b.until:
		b.until = now + besideLimit
		b.join()
	}
}

// join goes to where the last packet came from. It does not take the processor from the sender there, but waits for its turns: else the
// kernel would move the sender to the processor that was left.
func (b *beside) join() {
	cpu, err := unix.GetsockoptInt(b.fd, unix.SOL_SOCKET, unix.SO_INCOMING_CPU)
	if err != nil || !b.allowed.IsSet(cpu) || b.there && cpu == b.cpu {
		return
	}
	patient := *b.usual
	patient.Policy = unix.SCHED_BATCH
	if !b.there && unix.SchedSetAttr(0, &patient, 0) != nil {
		return
	}
	var one unix.CPUSet
	one.Set(cpu)
	_ = unix.SchedSetaffinity(0, &one) // else it reads from where it is
	b.there, b.cpu = true, cpu
}

// leave lets the thread run anywhere again.
func (b *beside) leave() {
	if b.there {
		b.there = false
		_ = unix.SchedSetaffinity(0, &b.allowed)
		_ = unix.SchedSetAttr(0, b.usual, 0)
	}
}
