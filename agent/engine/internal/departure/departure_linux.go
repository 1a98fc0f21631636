package departure

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/engine/internal/ancillary"
)

const (
	// ring bounds the packets whose departure has not been read yet. A socket's receive buffer holds some hundreds of stamps.
	ring = 1 << 10
	// batch is how many stamps are read with one call: more than are taken at a time.
	batch = 48
	// The kernel numbers the departures (OPT_ID) by send calls, and does not return the packets (OPT_TSONLY).
	give  = unix.SOF_TIMESTAMPING_SOFTWARE | unix.SOF_TIMESTAMPING_OPT_ID | unix.SOF_TIMESTAMPING_OPT_TSONLY
	stamp = unix.SOF_TIMESTAMPING_TX_SOFTWARE
)

// Queue is the departures of one socket. One goroutine calls Begin and Sending, one Take.
type Queue struct {
	fd      int
	arrival int                 // flags for packets that come
	ids     [ring]atomic.Uint64 // by the number of the send call
	calls   atomic.Uint32       // since the kernel last began to count
}

// scratch is what departures are read into.
type scratch struct {
	headers [batch]header
	control [batch][256]byte
}

// scratches are shared by all queues: thousands of them need one for each thread that takes.
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// header is struct mmsghdr.
type header struct {
	unix.Msghdr
	_ uint32
}

// New returns the queue of a socket. The flags of SO_TIMESTAMPING for arrivals stay as given, or 0.
func New(fd, arrival int) *Queue { return &Queue{fd: fd, arrival: arrival} }

// Begin makes the kernel stamp departures and count send calls from zero. It is called again after a call that failed, because
// whether such a call is counted depends on the kernel; a departure of before that is taken afterwards can bear the id of another
// packet, and an earlier time than that was sent.
func (q *Queue) Begin() error {
	if err := q.set(0); err != nil {
		return err
	}
	q.calls.Store(0)
	return q.set(give | stamp)
}

// End makes the kernel stamp departures no more. Those that it has stamped can still be taken.
func (q *Queue) End() error { return q.set(give) }

func (q *Queue) set(departure int) error {
	return unix.SetsockoptInt(q.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, q.arrival|departure)
}

// Sending notes that the next send call on the socket is that of a packet.
func (q *Queue) Sending(id uint64) {
	call := q.calls.Load()
	q.ids[call%ring].Store(id)
	q.calls.Store(call + 1)
}

// Take calls take with each departure that has not been given yet [Unix ns]; it does not wait. An ICMP message in the queue is
// dropped.
func (q *Queue) Take(take func(id uint64, kernel int64)) {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for {
		for i := range s.headers {
			s.headers[i].Control = &s.control[i][0]
			s.headers[i].SetControllen(len(s.control[i]))
		}
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(q.fd), uintptr(unsafe.Pointer(&s.headers[0])), batch, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return
		}
		for i := range int(n) {
			call, kernel, ok := read(s.control[i][:min(int(s.headers[i].Controllen), len(s.control[i]))])
			if id := q.ids[call%ring].Load(); ok && id != None && q.calls.Load()-call-1 < ring {
				take(id, kernel)
			}
		}
		if n < batch {
			return
		}
	}
}

// read gives the number of the send call and the stamp of a message of the error queue.
func read(control []byte) (call uint32, kernel int64, ok bool) {
	for m := range ancillary.All(control) {
		switch {
		case m.Is(unix.SOL_SOCKET, unix.SCM_TIMESTAMPING, unsafe.Sizeof(unix.Timespec{})):
			kernel = (*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano()
		case m.Is(unix.IPPROTO_IP, unix.IP_RECVERR, unsafe.Sizeof(unix.SockExtendedErr{})),
			m.Is(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, unsafe.Sizeof(unix.SockExtendedErr{})):
			e := (*unix.SockExtendedErr)(unsafe.Pointer(&m.Data[0]))
			call, ok = e.Data, e.Origin == unix.SO_EE_ORIGIN_TIMESTAMPING
		}
	}
	return call, kernel, ok && kernel != 0
}
