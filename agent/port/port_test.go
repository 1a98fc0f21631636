package port

import (
	"context"
	"crypto/rand"
	"net/netip"
	"testing"
	"time"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// variants runs a test with flows that own their sockets and with flows that share the port's.
func variants(t *testing.T, test func(t *testing.T, p *Port)) {
	t.Helper()
	for name, portable := range map[string]bool{"own sockets": false, "shared socket": true} {
		t.Run(name, func(t *testing.T) {
			test(t, listen(t, Config{Where: Where{Address: loopback}, portable: portable}))
		})
	}
}

func listen(t *testing.T, cfg Config) *Port {
	t.Helper()
	p, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// patience bounds every wait; nothing is measured by it.
const patience = 30 * time.Second

// deadlined is a context that ends long after every test should.
func deadlined(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// expect opens the port for a session from anywhere and gives its keys.
func expect(t *testing.T, p *Port, id SessionID) (*Session, Keys) {
	t.Helper()
	secret := make([]byte, 32)
	rand.Read(secret)
	keys := DeriveKeys(secret, id)
	s, err := p.Expect(Expectation{ID: id, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, keys
}

// pair opens a flow and gives its two ends.
func pair(t *testing.T, p *Port, s *Session, keys Keys, o Options) (initiator, responder *Flow) {
	t.Helper()
	ctx := deadlined(t)
	initiator, err := Dialer{}.DialUDP(ctx, p.Addr(), s.id, keys, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { initiator.Close() })
	responder, err = s.AcceptUDP(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { responder.Close() })
	return initiator, responder
}

// echo sends a packet from one end and wants it at the other.
func echo(t *testing.T, from, to *Flow, text string) {
	t.Helper()
	if _, err := from.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	to.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, 2048)
	n, err := to.Read(b)
	if err != nil || string(b[:n]) != text {
		t.Fatalf("read %q, %v; want %q", b[:n], err, text)
	}
}

func TestFlow(t *testing.T) {
	variants(t, func(t *testing.T, p *Port) {
		s, keys := expect(t, p, 1)
		a, b := pair(t, p, s, keys, Options{Stream: 7, Role: 3})
		echo(t, a, b, "there")
		echo(t, b, a, "and back")
		if b.Stream != 7 || b.Role != 3 {
			t.Errorf("responder has stream %d, role %d; want 7, 3", b.Stream, b.Role)
		}
		if a.SendKey != b.ReceiveKey || b.SendKey != a.ReceiveKey || a.SendKey == b.SendKey {
			t.Error("the keys of the two ends do not cross")
		}
		if a.Local != b.Remote || a.Remote != b.Local || b.Local != p.Addr() {
			t.Errorf("addresses %v-%v and %v-%v do not cross", a.Local, a.Remote, b.Local, b.Remote)
		}
		if got := p.Stats(); got.AcceptedUDP != 1 || got.Answers == 0 { // a hello that was asked again is answered again
			t.Errorf("stats %+v; want one flow, answered", got)
		}
	})
}

func TestConn(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	s, keys := expect(t, p, 1)
	ctx := deadlined(t)
	a, err := Dialer{}.DialTCP(ctx, p.Addr(), 1, keys, Options{Stream: 2, Role: 1, DSCP: 46})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := s.AcceptTCP(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.Stream != 2 || b.Role != 1 || a.SendKey != b.ReceiveKey || b.SendKey != a.ReceiveKey {
		t.Errorf("got stream %d, role %d; keys cross: %v", b.Stream, b.Role, a.SendKey == b.ReceiveKey)
	}
	for from, to := range map[*Conn]*Conn{a: b, b: a} {
		from.Write([]byte("hello"))
		got := make([]byte, 5)
		if _, err := to.Read(got); err != nil || string(got) != "hello" {
			t.Errorf("read %q, %v", got, err)
		}
	}
}
