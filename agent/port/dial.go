package port

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
)

// dialTime bounds a dial whose ctx has no earlier deadline.
const dialTime = 5 * time.Second

// Dialer opens flows and connections to the data ports of other agents, and plain sockets to endpoints, out of one part of
// the host.
type Dialer struct {
	Where
	// Inward, if not nil, is where DialUDP and DialTCP wait for the peer to open the path from its side; see inside.go.
	Inward *Invitation
}

// Options are the choices for one flow or connection. The zero value is fine.
type Options struct {
	// Stream numbers the flows or connections of a session; the number and the Role together must be unique among those that
	// are open, for UDP and TCP each.
	Stream uint16
	// Role is carried to the peer for the engine, e.g. which direction a connection is for.
	Role uint8
	// DSCP marks the packets of this side, 0 to 63, from the first one on.
	DSCP int
	// Control, if not nil, sets options on the socket before it is connected, after those of this package. The network is
	// "udp4", "udp6", "tcp4" or "tcp6".
	Control func(fd uintptr, network string) error
	// Port is the local port; 0 takes any.
	Port uint16
	// Resend is the time between hellos while no answer comes: 200 ms when zero, at most 400 ms.
	Resend time.Duration
}

func (o Options) resend() time.Duration {
	if o.Resend <= 0 {
		return 200 * time.Millisecond
	}
	return min(o.Resend, maxResend)
}

// control is the hook that sets the options of a socket.
func (o Options) control(d Dialer, network string) func(string, string, syscall.RawConn) error {
	return d.Where.control(network, func(fd uintptr, network string) error {
		if o.DSCP != 0 {
			if err := SetDSCP(fd, network, o.DSCP); err != nil {
				return err
			}
		}
		if network[:3] == "tcp" {
			if err := setUserTimeout(fd, userTimeout); err != nil {
				return err
			}
		}
		if o.Control == nil {
			return nil
		}
		return o.Control(fd, network)
	})
}

// DialUDP opens a flow of the session to a peer's data port. It returns when the peer has answered, the error of ctx when
// that was cancelled, or *Unreachable when the deadline of ctx or 5 s have passed, or nothing listens there.
func (d Dialer) DialUDP(ctx context.Context, peer netip.AddrPort, id SessionID, keys Keys, o Options) (*Flow, error) {
	if d.Inward != nil {
		return d.Inward.takenUDP(ctx, o)
	}
	try := newAttempt("udp", peer)
	ctx, cancel := context.WithDeadline(ctx, try.start.Add(dialTime))
	defer cancel()
	conn, err := d.open(ctx, "udp", peer, o)
	if err != nil {
		return nil, try.explain(ctx, err)
	}
	udp := conn.(*net.UDPConn)
	hello := newHello(overUDP, id, o)
	stop := context.AfterFunc(ctx, func() { udp.SetReadDeadline(time.Unix(1, 0)) })
	err = greetUDP(ctx, udp, hello, keys, o.resend())
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = udp.SetReadDeadline(time.Time{})
	}
	if err != nil {
		udp.Close()
		return nil, try.explain(ctx, err)
	}
	return &Flow{
		UDP: udp, Stream: o.Stream, Role: o.Role,
		SendKey: keys.Initiator, ReceiveKey: keys.Responder,
		Local: addrPort(udp.LocalAddr()), Remote: unmapped(peer),
		nonce: hello.nonce, session: id,
	}, nil
}

