package beside

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
)

const (
	// trial is how long what comes through is counted before the places are compared. As long as it comes ever faster nothing can be
	// compared: more than steady times what it was before. What comes at less than least [B/ns] has room anywhere.
	trial  = int64(20 * time.Millisecond)
	steady = 1.25
	least  = 1
	// worth is how much of what comes through apart has to come beside the sender, where half of the processors is enough. The reader
	// leaves when it was less in two trials: one may have been disturbed. After again it is compared anew in any case; after stay what
	// comes through apart is.
	worth = 0.95
	again = int64(time.Second)
	stay  = int64(5 * time.Second)
	// behind is from when on packets have waited for so long that the reader has to catch up: between two wake-ups it is 0.2 ms, and the
	// largest buffer is full after 10 ms. Where that takes longer than limit others want the processor, too; then it is not tried again for
	// off.
	behind = 3 * time.Millisecond
	limit  = int64(20 * time.Millisecond)
	off    = int64(100 * time.Millisecond)
	// follow is how often it is seen whether the sender has moved; at each look when the reader is behind.
	follow = int64(time.Millisecond)
)

// Reader is the thread that reads a socket. It goes beside the sender to try, again when less comes through than did there, and when it
// is behind. The methods of nil do nothing.
type Reader struct {
	fd      int
	allowed unix.CPUSet
	usual   *unix.SchedAttr
	there   bool
	cpu     int   // where it went last
	looked  int64 // for the sender
	moved   int64 // when it came there, or left
	worse   int   // trials in a row
	until   int64 // when it leaves if it is behind till then; else until when it stays away

	bytes    int // that came through ...
	since    int64
	apart    float64 // bytes per nanosecond, when it was last apart ...
	together float64 // ... and beside the sender
}

// New lets the calling thread, which its goroutine keeps until Leave, go beside the sender of what a socket receives. It is nil where the
// thread's scheduling was chosen by somebody else.
func New(fd int) *Reader {
	r := &Reader{fd: fd}
	var err error
	r.usual, err = unix.SchedGetAttr(0, 0)
	if err != nil || r.usual.Policy != unix.SCHED_NORMAL || unix.SchedGetaffinity(0, &r.allowed) != nil {
		return nil
	}
	return r
}

// There says whether the thread is beside the sender.
func (r *Reader) There() bool { return r != nil && r.there }

// Turn is for when there is nothing to read: beside the sender it gives that a turn, and says whether it was taken. Else the caller sleeps.
// What is written in a turn stays in the caches; what is written during a sleep may be too much.
func (r *Reader) Turn() (taken bool) {
	if !r.There() {
		return false
	}
	_, taken = give(clock.Mono())
	return taken
}

// Look takes the time (clock.Mono), how many bytes were read, and for how long they had waited: 0 where they can wait for long. It may move
// the thread.
func (r *Reader) Look(now int64, bytes int, waited time.Duration) {
	if r == nil {
		return
	}
	late := waited > behind
	r.bytes += bytes
	over := now-r.since > trial
	rate := float64(r.bytes) / float64(now-r.since)
	if r.there && over && rate >= worth*r.apart {
		r.worse = 0
	} else if r.there && over {
		r.worse++
	}
	switch {
	case r.since == 0: // begins
	case r.there && (now > r.until || r.worse == 2):
		r.leave(now, rate, off)
	case r.there && over && now-r.moved > stay:
		r.leave(now, rate, 0)
	case r.there:
		if !late {
			r.until = now + limit
		}
		if late || now-r.looked > follow {
			r.join(now)
		}
		if !over {
			return
		}
	case now > r.until && (late || over && r.promising(now, rate)):
		r.apart, r.moved, r.worse, r.until = rate, now, 0, now+limit
		r.join(now)
	case !over:
		return
	default:
		r.apart = rate
	}
	r.bytes, r.since = 0, now
}

// promising says whether more may come through beside the sender.
func (r *Reader) promising(now int64, rate float64) bool {
	if rate < least || rate > steady*r.apart {
		return false
	}
	return r.together == 0 || r.together > worth*rate || now-r.moved > again
}

// leave leaves a place where so much came through, and stays away for a time.
func (r *Reader) leave(now int64, rate float64, away int64) {
	r.together, r.moved, r.until = rate, now, now+away
	r.Leave()
}

// join goes to where the last packet came from. It does not take the processor from the sender there, but waits for its turns: else the
// kernel would move the sender to the processor that was left.
func (r *Reader) join(now int64) {
	r.looked = now
	cpu, err := unix.GetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_INCOMING_CPU)
	if err != nil || !r.allowed.IsSet(cpu) || r.there && cpu == r.cpu {
		return
	}
	patient := *r.usual
	patient.Policy = unix.SCHED_BATCH
	if !r.there && unix.SchedSetAttr(0, &patient, 0) != nil {
		return
	}
	var one unix.CPUSet
	one.Set(cpu)
	_ = unix.SchedSetaffinity(0, &one) // else it reads from where it is
	r.there, r.cpu = true, cpu
}

// Leave lets the thread run anywhere again.
func (r *Reader) Leave() {
	if r.There() {
		r.there = false
		_ = unix.SchedSetaffinity(0, &r.allowed)
		_ = unix.SchedSetAttr(0, r.usual, 0)
	}
}
