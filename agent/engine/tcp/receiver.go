package tcp

import (
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

// receiver is this end of a direction in which it receives.
type receiver struct {
	direction netp.Direction
	streams   []*inflow
	series    *series
	ended     chan error // one per stream; nil when it has its share or was stopped
	arrived   int        // streams that have their share
	reported  bool
	complete  bool
	goodput   goodput
	buffers   string // effective sizes [B], for the facts
	tasks     sync.WaitGroup
	stopped   atomic.Bool
	motion    motion
}

// inflow is one stream of a receiver.
type inflow struct {
	receiver *receiver
	conn     *port.Conn
	sink     sink
	buffer   []byte
	left     int64 // of its share; negative when there is no bound
}

// newReceiver prepares connections for receiving.
func (s *session) newReceiver(d netp.Direction, conns []*port.Conn) (*receiver, error) {
	in := &receiver{direction: d, series: newSeries(s.o), ended: make(chan error, len(conns))}
	size := max(smallBuffer, min(bufferSize, allBuffers/len(conns)))
	for i, c := range conns {
		f := &inflow{receiver: in, conn: c, buffer: make([]byte, size), left: -1}
		if s.o.bytes > 0 {
			f.left = share(s.o.bytes, i, len(conns))
		}
		var err error
		if f.sink, err = s.openSink(c); err != nil {
			return nil, err
		}
		in.streams = append(in.streams, f)
	}
	return in, nil
}

// openSink opens the sink of a stream.
func (s *session) openSink(conn *port.Conn) (sink, error) {
	if s.portable {
		return netPipe{conn.TCPConn}, nil
	}
	if s.alone() {
		if n, err := openNeighbour(conn, s.o.discard); err == nil {
			return n, nil
		}
	}
	return openSink(conn, s.o.discard)
}

// alone says whether there is one stream, between two ends on one host, and as fast as it goes: more of them keep the processors busy anyway.
// BBR sends by what it has seen of the path, so that another place of the reader would change the rate in the middle of the session, and
// by more than the processors do.
func (s *session) alone() bool {
	return s.job.SameClock && len(s.links.data) == 1 && s.o.rate == 0 && !strings.HasPrefix(s.congestion(), "bbr")
}

// congestion is the congestion control of the session: that of its order, else what this end's system has.
func (s *session) congestion() (name string) {
	if s.o.congestion != "" {
		return s.o.congestion
	}
	onSocket(s.links.data[0], func(fd uintptr) { name = congestionOf(fd) }) // unknown when it fails
	return name
}

// begin starts to read; the clock of the series starts with go or the first byte.
func (r *receiver) begin() {
	r.motion.last.Store(clock.Mono())
	for _, f := range r.streams {
		r.tasks.Go(func() { r.ended <- f.run() })
	}
}

// stop ends the reading at once. It may be called more than once.
func (r *receiver) stop() {
	if r.stopped.Swap(true) {
		return
	}
	for _, f := range r.streams {
		f.sink.stop()
	}
}

// close frees the connections and waits for the streams.
func (r *receiver) close() {
	r.stop()
	r.buffers = r.bufferSizes()
	r.tasks.Wait()
	for _, f := range r.streams {
		f.conn.SetLinger(0)
		f.conn.Close()
		f.sink.close()
	}
}

// bufferSizes reads what autotuning made of the receive buffers, of the first stream.
func (r *receiver) bufferSizes() string {
	var size int
	onSocket(r.streams[0].conn, func(fd uintptr) { _, size = buffersOf(fd) })
	return bytesFact(size)
}

// finish ends the measurement: what the streams have read until now is all there is.
func (r *receiver) finish(complete bool) {
	now := clock.Mono()
	r.stop()
	r.tasks.Wait()
	r.complete = complete
	r.goodput = r.series.measure(now, complete)
}

// run reads until the share is there or the receiver is stopped.
func (f *inflow) run() error {
	defer f.sink.attend()()
	for !f.receiver.stopped.Load() && f.left != 0 {
		b := f.buffer
		if f.left > 0 {
			b = b[:min(int64(len(b)), f.left)]
		}
		n, err := f.sink.pull(b)
		if n > 0 {
			now := clock.Mono()
			f.receiver.series.add(now, n)
			f.receiver.motion.moved(now, n)
			if f.left > 0 {
				f.left -= int64(n)
			}
		}
		if err != nil && !(f.receiver.stopped.Load() && errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	return nil
}
