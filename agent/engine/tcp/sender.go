package tcp

import (
	"errors"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

const (
	// bufferSize is the payload of one system call: it stays in the second-level cache, and larger ones gain nothing.
	bufferSize = 512 << 10
	// allBuffers bounds the receive buffers of a direction together, as long as each has smallBuffer.
	allBuffers  = 16 << 20
	smallBuffer = 128 << 10
	// smoothing is how much faster than its schedule a paced stream may be in bursts, by the kernel's pacing.
	smoothing = 1.25
	// overtime is how long a sender goes on after its time when no report comes: the receiver's clock started later.
	overtime = time.Second
)

// sender is this end of a direction in which it sends.
type sender struct {
	direction netp.Direction
	pattern   []byte // what is sent, again and again; of newPages
	streams   []*outflow
	sampler   sampler
	ended     chan error // one per stream; nil when it sent its share or was stopped
	report    *report    // nil until the receiver has sent it
	smoothed  bool       // by the kernel, all streams
	started   int64      // monotonic [ns]; 0 before
	tasks     sync.WaitGroup

	// For the facts.
	congestion string
	buffers    string // effective send buffer of the first stream

	quit    chan struct{} // closed by stop
	stopped atomic.Bool
	held    atomic.Bool  // by the dead man
	refused atomic.Int64 // time in which the meter allowed nothing, all streams together [ns]
	motion  motion
}

// outflow is one stream of a sender.
type outflow struct {
	sender *sender
	conn   *port.Conn
	alone  bool // on one host with its reader
	source source
	at     int   // where in the pattern it is
	left   int64 // of its share; negative when there is no bound
	pacer  pacer
	grant  grant
	timer  *time.Timer
}

// newSender prepares connections for sending.
func (s *session) newSender(d netp.Direction, conns []*port.Conn) (*sender, error) {
	out := &sender{
		direction: d, smoothed: s.o.rate > 0,
		ended: make(chan error, len(conns)), quit: make(chan struct{}),
		sampler: newSampler(int64(s.o.omit)),
	}
	var err error
	if out.pattern, err = newPattern(s.job.Seed); err != nil {
		return nil, err
	}
	for i, c := range conns {
		f := &outflow{sender: out, conn: c, left: -1, alone: s.alone()}
		if s.o.bytes > 0 {
			f.left = share(s.o.bytes, i, len(conns))
		}
		if s.o.rate > 0 {
			f.pacer = newPacer(s.o.rate / float64(len(conns)))
		}
		f.grant = grant{meter: s.job.Meter, overhead: usualPacket / float64(usualPayload)}
		if err := f.prepare(s); err != nil {
			out.free()
			return nil, err
		}
		out.streams = append(out.streams, f)
	}
	return out, nil
}

// newPattern makes a pattern that cannot be compressed.
func newPattern(seed uint64) ([]byte, error) {
	pattern, err := newPages(bufferSize)
	if err != nil {
		return nil, err
	}
	var key [32]byte
	copy(key[:], strconv.FormatUint(seed, 16))
	rand.NewChaCha8(key).Read(pattern)
	return pattern, nil
}

// free gives back what the streams need besides their connections.
func (s *sender) free() {
	for _, f := range s.streams {
		f.source.close()
	}
	freePages(s.pattern)
}

// prepare sets the options of the connection and opens its source.
func (f *outflow) prepare(s *session) error {
	var failed error
	err := onSocket(f.conn, func(fd uintptr) {
		if s.o.congestion != "" && s.role == netp.Responder { // the initiator has set it before connecting
			failed = setCongestion(fd, s.o.congestion)
		}
		if f.pacer.rate > 0 && !smooth(fd, f.pacer.rate*smoothing) {
			f.sender.smoothed = false
		}
		if info := figuresOf(fd); info.payload > 0 && info.packet > info.payload {
			f.grant.overhead = float64(info.packet) / float64(info.payload)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	f.timer = time.NewTimer(0)
	if s.portable {
		f.source = netPipe{f.conn.TCPConn}
		return nil
	}
	f.source, err = openSource(f.conn.TCPConn, f.sender.pattern, f.alone)
	return err
}

// bytesFact writes a size in bytes; "" for an unknown one.
func bytesFact(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n) + " B"
}

// onSocket calls f with the descriptor of a connection.
func onSocket(c *port.Conn, f func(fd uintptr)) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(f)
}

// begin starts all streams.
func (s *sender) begin() {
	s.started = clock.Mono()
	s.motion.last.Store(s.started)
	s.sampler.begin(s.started, s.figures())
	for i, f := range s.streams {
		phase := int64(0)
		if f.pacer.rate > 0 { // the streams take turns
			phase = int64(float64(f.pacer.chunk) / f.pacer.rate * 1e9 * float64(i) / float64(len(s.streams)))
		}
		f.pacer.start = s.started + phase
		s.tasks.Go(func() { s.ended <- f.run() })
	}
}

// stop ends the sending at once. It may be called more than once.
func (s *sender) stop() {
	if s.stopped.Swap(true) {
		return
	}
	close(s.quit)
	for _, f := range s.streams {
		f.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

// close resets what is not finished, frees the connections and waits for the streams.
func (s *sender) close(orderly bool) {
	s.stop()
	onSocket(s.streams[0].conn, func(fd uintptr) {
		send, _ := buffersOf(fd)
		s.congestion, s.buffers = congestionOf(fd), bytesFact(send)
	})
	for _, f := range s.streams {
		if !orderly {
			f.conn.SetLinger(0)
		}
		f.conn.Close()
	}
	s.tasks.Wait()
	s.free()
}

// run sends until the share is sent or the sender is stopped. It ends within milliseconds of stop: nothing in it waits
// without the quit channel or the deadline of the connection.
func (f *outflow) run() error {
	if f.alone {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
	}
	for !f.sender.stopped.Load() {
		n, wait := f.next(clock.Mono())
		if n == 0 && wait == 0 {
			return f.conn.CloseWrite()
		}
		if n == 0 {
			f.pause(wait)
			continue
		}
		before := clock.Mono()
		n, err := f.source.push(f.sender.pattern[f.at : f.at+n])
		now := clock.Mono()
		f.sender.motion.moved(now, n)
		if took := time.Duration(now - before); took > time.Millisecond {
			f.pacer.excused += took
		}
		f.sent(n)
		if err != nil && !(f.sender.stopped.Load() && errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}

// patience is the time between two looks at what holds a stream back.
const patience = 2 * time.Millisecond

// next says how many bytes to send now. None and no wait means that the share is sent.
func (f *outflow) next(now int64) (n int, wait time.Duration) {
	if f.left == 0 {
		return 0, 0
	}
	n = len(f.sender.pattern) - f.at
	if f.pacer.rate > 0 {
		due, wait := f.pacer.due(now)
		if wait > 0 {
			return 0, wait
		}
		n = min(n, due)
	}
	if f.left > 0 {
		n = int(min(int64(n), f.left))
	}
	if f.sender.held.Load() {
		f.pacer.excused += patience
		return 0, patience
	}
	if n = f.grant.payload(n); n == 0 {
		f.sender.refused.Add(int64(patience))
		f.pacer.excused += patience
		return 0, patience
	}
	return n, 0
}

// sent books n bytes.
func (f *outflow) sent(n int) {
	f.at = (f.at + n) % len(f.sender.pattern)
	f.pacer.spent += float64(n)
	f.grant.use(n)
	if f.left > 0 {
		f.left -= int64(n)
	}
}

// pause waits, unless the sender is stopped.
func (f *outflow) pause(d time.Duration) {
	f.timer.Reset(d)
	select {
	case <-f.timer.C:
	case <-f.sender.quit:
	}
}

// figures reads TCP_INFO of all streams.
func (s *sender) figures() []figures {
	all := make([]figures, len(s.streams))
	for i, f := range s.streams {
		if err := onSocket(f.conn, func(fd uintptr) { all[i] = figuresOf(fd) }); err != nil {
			all[i] = figures{} // closed: the next to last reading stands
		}
	}
	return all
}
