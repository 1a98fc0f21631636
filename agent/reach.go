package agent

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/netpupper/netp/agent/wire"
)

// Reach bounds where an agent sends to, whatever the controller orders. The zero
// value is the default of a deployed agent: other agents anywhere, no endpoints.
type Reach struct {
	// Peers are the networks other agents must be in; nil for anywhere. The address
	// is that of the data path: behind NAT, the translated one.
	Peers []netip.Prefix
	// Endpoints are the destinations that are no agents: "*" for any, a host name,
	// "*.example.net" for names below one, an address or a network for hosts that are
	// written as addresses. Ports and paths are not looked at. Nil for none.
	Endpoints []string
}

// CheckEndpoint says why a pattern of Reach.Endpoints is none; nil when it is one.
func CheckEndpoint(pattern string) error {
	if _, err := network(pattern); err == nil {
		return nil
	}
	name := strings.TrimPrefix(pattern, "*.")
	if pattern != "*" && (name == "" || strings.ContainsAny(name, "*/:@ ")) {
		return fmt.Errorf("%q is no host, *.domain, address or network, nor *", pattern)
	}
	return nil
}

// network reads an address or a network.
func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// peers is what the data port lets in.
func (r *Reach) peers() []netip.Prefix {
	if r == nil {
		return nil
	}
	return r.Peers
}

// allows says why an order leads out of reach; nil when it does not. Whom an end
// that waits will send to is not known yet: its data port holds it to peers.
func (r *Reach) allows(o wire.Order) error {
	switch {
	case r == nil || o.Type != wire.Start && !o.Inward:
		return nil
	case o.Session.Path.Endpoint:
		host := endpointHost(o.Session.Path.Dest)
		if !slices.ContainsFunc(r.Endpoints, func(p string) bool { return matchHost(p, host) }) {
			return fmt.Errorf("the endpoint %q is none of those it may measure (-allow-endpoint)", o.Session.Path.Dest)
		}
		return nil
	case r.Peers == nil || o.Type == wire.Start && o.Inward: // who comes is held to them by the data port
		return nil
	}
	peer, err := netip.ParseAddrPort(o.Peer)
	if err != nil {
		return fmt.Errorf("the peer's data port %q is no address", o.Peer)
	}
	at := peer.Addr().Unmap()
	if !slices.ContainsFunc(r.Peers, func(p netip.Prefix) bool { return p.Contains(at) }) {
		return fmt.Errorf("the peer %v is in none of the networks it may send to (-allow-peer)", at)
	}
	return nil
}

// endpointHost is the host of an endpoint as suites write it: a host, a host with
// a port, or a URL. What cannot be read matches nothing but "*".
func endpointHost(dest string) string {
	if strings.Contains(dest, "://") {
		u, err := url.Parse(dest)
		if err != nil {
			return ""
		}
		dest = u.Host
	}
	if host, _, err := net.SplitHostPort(dest); err == nil {
		dest = host
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(dest, "[]"), "."))
}

func matchHost(pattern, host string) bool {
	if pattern == "*" {
		return true
	}
	pattern = strings.ToLower(strings.TrimSuffix(pattern, "."))
	if p, err := network(pattern); err == nil {
		a, err := netip.ParseAddr(host)
		return err == nil && p.Contains(a.Unmap())
	}
	if domain, ok := strings.CutPrefix(pattern, "*"); ok { // ".example.net"
		return strings.HasSuffix(host, domain) && len(host) > len(domain)
	}
	return host != "" && host == pattern
}
