// Package port is the data port of an agent: one UDP and one TCP port, with the same number, shared by all sessions, so
// that a firewall needs one rule.
//
// The port is mute until a session is expected, and then answers only that session: an initiator proves with a tagged hello
// that it has the key of the session; everything else is dropped without a byte in return, and no answer is longer than its
// request. What comes out is an authenticated flow (UDP) or connection (TCP) with a socket of its own and the keys of its
// two directions; what travels on it belongs to the engines.
//
// The package does not authenticate the packets of the engines (Tagger does, in their hands), does not meter them, and knows
// nothing of orders and policies: whoever calls Expect has decided.
//
// Start with Listen, Port.Expect and Session.AcceptUDP on the side that answers, with Dialer on the side that asks. The
// packets of the set-up are described in hello.go.
package port

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Config describes a data port.
type Config struct {
	// Where the port is opened. Without an Address it is open on all addresses of the host, IPv4 and IPv6.
	Where
	// Addresses, if any, are those it is opened on instead: the addresses of a device, where another port of the host has
	// its number on some address already.
	Addresses []netip.Addr
	// Port is the number of both the UDP and the TCP port; 0 takes one that is free for both.
	Port uint16
	// Logger gets what an operator can act on; nil logs nothing.
	Logger *slog.Logger

	// portable makes Linux use what the other systems use: flows that share the socket of the port.
	portable bool
}

// Port is an open data port. Its methods may be called concurrently.
type Port struct {
	config   Config
	address  netip.AddrPort
	logger   *slog.Logger
	counters counters
	waiting  waiting // TCP connections that have not said hello yet
	links    links   // flows that share a socket with the port

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.Mutex // guards what follows
	closed   bool
	tcp      []*net.TCPListener
	udp      []*udpListener
	sessions map[SessionID]*Session
}

// Listen opens the data port. It answers nobody until Expect is called. The caller closes it.
//
// Errors say which port is taken and by what to replace it, which namespace or interface is missing, and which permission.
func Listen(cfg Config) (*Port, error) {
	p := &Port{config: cfg, logger: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), sessions: make(map[SessionID]*Session)}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if err := cfg.do(p.open); err != nil {
		p.cancel()
		return nil, err
	}
	for _, l := range p.udp {
		p.tasks.Go(func() { p.serveUDP(l) })
	}
	for _, l := range p.tcp {
		p.tasks.Go(func() { p.serveTCP(l) })
	}
	return p, nil
}

// freePortTries bounds the search for a number that is free for UDP and TCP when none was asked for.
const freePortTries = 32

// open opens the listeners, all on one number.
func (p *Port) open() error {
	for try := 1; ; try++ {
		err := p.openAll(p.config.Port)
		if err == nil {
			return nil
		}
		p.closeListeners()
		if p.config.Port != 0 || try == freePortTries || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
}

// openAll opens TCP before UDP: a TCP port cannot be shared by mistake, so a second agent on the number is found.
func (p *Port) openAll(number uint16) error {
	addresses := p.config.Addresses
	switch {
	case len(addresses) > 0:
	case p.config.Address.IsValid():
		addresses = []netip.Addr{p.config.Address.Unmap()}
	default:
		addresses = []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	for i, a := range addresses {
		err := p.openOn(netip.AddrPortFrom(a, number))
		if i > 0 && lacksFamily(err) {
			break // a host without IPv6
		}
		if err != nil {
			return err
		}
		number = p.address.Port()
	}
	p.address = netip.AddrPortFrom(addresses[0], number)
	return nil
}

func (p *Port) openOn(a netip.AddrPort) error {
	config := net.ListenConfig{Control: p.config.control(family("tcp", a.Addr()), nil), KeepAlive: -1}
	config.SetMultipathTCP(false) // the engines read and set options that only plain TCP has
	listener, err := config.Listen(p.ctx, family("tcp", a.Addr()), a.String())
	if err != nil {
		return explainListen("TCP", a, err)
	}
	p.tcp = append(p.tcp, listener.(*net.TCPListener))
	a = addrPort(listener.Addr())
	udp, err := p.listenUDP(a)
	if err != nil {
		return explainListen("UDP", a, err)
	}
	p.udp = append(p.udp, udp)
	p.address = a
	return nil
}

// Addr is the address of the port. Without an address in the Config it is 0.0.0.0 with the number.
func (p *Port) Addr() netip.AddrPort { return p.address }

// Close closes the port and its sessions, and waits until nothing of it runs any more. Flows and connections that were
// accepted stay open: they belong to those who accepted them. (Where flows share the socket of the port, i.e. not on Linux,
// they end with it.)
func (p *Port) Close() error {
	p.mu.Lock()
	p.closed = true
	sessions := make([]*Session, 0, len(p.sessions))
	for _, s := range p.sessions {
		sessions = append(sessions, s)
	}
	p.closeListeners()
	p.mu.Unlock()
	p.cancel()
	p.waiting.closeAll()
	for _, s := range sessions {
		s.Close()
	}
	p.links.closeAll()
	p.tasks.Wait()
	return nil
}

func (p *Port) closeListeners() {
	for _, l := range p.tcp {
		l.Close()
	}
	for _, l := range p.udp {
		l.conn.Close()
	}
	p.tcp, p.udp = nil, nil
}

// Expect opens the port for one session. It is an error when the id is expected already, or the deadline has passed.
func (p *Port) Expect(e Expectation) (*Session, error) {
	now := time.Now()
	if !now.Before(e.Until) {
		return nil, fmt.Errorf("expect session %v: its deadline %s has passed", e.ID, e.Until.Format(time.RFC3339))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	for id, s := range p.sessions {
		if s.expired(now) {
			delete(p.sessions, id)
		}
	}
	if p.sessions[e.ID] != nil {
		return nil, fmt.Errorf("expect session %v: it is expected already", e.ID)
	}
	s := newSession(p, e)
	p.sessions[e.ID] = s
	return s, nil
}

// session finds an expected session that has not expired; nil when there is none.
func (p *Port) session(id SessionID) *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[id]; s != nil && !s.expired(time.Now()) {
		return s
	}
	return nil
}

// expects says whether any session may come from the address.
func (p *Port) expects(from netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, s := range p.sessions {
		if !s.expired(now) && s.allows(from) {
			return true
		}
	}
	return false
}

// forget takes a session out, unless another one has its id by now.
func (p *Port) forget(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions[s.id] == s {
		delete(p.sessions, s.id)
	}
}

// run starts a task that Close waits for; it says false when the port is closed.
func (p *Port) run(task func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.tasks.Go(task)
	return true
}

// lacksFamily says whether the host has no such address family, or none of its addresses.
func lacksFamily(err error) bool {
	return errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func explainListen(network string, a netip.AddrPort, err error) error {
	at := fmt.Sprintf("open data port %d, %s, on %s", a.Port(), network, a.Addr())
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: the port is taken, by another agent or another program: stop that one or give this agent another data port: %w", at, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: no permission: take a port above 1023: %w", at, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this host (or network namespace) has no such address: %w", at, err)
	}
	return fmt.Errorf("%s: %w", at, err)
}
