package port

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// TestPeersKeepsTheSessionToItsNetworks: the right keys from the wrong network get
// no answer, and from the right one they do.
func TestPeersKeepsTheSessionToItsNetworks(t *testing.T) {
	p, err := Listen(Config{Where: Where{Address: netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range []struct {
		name  string
		peers []netip.Prefix
		want  bool
	}{
		{"inside", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, true},
		{"outside", []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, false},
		{"none", []netip.Prefix{}, false},
	} {
		id := SessionID(7)
		keys := DeriveKeys([]byte("0123456789abcdef0123456789abcdef"), id)
		s, err := p.Expect(Expectation{ID: id, Keys: keys, Peers: c.peers, Until: time.Now().Add(20 * time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		before := p.Stats().WrongPeer
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if !c.want {
			go func() { // until the port has turned it away
				poll(t, func() bool { return ctx.Err() != nil || p.Stats().WrongPeer > before }, func() {})
				cancel()
			}()
		}
		flow, err := Dialer{Where: Where{Address: netip.MustParseAddr("127.0.0.1")}}.DialUDP(ctx, p.Addr(), id, keys, Options{})
		if (err == nil) != c.want {
			t.Errorf("%s: %v, want let in %v", c.name, err, c.want)
		}
		if err == nil {
			flow.Close()
		} else if after := p.Stats().WrongPeer; after == before {
			t.Errorf("%s: refused, but not as a wrong peer", c.name)
		}
		cancel()
		s.Close()
	}
}
