package port

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUnreachable: each way in which a data port cannot be reached has its own cause and its own advice.
func TestUnreachable(t *testing.T) {
	silent, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp4", "127.0.0.86:0") // where no other test gets the port
	if err != nil {
		t.Fatal(err)
	}
	nobody := addrPort(closed.Addr())
	closed.Close()
	mute := listen(t, Config{Where: Where{Address: loopback}}) // expects another session
	expect(t, mute, 77)

	udp := func(ctx context.Context, peer netip.AddrPort) error {
		_, err := Dialer{}.DialUDP(ctx, peer, 1, Keys{}, Options{})
		return err
	}
	tcp := func(ctx context.Context, peer netip.AddrPort) error {
		_, err := Dialer{}.DialTCP(ctx, peer, 1, Keys{}, Options{})
		return err
	}
	for name, c := range map[string]struct {
		dial  func(context.Context, netip.AddrPort) error
		peer  netip.AddrPort
		cause Cause
		text  string
	}{
		"udp silent":   {udp, addrPort(silent.LocalAddr()), Silent, "is UDP port"},
		"udp refused":  {udp, nobody, Refused, "nothing listens there"},
		"udp unknown":  {udp, mute.Addr(), Silent, "firewall"},
		"tcp refused":  {tcp, nobody, Refused, "nothing listens there"},
		"tcp rejected": {tcp, mute.Addr(), Rejected, "does not expect it"},
	} {
		t.Run(name, func(t *testing.T) {
			limit := 3 * time.Second
			switch c.cause {
			case Silent:
				limit = 500 * time.Millisecond // in which nothing happens
			case Refused:
				limit = patience
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := c.dial(ctx, c.peer)
			var u *Unreachable
			if !errors.As(err, &u) {
				t.Fatalf("got %v; want *Unreachable", err)
			}
			if u.Cause != c.cause || u.Peer != c.peer || !strings.Contains(u.Error(), c.text) {
				t.Errorf("got cause %q, peer %v, %q; want %q, %v, %q", u.Cause, u.Peer, u, c.cause, c.peer, c.text)
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if err := udp(ctx, addrPort(silent.LocalAddr())); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v; want the cancellation", err)
		}
	})
}

// TestDialWaitsForTheSession: the orders to the two ends may arrive in either sequence.
func TestDialWaitsForTheSession(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	expect(t, p, 2) // else the address is turned away
	keys := DeriveKeys([]byte("secret"), 1)
	ctx := deadlined(t)
	results := make(chan error, 2)
	go func() {
		c, err := Dialer{}.DialTCP(ctx, p.Addr(), 1, keys, Options{Resend: 20 * time.Millisecond})
		if err == nil {
			c.Close()
		}
		results <- err
	}()
	go func() {
		f, err := Dialer{}.DialUDP(ctx, p.Addr(), 1, keys, Options{Resend: 20 * time.Millisecond})
		if err == nil {
			f.Close()
		}
		results <- err
	}()
	poll(t, func() bool { return p.Stats().UnknownSession >= 4 }, func() { t.Fatalf("%+v", p.Stats()) })
	s, err := p.Expect(Expectation{ID: 1, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestPortIsTaken(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	check := func(t *testing.T, cfg Config) {
		if second, err := Listen(cfg); err == nil {
			second.Close()
			t.Error("the port opened twice")
		} else if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "taken") {
			t.Errorf("got %v", err)
		}
	}
	t.Run("by an agent", func(t *testing.T) { check(t, Config{Where: Where{Address: loopback}, Port: p.Addr().Port()}) })
	t.Run("by a UDP program", func(t *testing.T) {
		other, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		check(t, Config{Where: Where{Address: loopback}, Port: addrPort(other.LocalAddr()).Port()})
	})
	t.Run("address of another host", func(t *testing.T) {
		_, err := Listen(Config{Where: Where{Address: netip.MustParseAddr("192.0.2.1")}})
		if err == nil || !strings.Contains(err.Error(), "no such address") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAllAddresses: a port that is open on all addresses answers each peer from the address that the peer asked.
func TestAllAddresses(t *testing.T) {
	p := listen(t, Config{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	for i, a := range []string{"127.0.0.1", "127.0.0.2", "::1", "127.0.0.1", "::1"} {
		address := netip.MustParseAddr(a)
		if address.Is6() {
			probe, err := net.ListenPacket("udp6", "[::1]:0")
			if err != nil {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			probe.Close()
		}
		id := SessionID(i)
		s, keys := expect(t, p, id)
		target := netip.AddrPortFrom(address, p.Addr().Port())
		ctx := deadlined(t)
		initiator, err := Dialer{}.DialUDP(ctx, target, id, keys, Options{})
		if err != nil {
			t.Fatalf("%v: %v", target, err)
		}
		defer initiator.Close()
		responder, err := s.AcceptUDP(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer responder.Close()
		if responder.Local != target {
			t.Errorf("the flow to %v is at %v", target, responder.Local)
		}
		echo(t, initiator, responder, "there")
		echo(t, responder, initiator, "back")
		conn, err := Dialer{}.DialTCP(ctx, target, id, keys, Options{})
		if err != nil {
			t.Fatalf("%v: %v", target, err)
		}
		conn.Close()
	}
}

func TestPlainDial(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	set := false
	d := Dialer{Where: Where{Address: netip.MustParseAddr("127.0.0.5")}}
	conn, err := d.Dial(deadlined(t), "tcp", l.Addr().String(), func(uintptr) error { set = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if got := addrPort(conn.LocalAddr()).Addr(); got != d.Address || !set {
		t.Errorf("dialled from %v, options set: %v; want %v", got, set, d.Address)
	}
	if _, err := d.Dial(deadlined(t), "tcp", "no port", nil); err == nil {
		t.Error("an address without a port was dialled")
	}
}
