package rtt

import (
	"errors"
	"net"
	"os"
	"time"

	"github.com/netpupper/netp/agent/port"
)

// patience is how long one receive waits at most, so that its loop sees the time and a cancelled session.
const patience = 100 * time.Millisecond

var (
	// errNothing: nothing arrived in time.
	errNothing = errors.New("nothing arrived")
	// errICMP: the network said by ICMP that an earlier packet did not arrive. It is news about that packet, not about this call.
	errICMP = errors.New("ICMP error")
)

// socket is a connected datagram socket that knows when its packets left and came. One goroutine sends and one receives.
type socket interface {
	// send sends a packet. An error means that it was not sent.
	send(packet []byte, sequence uint64) error
	// receive waits for a packet, at most patience: then, or when something else came, it gives errNothing or errICMP.
	receive(packet []byte, a *arrival) (int, error)
	// departures calls take with the sequence number and the kernel's stamp of each packet whose departure it has not given
	// yet; it does not wait.
	departures(take func(sequence uint64, kernel int64))
	// clocks says which stamps the socket gives: a word for Result.Facts.
	clocks() string
	// late is how many of the packets that the socket has dropped were not read in time, at most: the others came damaged.
	late(dropped uint32) uint32
	close() error
}

// poller is a socket that one goroutine can both send and receive on.
type poller interface {
	socket
	// await waits until something may be there to receive, or until a time of clock.Mono; then it says false.
	await(until int64) bool
	// poll is receive without waiting.
	poll(packet []byte, a *arrival) (int, error)
}

// arrival is what is known of a packet that was received.
type arrival struct {
	kernel int64  // the kernel's stamp, Unix nanoseconds; 0 when there is none
	drops  uint32 // packets this socket has dropped since it was opened; see socket.late
	ttl    int    // TTL or hop limit; -1 when not known
	tos    int    // type of service or traffic class; -1 when not known
}

// What clocks gives.
const (
	kernelClocks = "kernel"
	userClocks   = "user"
)

// stream is what plainSocket needs of a connection.
type stream interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// plainSocket is a socket for every system: it gives no stamps.
type plainSocket struct{ stream }

func (s plainSocket) send(packet []byte, _ uint64) error {
	_, err := s.Write(packet)
	return err
}

func (s plainSocket) receive(packet []byte, a *arrival) (int, error) {
	*a = arrival{ttl: -1, tos: -1}
	if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	n, err := s.Read(packet)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, errNothing
	case errors.Is(err, net.ErrClosed):
		return 0, err
	default:
		<-time.After(time.Millisecond) // what else a connected socket reports, at most so often
		return 0, errICMP
	}
}

func (s plainSocket) departures(func(uint64, int64)) {}
func (s plainSocket) clocks() string                 { return userClocks }
func (s plainSocket) late(dropped uint32) uint32     { return dropped }
func (s plainSocket) close() error                   { return s.Close() }

// flowSocket makes a socket of a flow between agents; departing says whether departures are stamped too.
func flowSocket(f *port.Flow, departing bool) (socket, error) {
	if fd, ok := f.Raw(); ok {
		return newKernelSocket(fd, departing, f.Close)
	}
	return plainSocket{f}, nil
}

// connSocket makes a socket of a plain connection.
func connSocket(c net.Conn) (socket, error) {
	if u, ok := c.(*net.UDPConn); ok && kernelSockets {
		return newConnSocket(u)
	}
	return plainSocket{c}, nil
}