// greetUDP sends hellos until the answer comes, and confirms it.
func greetUDP(ctx context.Context, udp *net.UDPConn, hello setup, keys Keys, resend time.Duration) error {
	sign, check := NewTagger(keys.Initiator), NewTagger(keys.Responder)
	packet := hello.encode(sign) // sent unchanged each time: the responder knows it again
	var answer [setupSize + 1]byte
	for {
		if _, err := udp.Write(packet[:]); err != nil {
			return err
		}
		if err := udp.SetReadDeadline(time.Now().Add(resend)); err != nil {
			return err
		}
		for ctx.Err() == nil {
			n, err := udp.Read(answer[:])
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return err
			}
			if hello.acknowledged(check, answer[:n]) {
				confirm := hello.answer(kindConfirm, time.Now().UnixNano()).encode(sign)
				_, err := udp.Write(confirm[:])
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// DialTCP opens a connection of the session to a peer's data port. While the peer closes the connection unanswered (it does
// not expect the session yet, or is busy with strangers) it tries again, until the deadline of ctx or 5 s have passed.
// Errors are as for DialUDP.
func (d Dialer) DialTCP(ctx context.Context, peer netip.AddrPort, id SessionID, keys Keys, o Options) (*Conn, error) {
	if d.Inward != nil {
		return d.Inward.takenTCP(ctx, o)
	}
	try := newAttempt("tcp", peer)
	ctx, cancel := context.WithDeadline(ctx, try.start.Add(dialTime))
	defer cancel()
	for {
		tcp, err := d.tryTCP(ctx, peer, newHello(overTCP, id, o), keys, o)
		if err == nil {
			return &Conn{
				TCPConn: tcp, Stream: o.Stream, Role: o.Role,
				SendKey: keys.Initiator, ReceiveKey: keys.Responder,
				Local: addrPort(tcp.LocalAddr()), Remote: unmapped(peer),
			}, nil
		}
		if !errors.Is(err, errRejected) {
			return nil, try.explain(ctx, err)
		}
		try.connected = true
		select {
		case <-ctx.Done():
			return nil, try.explain(ctx, err)
		case <-time.After(o.resend()):
		}
	}
}

// errRejected is a connection that stood and was not let in.
var errRejected = errors.New("closed without an answer of the session")

// tryTCP opens one connection.
func (d Dialer) tryTCP(ctx context.Context, peer netip.AddrPort, hello setup, keys Keys, o Options) (*net.TCPConn, error) {
	conn, err := d.open(ctx, "tcp", peer, o)
	if errors.Is(err, syscall.ECONNRESET) { // it was closed before the dial had seen it stand
		return nil, errors.Join(errRejected, err)
	}
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	if err := greetTCP(ctx, tcp, hello, keys); err != nil {
		discard(tcp)
		return nil, errors.Join(errRejected, err)
	}
	return tcp, nil
}

// greetTCP says hello and waits for the answer.
func greetTCP(ctx context.Context, tcp *net.TCPConn, hello setup, keys Keys) error {
	stop := context.AfterFunc(ctx, func() { tcp.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := tcp.SetDeadline(time.Now().Add(helloTime)); err != nil {
		return err
	}
	packet := hello.encode(NewTagger(keys.Initiator))
	if _, err := tcp.Write(packet[:]); err != nil {
		return err
	}
	var answer [setupSize]byte
	if _, err := io.ReadFull(tcp, answer[:]); err != nil {
		return err
	}
	if !hello.acknowledged(NewTagger(keys.Responder), answer[:]) {
		return errors.New("the answer is not of this session")
	}
	if !stop() {
		return ctx.Err()
	}
	return tcp.SetDeadline(time.Time{})
}

// newHello makes the hello of an attempt; each has its own nonce.
func newHello(network uint8, id SessionID, o Options) setup {
	h := setup{kind: kindHello, network: network, role: o.Role, session: id, stream: o.Stream, wall: time.Now().UnixNano()}
	rand.Read(h.nonce[:])
	return h
}

// acknowledged says whether the packet is the answer to the hello.
func (h setup) acknowledged(check *Tagger, packet []byte) bool {
	a, err := parseSetup(packet)
	return err == nil && check.Open(packet) && a == h.answer(kindAck, a.wall)
}

// open opens a connected socket to the peer.
func (d Dialer) open(ctx context.Context, network string, peer netip.AddrPort, o Options) (net.Conn, error) {
	peer = unmapped(peer)
	network = family(network, peer.Addr())
	dialer := net.Dialer{Control: o.control(d, network), KeepAlive: -1}
	dialer.SetMultipathTCP(false)
	dialer.LocalAddr = d.localAddr(network, o.Port)
	var conn net.Conn
	err := d.do(func() (err error) {
		conn, err = dialer.DialContext(ctx, network, peer.String())
		return err
	})
	return conn, err
}

// Dial opens a plain socket to an endpoint, e.g. ("tcp", "www.example:443"). A host name is resolved first, by name servers
// that are asked out of the same part of the host. Control may be nil; it is called before the socket is connected.
func (d Dialer) Dial(ctx context.Context, network, address string, control func(fd uintptr) error) (net.Conn, error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	targets, err := d.Resolve(ctx, network, host)
	if err != nil {
		return nil, err
	}
	var last error
	for _, target := range targets {
		conn, err := d.dialOne(ctx, family(network[:3], target), net.JoinHostPort(target.String(), service), control)
		if err == nil {
			return conn, nil
		}
		last = err
	}
	return nil, last
}

// Resolve gives the addresses of a host name (or the address that it is), of the IP version that the network ends in, asking
// out of the same part of the host.
func (d Dialer) Resolve(ctx context.Context, network, host string) ([]netip.Addr, error) {
	resolver := net.Resolver{PreferGo: d.Where != (Where{})}
	if resolver.PreferGo {
		resolver.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return Dialer{Where: Where{Device: d.Device, Netns: d.Netns}}.dialOne(ctx, network, address, nil)
		}
	}
	version := "ip" + strings.TrimLeft(network, "tcpudi")
	if version == "ip" && d.Address.IsValid() {
		version = family("ip", d.Address)
	}
	return resolver.LookupNetIP(ctx, version, host)
}

func (d Dialer) dialOne(ctx context.Context, network, address string, control func(fd uintptr) error) (net.Conn, error) {
	dialer := net.Dialer{
		KeepAlive: -1,
		LocalAddr: d.localAddr(network, 0),
		Control: d.Where.control(network, func(fd uintptr, _ string) error {
			if control == nil {
				return nil
			}
			return control(fd)
		}),
	}
	dialer.SetMultipathTCP(false)
	var conn net.Conn
	err := d.do(func() (err error) {
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Open calls open with the thread in the network namespace of the Dialer, for sockets that Dial does not make (ICMP). The
// address and the device are for open to apply; what it opens stays in the namespace.
func (d Dialer) Open(open func() error) error { return d.do(open) }

// localAddr is the address to bind to; nil leaves it to the system.
func (d Dialer) localAddr(network string, port uint16) net.Addr {
	if !d.Address.IsValid() && port == 0 {
		return nil
	}
	local := d.local(port)
	if !d.Address.IsValid() {
		local = netip.AddrPortFrom(netip.IPv6Unspecified(), port)
		if network[len(network)-1] == '4' {
			local = netip.AddrPortFrom(netip.IPv4Unspecified(), port)
		}
	}
	if network[:3] == "tcp" {
		return net.TCPAddrFromAddrPort(local)
	}
	return net.UDPAddrFromAddrPort(local)
}

// attempt is what the error of a dial is made of.
type attempt struct {
	network   string
	peer      netip.AddrPort
	start     time.Time
	connected bool // a TCP connection stood at least once
}

func newAttempt(network string, peer netip.AddrPort) *attempt {
	return &attempt{network: network, peer: unmapped(peer), start: time.Now()}
}

// explain makes the error of a dial out of what the system said.
func (a *attempt) explain(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("dial data port %s: %w", a.peer, context.Canceled)
	}
	u := &Unreachable{Network: a.network, Peer: a.peer, After: time.Since(a.start), Err: err}
	var timeout net.Error
	switch {
	case a.connected:
		u.Cause = Rejected
	case errors.Is(err, syscall.ECONNREFUSED):
		u.Cause = Refused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		u.Cause = Unroutable
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		u.Cause = Silent
		u.Err = nil
	default:
		return fmt.Errorf("dial data port %s: %w", a.peer, err)
	}
	return u
}
