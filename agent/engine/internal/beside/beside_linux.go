package beside

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// trial is how long what comes through is counted before the places are compared. The reader stays where no less comes through than
	// apart, because it takes less of the processors; once it has left it comes again when worth times as much came through. As long as it
	// comes ever faster nothing can be compared: more than steady times what it was before. What comes at less than least [B/ns] has room
	// anywhere.
	trial  = int64(20 * time.Millisecond)
	worth  = 1.05
	steady = 1.25
	least  = 1
	// behind is from when on packets have waited for so long that the reader has to catch up: between two wake-ups it is 0.2 ms, and the
	// largest buffer is full after 10 ms. Where that takes longer than limit others want the processor, too; then it is not tried again for
	// off.
	behind = 3 * time.Millisecond
	limit  = int64(20 * time.Millisecond)
	off    = int64(100 * time.Millisecond)
	// follow is how often it is seen whether the sender has moved.
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

// There says whether the thread is beside the sender. Then, in place of sleeping, it should yield: what a sender that has its turn writes
// meanwhile stays in the caches.
func (r *Reader) There() bool { return r != nil && r.there }

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
	switch {
	case r.since == 0: // begins
	case r.there && (now > r.until || over && rate < r.apart):
		r.together, r.until = rate, now+off
		r.Leave()
	case r.there:
		if !late {
			r.until = now + limit
		}
		if now-r.looked > follow {
			r.join(now)
		}
		if !over {
			return
		}
	case now > r.until && (late || over && r.promising(rate)):
		r.apart, r.until = rate, now+limit
		r.join(now)
	case !over:
		return
	default:
		r.apart = rate
	}
	r.bytes, r.since = 0, now
}

// promising says whether more may come through beside the sender.
func (r *Reader) promising(rate float64) bool {
	return rate > least && rate < steady*r.apart && (r.together == 0 || r.together > worth*rate)
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
