package fleet

import (
	"net/netip"

	"github.com/netpupper/netp"
)

// translated reports whether an agent is behind NAT for certain: its connection to
// the controller comes from an address that anybody can reach, and all it has itself
// are addresses that only its own network can. An agent whose data and control
// addresses merely differ is not: that is what several carriers look like.
func translated(a netp.Agent, from netip.Addr) bool {
	if inner(from) {
		return false
	}
	addresses := []string{a.Address}
	for _, i := range a.Interfaces {
		addresses = append(addresses, i.Address)
	}
	seen := false
	for _, text := range addresses {
		at, err := netip.ParseAddr(text)
		if port, portErr := netip.ParseAddrPort(text); portErr == nil {
			at, err = port.Addr(), nil
		}
		if err != nil {
			continue
		}
		if !inner(at.Unmap()) {
			return false
		}
		seen = true
	}
	return seen
}

// shared is the address space between a carrier and its customers (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// inner reports whether an address is for one network's own use.
func inner(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || shared.Contains(a)
}
