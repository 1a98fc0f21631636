package port

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Expectation says whom the port lets in for one session.
type Expectation struct {
	ID   SessionID
	Keys Keys
	// Peer is the only address that is let in; the zero Addr binds the session to the first address with a valid hello.
	Peer netip.Addr
	// Peers are the networks the peer must be in; nil for any.
	Peers []netip.Prefix
	// Until is the end of the expectation. What was accepted before goes on.
	Until time.Time
	// Control, if not nil, sets options on the socket of each flow before its first packet, and of each connection once it
	// is authenticated. The network is "udp4", "udp6", "tcp4" or "tcp6". UDP flows outside Linux have no socket of their
	// own, and Control is not called for them.
	Control func(fd uintptr, network string) error
}

// maxFlows bounds the flows and connections of one session, those that have ended included.
const maxFlows = 4096

// Session is what an Expectation opened. Its methods may be called concurrently.
type Session struct {
	port    *Port
	id      SessionID
	keys    Keys
	until   time.Time
	peers   []netip.Prefix
	control func(fd uintptr, network string) error
	done    chan struct{} // closed by Close

	mu      sync.Mutex // guards what follows
	udp     line[Flow]
	tcp     line[Conn]
	peer    netip.Addr
	check   *Tagger
	sign    *Tagger
	nonces  map[[nonceSize]byte]struct{}
	slots   map[slot]*admission
	closing bool
}

// slot is what only one flow or connection can hold at a time.
type slot struct {
	network uint8
	stream  uint16
	role    uint8
}

// admission is a hello that was let in, until its flow or connection is closed.
type admission struct {
	nonce [nonceSize]byte
	from  netip.AddrPort
	flow  *Flow // nil until its socket exists
}

// verdict is what a session says about a hello.
type verdict uint8

const (
	admitted  verdict = iota
	repeated          // the same hello again, from the same address: it may be answered again
	wrongPeer         // silent from here on
	badTag
	replayed
	full
)

func newSession(p *Port, e Expectation) *Session {
	return &Session{
		port: p, id: e.ID, keys: e.Keys, until: e.Until, peers: e.Peers, control: e.Control,
		peer:   e.Peer.Unmap(),
		done:   make(chan struct{}),
		udp:    newLine[Flow](),
		tcp:    newLine[Conn](),
		check:  NewTagger(e.Keys.Initiator),
		sign:   NewTagger(e.Keys.Responder),
		nonces: make(map[[nonceSize]byte]struct{}),
		slots:  make(map[slot]*admission),
	}
}

// AcceptUDP waits for the next flow. It returns the error of ctx, ErrExpired or ErrClosed.
func (s *Session) AcceptUDP(ctx context.Context) (*Flow, error) { return accept(ctx, s, &s.udp) }

// AcceptTCP waits for the next connection. It returns the error of ctx, ErrExpired or ErrClosed.
func (s *Session) AcceptTCP(ctx context.Context) (*Conn, error) { return accept(ctx, s, &s.tcp) }

func accept[T any](ctx context.Context, s *Session, l *line[T]) (*T, error) {
	expiry := time.NewTimer(time.Until(s.until))
	defer expiry.Stop()
	for {
		s.mu.Lock()
		one := l.take()
		s.mu.Unlock()
		if one != nil {
			return one, nil
		}
		select {
		case <-l.more:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.done:
			return nil, ErrClosed
		case <-expiry.C:
			return nil, ErrExpired
		}
	}
}

// line is what was let in and nobody has accepted yet, at most maxFlows. Its methods are for who holds Session.mu.
type line[T any] struct {
	first []*T
	more  chan struct{} // tells one who waits that there is something
}

func newLine[T any]() line[T] { return line[T]{more: make(chan struct{}, 1)} }

func (l *line[T]) put(one *T) {
	l.first = append(l.first, one)
	l.tell()
}

// take gives what has waited longest; nil when nothing does.
func (l *line[T]) take() *T {
	if len(l.first) == 0 {
		return nil
	}
	one := l.first[0]
	l.first = l.first[1:]
	if len(l.first) > 0 {
		l.tell() // another one who waits
	}
	return one
}

func (l *line[T]) tell() {
	select {
	case l.more <- struct{}{}:
	default: // it is told already
	}
}

// Close ends the expectation and closes what nobody has accepted yet. It may be called more than once.
func (s *Session) Close() {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return
	}
	s.closing = true
	var unsettled []*Flow
	for _, a := range s.slots {
		if a.flow != nil && !a.flow.settled {
			unsettled = append(unsettled, a.flow)
		}
	}
	flows, conns := s.udp.first, s.tcp.first
	s.udp.first, s.tcp.first = nil, nil
	close(s.done)
	s.mu.Unlock()
	if s.port != nil { // else it belongs to a Visit
		s.port.forget(s)
	}
	for _, f := range append(unsettled, flows...) {
		f.Close()
	}
	for _, c := range conns {
		c.Close()
	}
}

func (s *Session) expired(now time.Time) bool { return !now.Before(s.until) }

// allows says whether a packet from the address can be of this session.
func (s *Session) allows(from netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.possible(from)
}

// possible is allows for who holds s.mu.
func (s *Session) possible(from netip.Addr) bool {
	if s.peer.IsValid() {
		return s.peer == from
	}
	return s.peers == nil || slices.ContainsFunc(s.peers, func(p netip.Prefix) bool { return p.Contains(from) })
}

// admit judges a hello. On admitted the slot is taken until release.
func (s *Session) admit(h setup, packet []byte, from netip.AddrPort) (*admission, verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.possible(from.Addr()) {
		return nil, wrongPeer
	}
	if !s.check.Open(packet) {
		return nil, badTag
	}
	at := h.slot()
	held := s.slots[at]
	if held != nil && held.nonce == h.nonce && held.from == from {
		return held, repeated
	}
	if _, seen := s.nonces[h.nonce]; seen || held != nil {
		return nil, replayed
	}
	if s.closing || len(s.nonces) == maxFlows {
		return nil, full
	}
	s.peer = from.Addr()
	s.nonces[h.nonce] = struct{}{}
	a := &admission{nonce: h.nonce, from: from}
	s.slots[at] = a
	return a, admitted
}

// attach ties the flow to its admission, so that Close finds it. It says false when the session has closed meanwhile.
func (s *Session) attach(a *admission, f *Flow) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.flow = f
	return !s.closing
}

// again answers a hello that came again, until the flow is handed over: then it is its owner's alone, who reads what comes from now on.
func (s *Session) again(a *admission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.flow != nil && !a.flow.settled {
		a.flow.acknowledge()
	}
}

// deliver hands a flow to AcceptUDP, or closes it when the session is closed.
func (s *Session) deliver(f *Flow) {
	s.mu.Lock()
	f.settled = true
	open := !s.closing
	if open {
		s.udp.put(f)
	}
	s.mu.Unlock()
	if !open {
		f.Close()
	}
}

// deliverTCP hands a connection to AcceptTCP; it says false when the session is closed.
func (s *Session) deliverTCP(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	s.tcp.put(c)
	return true
}

// release gives the slot of an admission back. Its nonce stays known.
func (s *Session) release(at slot, a *admission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots[at] == a {
		delete(s.slots, at)
	}
}

// acknowledge makes the answer to a hello.
func (s *Session) acknowledge(h setup) [setupSize]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return h.answer(kindAck, time.Now().UnixNano()).encode(s.sign)
}

func (h setup) slot() slot { return slot{h.network, h.stream, h.role} }
