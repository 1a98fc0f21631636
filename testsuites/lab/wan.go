//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// WAN is sites that several carriers join. A site has a line to each of its carriers, a carrier is a router: a packet from one
// site to another passes the Up of the first and the Down of the second, and what they do to it adds up.
type WAN struct {
	Carriers []string
	Sites    []Site
	// IP is the only version of it, 4 or 6, that the WAN speaks; 0 is both.
	IP int
}

// Site is a place with one host, where an agent may run.
type Site struct {
	Name  string
	Lines []SiteLine
	// NAT puts a router before the host that hides it: inside, its addresses are 172.16.CARRIER.10, by the number of the carrier.
	// It has no IPv6.
	NAT bool
	// Block is what a firewall before the host drops of what comes in.
	Block []Drop
	// Names is the server that programs at the site ask for names; nil is none.
	Names *NameServer
}

// SiteLine is a line of a site to a carrier.
type SiteLine struct {
	Carrier string
	// Address and Address6 of the site on the line; the zero values are 10.CARRIER.SITE.10 and fd10:CARRIER:SITE::10, both by
	// number, from 1, in decimal.
	Address, Address6 netip.Addr
	// Up is from the site to the carrier, Down from the carrier to the site.
	Up, Down emulator.Impair
}

// Network is a WAN that stands.
type Network struct {
	Carriers map[string]*Node
	Sites    map[string]*Node                 // the hosts
	Lines    map[string]map[string]*Line      // by site and carrier; Forward is up
	Host     map[string]map[string]netip.Addr // the host's own IPv4 address by site and carrier, if it has one
	Host6    map[string]map[string]netip.Addr // and of IPv6
	only     int                              // version of IP
}

// DefaultAddress is the address of a site's host on a carrier, both by number from 1.
func DefaultAddress(carrier, site int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(carrier), byte(site), 10})
}

// DefaultAddress6 is that of IPv6: the same digits.
func DefaultAddress6(carrier, site int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("fd10:%d:%d::10", carrier, site))
}

