//go:build linux

package lab

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Route sends what goes to a prefix through gateways: one, or several of equal cost, between which the flows (addresses and
// ports) decide. Table 0 is the main one.
func (n *Node) Route(table int, to netip.Prefix, gateways ...netip.Addr) error {
	route := &netlink.Route{Dst: ipNet(to), Table: table}
	if len(gateways) == 1 {
		route.Gw = gateways[0].AsSlice()
	} else {
		for _, g := range gateways {
			link, err := n.towards(g)
			if err != nil {
				return err
			}
			route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{Gw: g.AsSlice(), LinkIndex: link})
		}
		version := "ipv4"
		if to.Addr().Is6() {
			version = "ipv6"
		}
		if err := n.Sysctl(version+"/fib_multipath_hash_policy", "1"); err != nil {
			return err
		}
	}
	if err := n.handle.RouteReplace(route); err != nil {
		return fmt.Errorf("route %s of %s to %v: %w", to, n.Name, gateways, err)
	}
	return nil
}

// towards is the device on whose network an address is.
func (n *Node) towards(a netip.Addr) (int, error) {
	addresses, err := n.handle.AddrList(nil, family(a))
	if err != nil {
		return 0, err
	}
	for _, has := range addresses {
		if has.Contains(a.AsSlice()) {
			return has.LinkIndex, nil
		}
	}
	return 0, fmt.Errorf("no network of %s has the gateway %s", n.Name, a)
}

// From lets a routing table decide for packets from these addresses.
func (n *Node) From(from netip.Prefix, table int) error {
	rule := netlink.NewRule()
	rule.Src, rule.Table, rule.Priority, rule.Family = ipNet(from), table, 1000+table, family(from.Addr())
	if err := n.handle.RuleAdd(rule); err != nil {
		return fmt.Errorf("rule of %s from %s: %w", n.Name, from, err)
	}
	return nil
}

// AddAddress gives a device one more address.
func (n *Node) AddAddress(device string, address netip.Prefix) error {
	link, err := n.handle.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s of %s: %w", device, n.Name, err)
	}
	return n.handle.AddrAdd(link, addressOf(address))
}
