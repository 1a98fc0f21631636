package udp

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

// errBusy says that the system has no room for a packet just now; it was not sent.
var errBusy = errors.New("no room in the socket")

// socket is a flow as the loops use it. read is for one goroutine, send, sendAll and sendSegments for one each at a time; they may run
// beside each other. While the socket traces, all is for one goroutine.
type socket interface {
	// send sends one packet without waiting, or fails with errBusy or the system's error. When the socket traces, departures
	// will give the id, unless it is departure.None.
	send(packet []byte, id uint64) error
	// rehearse does what send does, but for sending, where the system can do that.
	rehearse(packet []byte)
	// sendAll sends packets in turn, with one call where the system can, and says how many were sent before an error as of send. It
	// may send fewer without one.
	sendAll(packets [][]byte) (int, error)
	// sendSegments sends packets of equal size that lie one after the other with one call; false means that the system cannot
	// do it and nothing was sent.
	sendSegments(packets []byte, size int) (bool, error)
	// read waits for packets until a time (clock.Mono) and gives those there are, valid until the next call. None, without an
	// error, when there are none and the time is over, or when the network has sent an error message. An error is the end of the
	// socket.
	read(until int64) ([]datagram, error)
	// each takes what read gives, again and again until there is to be no more.
	each(take taker)
	// relax says whether what comes may wait in the socket until the time that each was given, because its stamps tell when it came.
	// It is for the goroutine that takes.
	relax(on bool)
	// lags calls take with how long the last read came later than it could have, and from when on [Unix ns], as far as that is known. Where
	// packets waited because they may, it is called for each time since the call before in which the host stood still.
	lags(take func(from, lasted int64))
	// follow lets the calling thread, which its goroutine keeps, catch up with the flood of a sender on this host when it is behind,
	// until release is called.
	follow() (release func())
	// trace begins to ask the system when packets leave; false means that it cannot tell, and nothing has changed. From then on no
	// read waits, because whoever waits would be woken whenever a packet has left, before it is on its way.
	trace() bool
	// departures calls take with the id of each packet whose departure it has not given yet, and the kernel's stamp of it [Unix
	// ns]. It does not wait.
	departures(take func(id uint64, kernel int64))
	// untrace ends that. What has left before can still be asked for.
	untrace()
	// interrupt makes a read that waits return soon.
	interrupt()
	// drops is how many packets that arrived the system has dropped at this socket, and late how many of so many the sockets of the
	// session did not read in time, at most: the others came damaged.
	drops() uint64
	late(dropped uint64) uint64
	// describe says what the socket is like.
	describe() socketFacts
	// close ends its use, before the flow is closed; no read runs any more.
	close()
}

// taker takes what a read gave. It says until when to wait for more (clock.Mono), and whether at all.
type taker func(batch []datagram, err error) (until int64, more bool)

// each is that of a socket which nobody else reads for its owner.
func each(s socket, take taker) {
	until, more := take(nil, nil)
	for more {
		until, more = take(s.read(until))
	}
}

// datagram is what one read of a socket gives: one packet, or several of equal size that the system has joined.
type datagram struct {
	data  []byte
	size  int   // of each packet; the last may be shorter
	stamp int64 // wall clock of the arrival
}

// socketFacts is what results tell of a socket.
type socketFacts struct {
	kernelStamps  bool
	receiveBuffer int // bytes, 0 when unknown
	joins         bool
	path          int // MTU, 0 when unknown
}

// plainSocket is a socket of any system, with the clock of the reader as stamp of the arrival.
type plainSocket struct {
	flow     *port.Flow
	clock    *clock.Clock
	buffer   []byte
	batch    [1]datagram
	deadline int64
}

// newSharedSocket is the socket of a flow that shares that of its port: what it sends cannot be marked.
func newSharedSocket(f *port.Flow, s settings, c *clock.Clock, receives bool) (socket, error) {
	if s.dscp != 0 && !receives {
		return nil, fmt.Errorf("the answering agent's system gives a flow no socket of its own, so its packets cannot carry dscp %d; "+
			"let the other agent send, or leave dscp out: %w", s.dscp, errors.ErrUnsupported)
	}
	return newPlainSocket(f, c), nil
}

func newPlainSocket(f *port.Flow, c *clock.Clock) *plainSocket {
	return &plainSocket{flow: f, clock: c, buffer: make([]byte, 1<<16)}
}

func (s *plainSocket) send(packet []byte, _ uint64) error {
	_, err := s.flow.Write(packet)
	return err
}

func (s *plainSocket) rehearse([]byte) {}

func (s *plainSocket) sendAll(packets [][]byte) (int, error) {
	for i, p := range packets {
		if _, err := s.flow.Write(p); err != nil {
			return i, err
		}
	}
	return len(packets), nil
}

func (s *plainSocket) each(take taker) { each(s, take) }

func (s *plainSocket) relax(bool) {}

func (s *plainSocket) lags(func(from, lasted int64)) {}

func (s *plainSocket) follow() (release func()) { return func() {} }

func (s *plainSocket) trace() bool { return false }

func (s *plainSocket) departures(func(uint64, int64)) {}

func (s *plainSocket) untrace() {}

func (s *plainSocket) sendSegments([]byte, int) (bool, error) { return false, nil }

func (s *plainSocket) read(until int64) ([]datagram, error) {
	if err := setDeadline(s.flow, &s.deadline, until); err != nil {
		return nil, err
	}
	n, err := s.flow.Read(s.buffer)
	stamp := s.clock.Nanos()
	if err != nil {
		return nil, ended(err)
	}
	s.batch[0] = datagram{data: s.buffer[:n], size: n, stamp: stamp}
	return s.batch[:], nil
}

// interrupt ends the read by its deadline. If that fails, the read ends by itself, a little later.
func (s *plainSocket) interrupt() { _ = s.flow.SetReadDeadline(time.Now()) }

func (s *plainSocket) close() {}

func (s *plainSocket) drops() uint64 { return 0 }

func (s *plainSocket) late(dropped uint64) uint64 { return dropped }

func (s *plainSocket) describe() socketFacts { return socketFacts{} }

// setDeadline makes reads end at a time of clock.Mono, unless they do already. A deadline that has passed would end a read before
// it looks: after a stall of the host, packets that are there would seem not to be. So it is always a little ahead.
func setDeadline(f *port.Flow, current *int64, until int64) error {
	now := clock.Mono()
	if until = max(until, now+int64(time.Millisecond)); *current == until {
		return nil
	}
	*current = until
	return f.SetReadDeadline(time.Now().Add(time.Duration(until - now)))
}

// ended keeps the error after which a socket gives nothing more. A deadline is none, and neither is what an ICMP message left.
func ended(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