// Build builds a WAN. Packets of a host leave by the carrier whose address they bear; those that bear none yet, by the carrier
// of the address to which they go, else by the first.
func (l *Lab) Build(w WAN) (*Network, error) {
	if len(w.Carriers) > 250 || len(w.Sites) > 250 {
		return nil, errors.New("a WAN has up to 250 carriers and 250 sites")
	}
	n := &Network{
		Carriers: map[string]*Node{}, Sites: map[string]*Node{}, Lines: map[string]map[string]*Line{},
		Host: map[string]map[string]netip.Addr{}, Host6: map[string]map[string]netip.Addr{}, only: w.IP,
	}
	numbers := map[string]int{}
	for i, name := range w.Carriers {
		node, err := l.Router("carrier-" + name)
		if err != nil {
			return nil, err
		}
		n.Carriers[name], numbers[name] = node, i+1
	}
	var mu sync.Mutex // guards the maps of n
	var sites errgroup.Group
	sites.SetLimit(16)
	for i, site := range w.Sites {
		sites.Go(func() error {
			built, err := n.site(l, site, i+1, numbers)
			if err != nil {
				return fmt.Errorf("site %s: %w", site.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			n.Sites[site.Name], n.Lines[site.Name] = built.host, built.lines
			n.Host[site.Name], n.Host6[site.Name] = built.addresses, built.addresses6
			return nil
		})
	}
	return n, sites.Wait()
}

// place is a site that stands.
type place struct {
	host, edge *Node
	lines      map[string]*Line
	addresses  map[string]netip.Addr
	addresses6 map[string]netip.Addr
}

// site builds the number-th site.
func (n *Network) site(l *Lab, s Site, number int, carriers map[string]int) (*place, error) {
	host, err := l.Node(s.Name)
	if err != nil {
		return nil, err
	}
	p := &place{host, host, map[string]*Line{}, map[string]netip.Addr{}, map[string]netip.Addr{}}
	if s.NAT {
		if p.edge, err = l.Router(s.Name + "-nat"); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(host.Sysctl("ipv4/conf/all/rp_filter", "0"), host.Sysctl("ipv4/conf/default/rp_filter", "0")); err != nil {
		return nil, err
	}
	for _, way := range s.Lines {
		carrier, known := carriers[way.Carrier]
		if !known {
			return nil, fmt.Errorf("there is no carrier %q", way.Carrier)
		}
		if way.Address, way.Address6, err = n.addresses(s, way, carrier, number); err != nil {
			return nil, err
		}
		devices := [2]string{deviceName(way.Carrier, carrier), deviceName(s.Name, number)}
		line, err := n.line(l, p.edge, way, devices)
		if err != nil {
			return nil, err
		}
		if err := p.join(l, line, way, carrier); err != nil {
			return nil, err
		}
	}
	for _, block := range s.Block {
		if _, err := host.Drop(block); err != nil {
			return nil, err
		}
	}
	if s.Names != nil {
		return p, host.ResolveBy(*s.Names)
	}
	return p, nil
}

// addresses are those that a site has on a line.
func (n *Network) addresses(s Site, way SiteLine, carrier, number int) (v4, v6 netip.Addr, err error) {
	if n.only != 6 {
		if v4 = way.Address; !v4.IsValid() {
			v4 = DefaultAddress(carrier, number)
		}
		if v4.As4()[3]|1 == 0xff || v4.As4()[3]&^1 == 0 {
			return v4, v6, fmt.Errorf("%s: an address ends in a number from 2 to 253", v4)
		}
	}
	if n.only != 4 && !s.NAT {
		if v6 = way.Address6; !v6.IsValid() {
			v6 = DefaultAddress6(carrier, number)
		}
	}
	if !v4.IsValid() && !v6.IsValid() {
		return v4, v6, errors.New("a site behind NAT has no IPv6, and this WAN no IPv4")
	}
	return v4, v6, nil
}

// join lets the host use a line.
func (p *place) join(l *Lab, line *Line, way SiteLine, carrier int) (err error) {
	first := len(p.lines) == 0
	p.lines[way.Carrier] = line
	if way.Address6.IsValid() {
		p.addresses6[way.Carrier] = way.Address6
		network := netip.PrefixFrom(DefaultAddress6(carrier, 1), 32).Masked()
		if err := leave(p.host, way.Address6, neighbour(way.Address6), network, 100+carrier, first); err != nil {
			return err
		}
	}
	if !way.Address.IsValid() {
		return nil
	}
	address, gateway := way.Address, neighbour(way.Address)
	if p.edge != p.host {
		if address, err = hide(l, p.host, p.edge, carrier, line); err != nil {
			return err
		}
		if err := errors.Join(p.edge.Route(100+carrier, everywhere(address), gateway), p.edge.From(netip.PrefixFrom(address, 31).Masked(), 100+carrier)); err != nil {
			return err
		}
		gateway = address.Next()
	}
	p.addresses[way.Carrier] = address
	return leave(p.host, address, gateway, netip.PrefixFrom(DefaultAddress(carrier, 1), 16).Masked(), 100+carrier, first)
}

// line joins the edge of a site and a carrier by devices of these names.
func (n *Network) line(l *Lab, edge *Node, way SiteLine, devices [2]string) (*Line, error) {
	ends := [2]End{{Node: edge, Device: devices[0]}, {Node: n.Carriers[way.Carrier], Device: devices[1]}}
	if way.Address.IsValid() {
		ends[0].Address, ends[1].Address = netip.PrefixFrom(way.Address, 31), netip.PrefixFrom(neighbour(way.Address), 31)
	}
	if way.Address6.IsValid() {
		ends[0].Address6, ends[1].Address6 = netip.PrefixFrom(way.Address6, 127), netip.PrefixFrom(neighbour(way.Address6), 127)
	}
	line, err := l.Line(ends[0], ends[1])
	if err != nil {
		return nil, err
	}
	return line, errors.Join(line.Forward.Set(way.Up), line.Backward.Set(way.Down))
}

// neighbour is the other address of a pair.
func neighbour(a netip.Addr) netip.Addr {
	b := a.AsSlice()
	b[len(b)-1] ^= 1
	other, _ := netip.AddrFromSlice(b)
	return other
}

// everywhere is the prefix of all addresses of a version of IP.
func everywhere(like netip.Addr) netip.Prefix { return netip.PrefixFrom(like, 0).Masked() }

// hide puts the host behind its edge on the way to a carrier, and gives the host's address there.
func hide(l *Lab, host, edge *Node, carrier int, line *Line) (netip.Addr, error) {
	inside := netip.AddrFrom4([4]byte{172, 16, byte(carrier), 10})
	err := l.Cable(
		End{Node: host, Device: line.Ends[0].Device, Address: netip.PrefixFrom(inside, 31)},
		End{Node: edge, Device: fmt.Sprintf("inside%d", carrier), Address: netip.PrefixFrom(inside.Next(), 31)})
	return inside, errors.Join(err, edge.Masquerade(line.Ends[0].Device))
}

// leave sends what a host sends from an address by the carrier's gateway, and what it sends to the carrier's network from none.
func leave(host *Node, address, gateway netip.Addr, network netip.Prefix, table int, first bool) error {
	failed := []error{
		host.Route(table, everywhere(address), gateway), host.From(netip.PrefixFrom(address, address.BitLen()), table),
		host.Route(0, network, gateway),
	}
	if first {
		failed = append(failed, host.Route(0, everywhere(address), gateway))
	}
	return errors.Join(failed...)
}

// deviceName is a name that a network device may have: at most 15 letters, and no other's.
func deviceName(name string, number int) string {
	if len(name) <= 15 && name != "lo" {
		return name
	}
	return fmt.Sprintf("%.11s-%d", name, number)
}
