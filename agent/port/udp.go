package port

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// silence is how long an initiator that has no answer to its hello can be quiet. It repeats hellos at most maxResend apart,
// so after this long it has the answer, or is gone.
const (
	silence   = time.Second
	maxResend = 400 * time.Millisecond
)

// udpListener is a socket of the port that is connected to nobody: it gets what belongs to no flow.
type udpListener struct {
	conn  *net.UDPConn
	local netip.AddrPort // the address is unspecified when the socket is bound to all
}

// serveUDP reads until the socket is closed.
func (p *Port) serveUDP(l *udpListener) {
	packet := make([]byte, 64<<10)
	ancillary := make([]byte, 128)
	for {
		n, k, _, from, err := l.conn.ReadMsgUDPAddrPort(packet, ancillary)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error of an earlier answer
		}
		p.receiveUDP(l, packet[:n], ancillary[:k], unmapped(from))
	}
}

// receiveUDP takes one packet: of a flow that shares the socket, a hello, or a stray.
func (p *Port) receiveUDP(l *udpListener, packet, ancillary []byte, from netip.AddrPort) {
	if f := p.links.find(l, from); f != nil {
		p.receiveShared(f, packet)
		return
	}
	h, err := parseSetup(packet)
	if err != nil || h.kind != kindHello || h.network != overUDP {
		p.counters.malformed.Add(1)
		return
	}
	s := p.session(h.session)
	if s == nil {
		p.counters.unknownSession.Add(1)
		return
	}
	a, v := s.admit(h, packet, from)
	switch v {
	case admitted:
		p.acceptUDP(l, s, a, h, packet, ancillary)
	case repeated:
		s.again(a)
	default:
		p.counters.reject(v)
	}
}

// acceptUDP makes the flow, answers from its socket, and hands it over once the peer has the answer.
func (p *Port) acceptUDP(l *udpListener, s *Session, a *admission, h setup, packet, ancillary []byte) {
	f := &Flow{
		Stream: h.stream, Role: h.role,
		SendKey: s.keys.Responder, ReceiveKey: s.keys.Initiator,
		Remote: a.from,
		nonce:  h.nonce, session: h.session,
		hello: [setupSize]byte(packet), ack: s.acknowledge(h),
		respond: true, counters: &p.counters,
		release: func() { s.release(h.slot(), a) },
	}
	if err := p.equip(f, l, ancillary, s.control); err != nil {
		s.release(h.slot(), a)
		p.counters.refused.Add(1)
		p.logger.Warn("no socket for a UDP flow", "session", s.id, "peer", a.from, "error", err)
		return
	}
	if !s.attach(a, f) {
		f.Close()
		return
	}
	p.counters.acceptedUDP.Add(1) // before the answer: whoever has that may look
	f.acknowledge()
	settled := p.run(func() {
		if f.wait() != nil {
			f.Close()
			return
		}
		s.deliver(f)
	})
	if !settled {
		f.Close()
	}
}

// equip gives the flow a socket of its own, or a share of the listener's.
func (p *Port) equip(f *Flow, l *udpListener, ancillary []byte, control func(uintptr, string) error) error {
	if !p.ownSockets() {
		f.Local = l.local
		f.shared = p.links.add(l, f)
		return nil
	}
	return p.connect(f, l, ancillary, control)
}

// wait blocks until the initiator is known to have the answer.
func (f *Flow) wait() error {
	if f.shared != nil {
		return f.shared.settle()
	}
	return f.settle()
}

func (c *counters) reject(v verdict) {
	switch v {
	case wrongPeer:
		c.wrongPeer.Add(1)
	case badTag:
		c.badTag.Add(1)
	case replayed:
		c.replayed.Add(1)
	default:
		c.refused.Add(1)
	}
}
