package fleet

import (
	"net/netip"
	"testing"

	"github.com/netpupper/netp"
)

func TestTranslated(t *testing.T) {
	interfaces := func(addresses ...string) (out []netp.Interface) {
		for _, a := range addresses {
			out = append(out, netp.Interface{Address: a})
		}
		return out
	}
	for name, c := range map[string]struct {
		address    string
		interfaces []netp.Interface
		from       string
		want       bool
	}{
		"private address, public connection":      {"10.0.0.2:8620", nil, "203.0.113.2", true},
		"behind a carrier's NAT":                  {"100.64.3.2:8620", nil, "203.0.113.2", true},
		"IPv6 of its own network":                 {"[fd00::2]:8620", nil, "2001:db8::2", true},
		"the same address":                        {"203.0.113.2:8620", nil, "203.0.113.2", false},
		"several carriers":                        {"203.0.113.2:8620", nil, "198.51.100.7", false},
		"a public interface beside a private one": {"10.0.0.2:8620", interfaces("203.0.113.9"), "198.51.100.7", false},
		"private interfaces, too":                 {"10.0.0.2:8620", interfaces("10.1.0.2", ""), "198.51.100.7", true},
		"one private network":                     {"10.0.0.2:8620", nil, "192.168.0.1", false},
		"loopback":                                {"127.0.0.1:8620", nil, "127.0.0.1", false},
		"forwarded by hand":                       {"203.0.113.2:8620", nil, "203.0.113.2", false},
		"no data port":                            {"", nil, "203.0.113.2", false},
	} {
		a := netp.Agent{Address: c.address, Interfaces: c.interfaces}
		if got := translated(a, netip.MustParseAddr(c.from)); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
