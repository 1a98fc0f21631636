package udp

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// besideTrial is how long what comes through is counted before the places are compared, and besideWorth how much more it has to be
	// beside the sender: there they share one processor.
	besideTrial = int64(20 * time.Millisecond)
	besideWorth = 1.05
	// behind is from when on packets have waited for so long that the reader has to catch up: between two wake-ups it is 0.2 ms, and the
	// largest buffer is full after 10 ms. Where that takes longer than besideLimit others want the processor, too; then it is not tried again
	// for besideOff.
	behind      = 3 * time.Millisecond
	besideLimit = int64(20 * time.Millisecond)
	besideOff   = int64(100 * time.Millisecond)
	// besideLook is how often it is seen whether the sender has moved.
	besideLook = int64(time.Millisecond)
)

// beside lets the reader of a flood share the processor of a sender on the same host, in turns, where more comes through so: what was
// written just before is copied out of that processor's caches, where nothing else of that size stays, in a third of the time. Else the
// reader falls behind, until the socket is full: what waits for long has left all caches. So it is tried once, and when the reader is behind.
type beside struct {
	fd      int
	allowed unix.CPUSet
	usual   *unix.SchedAttr
	there   bool
	tried   bool
	cpu     int     // where it went last
	looked  int64   // for the sender (clock.Mono)
	until   int64   // when it leaves if it is behind till then; else until when it stays away (clock.Mono)
	apart   float64 // bytes per nanosecond that came through before it went

	bytes int // that came through ...
	since int64
}

// follow lets the calling thread, which its goroutine keeps, go beside its sender. What it returns ends that.
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

// look takes the time (clock.Mono), how many bytes were read, and for how long they had waited.
func (b *beside) look(now int64, bytes int, waited time.Duration) {
	late := waited > behind
	b.bytes += bytes
	over := now-b.since > besideTrial
	rate := float64(b.bytes) / float64(now-b.since)
	switch {
	case b.since == 0: // begins
	case b.there && (now > b.until || over && rate < besideWorth*b.apart):
		b.leave()
		b.until = now + besideOff
	case b.there:
		if !late {
			b.until = now + besideLimit
		}
		if now-b.looked > besideLook {
			b.join(now)
		}
		if !over {
			return
		}
	case now > b.until && (late || over && !b.tried):
		b.apart, b.tried, b.until = rate, true, now+besideLimit
		b.join(now)
	case !over:
		return
	}
	b.bytes, b.since = 0, now
}

// join goes to where the last packet came from. It does not take the processor from the sender there, but waits for its turns: else the
// kernel would move the sender to the processor that was left.
func (b *beside) join(now int64) {
	b.looked = now
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
