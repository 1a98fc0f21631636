package port

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Opening the path from the inside. A responder behind NAT cannot be dialled, so it dials: first one TCP connection, the bell,
// to the data port of the initiator. On it the initiator asks for each flow and connection that its engine opens, by a set-up
// packet of the kind "open" with its number and role, and the responder dials that one, too. The set-up is that of hello.go
// with the keys changed over: each side signs with its own key, whoever opens. What comes out are the same flows with the same
// keys, and neither engine sees a difference: the initiator dials, the responder accepts, and what they measure begins later.

const (
	// bellStream and bellRole number the bell. No engine uses them.
	bellStream = 0xffff
	bellRole   = 0xff
	// bellTime is how long an initiator waits for the bell: the order to the responder may take a while.
	bellTime = 20 * time.Second
	// maxOpening bounds the dials of a responder at a time.
	maxOpening = 64
)

// changedOver are the keys for a session whose responder opens the path.
func (k Keys) changedOver() Keys { return Keys{Initiator: k.Responder, Responder: k.Initiator} }

// Invitation is the initiator's side of a path that the responder opens. A Dialer that has it takes what the responder opens
// in place of dialling. Its methods may be called concurrently.
type Invitation struct {
	session *Session
	port    *Port
	rung    chan struct{} // closed when the bell is there

	mu    sync.Mutex // guards what follows
	bell  *Conn
	flows map[slot]chan *Flow
	conns map[slot]chan *Conn
}

// Invite opens the port for a responder that opens the path of a session. Errors are those of Expect. Close ends it.
func (p *Port) Invite(e Expectation) (*Invitation, error) {
	e.Keys = e.Keys.changedOver()
	s, err := p.Expect(e)
	if err != nil {
		return nil, err
	}
	i := &Invitation{session: s, port: p, rung: make(chan struct{}), flows: make(map[slot]chan *Flow), conns: make(map[slot]chan *Conn)}
	if !p.run(i.takeUDP) || !p.run(i.takeTCP) {
		s.Close()
		return nil, ErrClosed
	}
	return i, nil
}

// Close ends the invitation and closes what nobody has taken.
func (i *Invitation) Close() {
	i.session.Close()
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bell != nil {
		i.bell.Close()
	}
	for _, c := range i.flows {
		drain(c, (*Flow).Close)
	}
	for _, c := range i.conns {
		drain(c, (*Conn).Close)
	}
}

// drain closes what is in a channel.
func drain[T any](c <-chan T, shut func(T) error) {
	for {
		select {
		case one := <-c:
			shut(one)
		default:
			return
		}
	}
}

// takeUDP sorts the flows that come until the session is closed.
func (i *Invitation) takeUDP() {
	for {
		f, err := i.session.AcceptUDP(i.port.ctx)
		if err != nil {
			return
		}
		hand(i, i.flows, slot{overUDP, f.Stream, f.Role}, f, (*Flow).Close)
	}
}

// takeTCP sorts the connections; the first with the bell's number is the bell.
func (i *Invitation) takeTCP() {
	for {
		c, err := i.session.AcceptTCP(i.port.ctx)
		if err != nil {
			return
		}
		if c.Stream != bellStream || c.Role != bellRole {
			hand(i, i.conns, slot{overTCP, c.Stream, c.Role}, c, (*Conn).Close)
			continue
		}
		i.ring(c)
	}
}

// ring takes the bell, if it is the first and not too late.
func (i *Invitation) ring(c *Conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.bell != nil || i.over() {
		c.Close()
		return
	}
	i.bell = c
	close(i.rung)
}

// over says whether the session is closed.
func (i *Invitation) over() bool {
	select {
	case <-i.session.done:
		return true
	default:
		return false
	}
}

// place is where a flow or connection of a number and role is waited for. i.mu is held.
func place[T any](all map[slot]chan T, at slot) chan T {
	if all[at] == nil {
		all[at] = make(chan T, 1)
	}
	return all[at]
}

// hand puts what came to its place, or closes it when there is one already, or nobody is left to take it.
func hand[T any](i *Invitation, all map[slot]chan T, at slot, one T, shut func(T) error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.over() {
		shut(one)
		return
	}
	select {
	case place(all, at) <- one:
	default:
		shut(one)
	}
}

