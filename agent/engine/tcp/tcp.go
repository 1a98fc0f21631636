// Package tcp is the engine of the kind "tcp": bulk transfer over one or many connections, in one direction or both at once.
// The receiver counts payload on its own clock, the sender reads what TCP knows of the connections; each end reports its own.
//
// It does not judge, and it is no measurement of the wire: goodput is payload, without headers and retransmissions. Known
// limits: outside Linux there is no TCP_INFO (only throughput is reported), no choice of congestion control or segment
// size, and receive = discard copies; the rate of a paced session is that of the payload; a stream of payload is not
// authenticated (see protocol.md); a transfer shorter than 10 ms is too short for a rate and marked so.
//
// Start with session.conduct, the course of a session. sender.go and receiver.go are the two hot loops, series.go and
// sampler.go what is measured, protocol.md what crosses the wire.
package tcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

// Engine runs tcp sessions. The zero value is ready.
type Engine struct {
	// portable makes Linux use what the other systems use.
	portable bool
}

var _ engine.Engine = (*Engine)(nil)

// Streams and roles on the data port, see protocol.md.
const (
	controlStream uint16 = 0xffff
	roleControl   uint8  = 0
	roleForward   uint8  = 1
	roleReverse   uint8  = 2
)

// dialers is how many connections the initiator opens at the same time: the data port keeps few strangers waiting.
const dialers = 8

// Initiate opens the connections, says go and takes part until the end.
func (e *Engine) Initiate(ctx context.Context, job engine.Job) netp.Result {
	s := e.session(job, netp.Initiator)
	if s.failure = s.o.validate(job.Peer.Addr().Unmap()); s.failure != nil {
		return s.result()
	}
	if s.o.mss > 0 && job.Dialer.Inward != nil { // it is settled in the handshake, which the other end begins
		s.failure = failure(netp.FailureUnsupported, "The profile sets mss, and the other agent is behind NAT and opens the connections itself: it cannot be kept. Remove mss for this path.")
		return s.result()
	}
	return s.run(ctx, s.dial)
}

// Respond waits for the connections and takes part until the end.
func (e *Engine) Respond(ctx context.Context, job engine.Job) netp.Result {
	s := e.session(job, netp.Responder)
	if s.failure = s.o.validate(job.Peer.Addr()); s.failure != nil {
		return s.result()
	}
	return s.run(ctx, s.accept)
}

// links are the connections of a session.
type links struct {
	control *port.Conn
	data    []*port.Conn
}

// of gives the connections with the role, in the order of their streams.
func (l *links) of(role uint8) []*port.Conn {
	var conns []*port.Conn
	for _, c := range l.data {
		if c.Role == role {
			conns = append(conns, c)
		}
	}
	slices.SortFunc(conns, func(a, b *port.Conn) int { return cmp.Compare(a.Stream, b.Stream) })
	return conns
}

func (l *links) close() {
	for _, c := range l.data {
		c.SetLinger(0)
		c.Close()
	}
	if l.control != nil {
		l.control.Close()
	}
}

// wanted lists the roles of the data connections.
func (o options) wanted() []uint8 {
	switch o.direction {
	case netp.Reverse:
		return []uint8{roleReverse}
	case netp.Both:
		return []uint8{roleForward, roleReverse}
	}
	return []uint8{roleForward}
}

// dial opens the connections of the session: control first, which tells at once whether the peer is there.
func (s *session) dial(ctx context.Context) (l links, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.timeout)
	defer cancel()
	open := func(stream uint16, role uint8) (*port.Conn, error) {
		return s.job.Dialer.DialTCP(ctx, s.job.Peer, s.job.ID, s.job.Keys, port.Options{
			Stream: stream, Role: role, DSCP: s.o.dscp, Control: s.beforeConnect(role),
		})
	}
	if l.control, err = open(controlStream, roleControl); err != nil {
		return l, err
	}
	type slot struct {
		stream uint16
		role   uint8
	}
	todo := make(chan slot, 2*maxStreams)
	for _, role := range s.o.wanted() {
		for i := range s.o.streams {
			todo <- slot{uint16(i), role}
		}
	}
	close(todo)
	var (
		mu  sync.Mutex // guards l.data and err
		all sync.WaitGroup
	)
	for range min(dialers, len(todo)) {
		all.Go(func() {
			for next := range todo {
				c, failed := open(next.stream, next.role)
				mu.Lock()
				if failed == nil {
					l.data = append(l.data, c)
				} else if err == nil {
					err = failed
					cancel() // the others need not wait
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if silent := new(port.Unreachable); errors.As(err, &silent) {
		silent.Stood = 1 + len(l.data)
	}
	return l, err
}

// beforeConnect sets what has to be set before the handshake.
func (s *session) beforeConnect(role uint8) func(fd uintptr, network string) error {
	return func(fd uintptr, _ string) error {
		if s.o.mss > 0 && role != roleControl {
			if err := setMSS(fd, s.o.mss); err != nil {
				return err
			}
		}
		if s.o.congestion != "" && role == roleForward {
			return setCongestion(fd, s.o.congestion)
		}
		return nil
	}
}

// accept waits for the connections of the session. The first may take as long as the orders allow, the others the timeout.
func (s *session) accept(ctx context.Context) (l links, err error) {
	expected := len(s.o.wanted()) * s.o.streams
	for l.control == nil || len(l.data) < expected {
		c, err := s.job.Accept.AcceptTCP(ctx)
		switch {
		case errors.Is(err, port.ErrExpired):
			return l, failure(netp.FailureTimeout, "The initiator did not open its connections in time: %d of %d came. Does a firewall or NAT on the way limit connections?", len(l.data), expected)
		case err != nil:
			return l, err
		}
		if len(l.data) == 0 && l.control == nil {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, s.o.timeout)
			defer cancel()
		}
		switch {
		case c.Role == roleControl && c.Stream == controlStream && l.control == nil:
			l.control = c
		case slices.Contains(s.o.wanted(), c.Role) && int(c.Stream) < s.o.streams && len(l.data) < expected:
			l.data = append(l.data, c)
		default: // the hello was authentic
			c.Close()
			return l, differentOrders(fmt.Sprintf("the initiator opened a connection that the session does not have, stream %d, role %d", c.Stream, c.Role))
		}
		if s.o.dscp != 0 {
			if err := markConn(c, s.o.dscp); err != nil {
				return l, err
			}
		}
	}
	return l, nil
}

// markConn sets the DSCP of a connection that was accepted.
func markConn(c *port.Conn, dscp int) error {
	network := "tcp4"
	if c.Local.Addr().Is6() {
		network = "tcp6"
	}
	var failed error
	err := onSocket(c, func(fd uintptr) { failed = port.SetDSCP(fd, network, dscp) })
	return errors.Join(err, failed)
}
