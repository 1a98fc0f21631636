package rtt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
)

// connect runs a session of TCP handshakes: each probe opens a connection and resets it, which leaves nothing behind at either
// end.
//
// rtt is the time from SYN to SYN+ACK as the kernel took it, where it says so (Linux); rtt_user is what connecting took. A refusal
// is an answer of the host, so it is no loss; for it the kernel tells nothing, and both are what a program saw. Where an endpoint
// refuses every handshake there is no service to measure, and the session fails. A handshake that needed a second SYN lost the
// first one or its answer, and is a loss, though the kernel hides it from programs.
func connect(ctx context.Context, j engine.Job, c settings) (netp.Result, error) {
	target, service, err := connectTarget(ctx, j, c)
	if err != nil {
		return netp.Result{}, err
	}
	s := &connector{
		session: newBareSession(j, c, connectForward+2*ipHeader(target), target),
		network: family("tcp", target),
		address: net.JoinHostPort(target.String(), service),
		ctx:     ctx,
	}
	s.emit, s.clocks = s.start, userClocks
	if kernelSockets {
		s.clocks = kernelClocks
	}
	r, err := s.run(ctx, s.watch)
	if s.refused > 0 {
		r.Facts["refused"] = fmt.Sprint(s.refused)
	}
	if err == nil && j.Path.Endpoint && s.refused > 0 && s.refused == s.ledger.next {
		r.Metrics, r.Intervals = nil, nil
		err = &netp.Failure{Kind: netp.FailureUnreachable, Detail: fmt.Sprintf(
			"%s refused all of %d connections: the host answers, but nothing accepts connections on this port. Start the service there, correct the port, or measure the host itself with mode icmp.",
			j.Path.Dest, s.refused)}
	}
	return r, err
}

// connectTarget is where to connect to: the endpoint, or the data port of an agent.
func connectTarget(ctx context.Context, j engine.Job, c settings) (netip.Addr, string, error) {
	if !j.Path.Endpoint {
		return j.Peer.Addr().Unmap(), strconv.Itoa(int(j.Peer.Port())), nil
	}
	host, service, err := net.SplitHostPort(j.Path.Dest)
	if err != nil {
		return netip.Addr{}, "", &netp.Failure{Kind: netp.FailureUnsupported, Detail: fmt.Sprintf("The endpoint %q has no port to connect to. Write host:port.", j.Path.Dest)}
	}
	target, err := resolve(ctx, j.Dialer, "tcp", host, c.ip)
	return target, service, err
}

// connector is a running session of handshakes, each in a goroutine of its own.
type connector struct {
	*session
	network, address string
	ctx              context.Context // of the session: the handshakes end with it
	pending          sync.WaitGroup
	refused          uint64 // guarded by session.mu
}

// watch does what time brings with it until the session stops, then waits for the handshakes.
func (s *connector) watch() {
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for !s.stop.Load() {
		<-ticker.C
		s.read = clock.Mono() - int64(patience) // handshakes are noted as they end
		s.tick(clock.Mono())
	}
	s.pending.Wait() // each ends with its timeout
}

// start begins a handshake.
func (s *connector) start(counted bool) (at int64) {
	at = clock.Mono()
	if !s.allow() {
		return at
	}
	if sequence, _, ok := s.enter(counted); ok {
		s.pending.Go(func() { s.shake(sequence) })
	}
	return at
}

// shake makes one handshake.
func (s *connector) shake(sequence uint64) {
	ctx, cancel := context.WithTimeout(s.ctx, s.settings.timeout)
	defer cancel()
	var w witness
	defer w.close()
	mark := marker(s.target, s.settings.dscp)
	began := clock.Mono()
	conn, err := s.job.Dialer.Dial(ctx, s.network, s.address, func(fd uintptr) error {
		w.see(fd)
		if mark == nil {
			return nil
		}
		return mark(fd)
	})
	user := clock.Mono() - began
	if err != nil && !stood(err) {
		if w.undelivered() { // a firewall's no by ICMP reads like the host's own, and is no answer of it
			err = syscall.EHOSTUNREACH
		}
		s.failed(ctx, sequence, user, err)
		return
	}
	network, again, ok := w.handshake()
	if tcp, is := conn.(*net.TCPConn); is {
		_ = tcp.SetLinger(0) // reset: no TIME_WAIT, at neither end
		tcp.Close()
	}
	if again {
		return // lost
	}
	if !ok || network > user {
		network = user
	}
	s.done(sequence, answer{rtt: network, user: user})
}

// stood says of an error that the connection stood: the other end reset it, as an agent does that expects none, before this process was told.
// One that is reset before is refused.
func stood(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// failed takes a handshake that did not give a connection.
func (s *connector) failed(ctx context.Context, sequence uint64, user int64, err error) {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) && user < int64(firstRetry):
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
		s.done(sequence, answer{rtt: user, user: user})
	case ctx.Err() != nil, errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		// lost
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		s.mu.Lock()
		s.seen.icmp++
		s.mu.Unlock()
	default:
		s.mu.Lock()
		if p := s.ledger.at(sequence); p != nil && p.counted {
			s.seen.unsent++
		}
		s.ledger.void(sequence)
		s.seen.sendError = err
		s.mu.Unlock()
	}
}

// firstRetry is when TCP sends its SYN again (RFC 6298 §2): what took as long may have lost the first one.
const firstRetry = time.Second

// done notes an answer.
func (s *connector) done(sequence uint64, a answer) {
	s.mu.Lock()
	s.ledger.answered(sequence, a)
	s.mu.Unlock()
	select {
	case s.notify <- struct{}{}:
	default:
	}
}