// take asks for a flow or connection and waits for it.
func take[T any](ctx context.Context, i *Invitation, all map[slot]chan T, network uint8, o Options) (one T, err error) {
	start := time.Now()
	i.mu.Lock()
	ready := place(all, slot{network, o.Stream, o.Role})
	i.mu.Unlock()
	unopened := func(cause error) error { return i.unopened(ctx, network, start, cause) }
	waiting, cancel := context.WithTimeout(ctx, bellTime)
	defer cancel()
	select {
	case <-i.rung:
	case <-waiting.Done():
		return one, unopened(nil)
	case <-i.session.done:
		return one, ErrClosed
	}
	if err := i.ask(network, o); err != nil {
		return one, unopened(err)
	}
	waiting, cancel = context.WithTimeout(ctx, 2*dialTime) // the responder's own dial takes one
	defer cancel()
	select {
	case one = <-ready:
		return one, nil
	case <-waiting.Done():
		return one, unopened(nil)
	case <-i.session.done:
		return one, ErrClosed
	}
}

// ask rings for one flow or connection.
func (i *Invitation) ask(network uint8, o Options) error {
	request := setup{kind: kindOpen, network: network, role: o.Role, session: i.session.id, stream: o.Stream, wall: time.Now().UnixNano()}
	rand.Read(request.nonce[:])
	packet := request.encode(NewTagger(i.session.keys.Responder)) // of the keys changed over: the initiator's own
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.bell.SetWriteDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	_, err := i.bell.Write(packet[:])
	return err
}

// unopened is the error of what the responder did not open.
func (i *Invitation) unopened(ctx context.Context, network uint8, start time.Time, cause error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	name := "udp"
	if network == overTCP {
		name = "tcp"
	}
	return &Unreachable{Network: name, Peer: i.port.Addr(), After: time.Since(start), Cause: Unopened, Err: cause}
}

// takenUDP is DialUDP for what the responder opens.
func (i *Invitation) takenUDP(ctx context.Context, o Options) (*Flow, error) {
	f, err := take(ctx, i, i.flows, overUDP, o)
	if err != nil || f.UDP == nil {
		return f, err
	}
	if err := o.equip(f.UDP, family("udp", f.Local.Addr())); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// takenTCP is DialTCP for what the responder opens.
func (i *Invitation) takenTCP(ctx context.Context, o Options) (*Conn, error) {
	c, err := take(ctx, i, i.conns, overTCP, o)
	if err != nil {
		return nil, err
	}
	if err := o.equip(c, family("tcp", c.Local.Addr())); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// equip sets the options on a socket that is connected already.
func (o Options) equip(conn syscall.Conn, network string) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return o.control(Dialer{}, network)(network, "", raw)
}

// Visit is the responder's side of a path that it opens itself. Its Session yields what the initiator asked for.
type Visit struct {
	Session *Session
	dialer  Dialer
	peer    netip.AddrPort
	keys    Keys
}

// NewVisit prepares to open the path of a session to the data port of its initiator; Run does it. Peer and Peers of the
// expectation are not looked at.
func NewVisit(d Dialer, peer netip.AddrPort, e Expectation) *Visit {
	return &Visit{Session: newSession(nil, e), dialer: d, peer: peer, keys: e.Keys.changedOver()}
}

// Run rings at the initiator and opens what it asks for, until ctx is done or the initiator hangs up. It returns an error,
// usually *Unreachable, when something could not be opened.
func (v *Visit) Run(ctx context.Context) error {
	bell, err := v.dialer.DialTCP(ctx, v.peer, v.Session.id, v.keys, Options{Stream: bellStream, Role: bellRole})
	if err != nil {
		return err
	}
	defer bell.Close()
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { bell.SetReadDeadline(time.Unix(1, 0)) }) // also when a dial has failed
	defer stop()
	group.SetLimit(maxOpening)
	check, seen := NewTagger(bell.ReceiveKey), map[[nonceSize]byte]bool{}
	for len(seen) < maxFlows && ctx.Err() == nil {
		var packet [setupSize]byte
		if _, err := io.ReadFull(bell, packet[:]); err != nil {
			break // the initiator has all it wants, or is gone: its flows tell
		}
		request, err := parseSetup(packet[:])
		if err != nil || request.kind != kindOpen || request.session != v.Session.id || seen[request.nonce] || !check.Open(packet[:]) {
			break // nobody we know
		}
		seen[request.nonce] = true
		group.Go(func() error { return v.open(ctx, request) })
	}
	return group.Wait()
}

// open dials one flow or connection.
func (v *Visit) open(ctx context.Context, request setup) error {
	s, o := v.Session, Options{Stream: request.stream, Role: request.role, Control: v.Session.control}
	if request.network == overUDP {
		f, err := v.dialer.DialUDP(ctx, v.peer, s.id, v.keys, o)
		if err == nil {
			s.deliver(f)
		}
		return err
	}
	c, err := v.dialer.DialTCP(ctx, v.peer, s.id, v.keys, o)
	if err == nil && !s.deliverTCP(c) {
		c.Close()
	}
	return err
}
