package agent

import (
	"net/netip"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

func TestReach(t *testing.T) {
	lab := &Reach{Peers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Endpoints: []string{"www.example.net", "*.example.org", "192.0.2.0/24", "2001:db8::1"}}
	peer := func(address string) wire.Order { return wire.Order{Type: wire.Start, Peer: address} }
	endpoint := func(dest string) wire.Order {
		return wire.Order{Type: wire.Start, Session: netp.Session{Path: netp.Path{Dest: dest, Endpoint: true}}}
	}
	for _, c := range []struct {
		name  string
		reach *Reach
		order wire.Order
		want  bool
	}{
		{"no bounds, peer", nil, peer("203.0.113.1:8620"), true},
		{"no bounds, endpoint", nil, endpoint("https://example.com/"), true},
		{"default, peer", &Reach{}, peer("203.0.113.1:8620"), true},
		{"default, endpoint", &Reach{}, endpoint("example.com"), false},
		{"peer inside", lab, peer("10.9.8.7:8620"), true},
		{"peer inside, mapped", lab, peer("[::ffff:10.9.8.7]:8620"), true},
		{"peer inside, IPv6", lab, peer("[2001:db8::7]:8620"), true},
		{"peer outside", lab, peer("203.0.113.1:8620"), false},
		{"peer unreadable", lab, peer("nonsense"), false},
		{"prepare", lab, wire.Order{Type: wire.Prepare}, true},
		{"prepare, opening the path inside", lab, wire.Order{Type: wire.Prepare, Inward: true, Peer: "10.9.8.7:8620"}, true},
		{"prepare, opening the path outside", lab, wire.Order{Type: wire.Prepare, Inward: true, Peer: "203.0.113.1:8620"}, false},
		{"start, waiting for the path", lab, wire.Order{Type: wire.Start, Inward: true}, true},
		{"cancel", lab, wire.Order{Type: wire.Cancel}, true},
		{"no peers at all", &Reach{Peers: []netip.Prefix{}}, peer("10.0.0.1:8620"), false},
		{"endpoint listed", lab, endpoint("www.example.net"), true},
		{"endpoint listed, URL", lab, endpoint("https://WWW.example.net:8443/x?y=z"), true},
		{"endpoint listed, port", lab, endpoint("www.example.net.:443"), true},
		{"endpoint is not a part of a name", lab, endpoint("evilwww.example.net"), false},
		{"endpoint by user info", lab, endpoint("https://www.example.net@evil.example/"), false},
		{"domain", lab, endpoint("a.b.example.org"), true},
		{"domain itself", lab, endpoint("example.org"), false},
		{"domain as suffix", lab, endpoint("notexample.org"), false},
		{"address", lab, endpoint("192.0.2.77:80"), true},
		{"address outside", lab, endpoint("192.0.3.77"), false},
		{"IPv6 address", lab, endpoint("http://[2001:db8::1]:80/"), true},
		{"unreadable", lab, endpoint("http://[::1"), false},
		{"any", &Reach{Endpoints: []string{"*"}}, endpoint("https://example.com/"), true},
	} {
		if err := c.reach.allows(c.order); (err == nil) != c.want {
			t.Errorf("%s: allows = %v, want allowed %v", c.name, err, c.want)
		}
	}
}

func TestCheckEndpoint(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*": true, "example.net": true, "*.example.net": true, "192.0.2.1": true, "192.0.2.0/24": true, "2001:db8::/32": true,
		"": false, "*.": false, "*.*.net": false, "https://example.net/": false, "example.net:80": false, "a b": false,
	} {
		if err := CheckEndpoint(pattern); (err == nil) != want {
			t.Errorf("%q: %v, want valid %v", pattern, err, want)
		}
	}
}
