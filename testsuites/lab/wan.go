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
}

// Site is a place with one host, where an agent may run.
type Site struct {
	Name  string
	Lines []SiteLine
	// NAT puts a router before the host that hides it: inside, its addresses are 172.16.CARRIER.10, by the number of the carrier.
	NAT bool
	// Block is what a firewall before the host drops of what comes in.
	Block []Drop
}

// SiteLine is a line of a site to a carrier.
type SiteLine struct {
	Carrier string
	// Address of the site on the line; the zero value is 10.CARRIER.SITE.10, both by number, from 1.
	Address netip.Addr
	// Up is from the site to the carrier, Down from the carrier to the site.
	Up, Down emulator.Impair
}

// Network is a WAN that stands.
type Network struct {
	Carriers map[string]*Node
	Sites    map[string]*Node                 // the hosts
	Lines    map[string]map[string]*Line      // by site and carrier; Forward is up
	Host     map[string]map[string]netip.Addr // the host's own address by site and carrier
}

// DefaultAddress is the address of a site's host on a carrier, both by number from 1.
func DefaultAddress(carrier, site int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, byte(carrier), byte(site), 10})
}

// Build builds a WAN. Packets of a host leave by the carrier whose address they bear; those that bear none yet, by the carrier
// of the address to which they go, else by the first.
func (l *Lab) Build(w WAN) (*Network, error) {
	if len(w.Carriers) > 250 || len(w.Sites) > 250 {
		return nil, errors.New("a WAN has up to 250 carriers and 250 sites")
	}
	n := &Network{map[string]*Node{}, map[string]*Node{}, map[string]map[string]*Line{}, map[string]map[string]netip.Addr{}}
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
			n.Sites[site.Name], n.Lines[site.Name], n.Host[site.Name] = built.host, built.lines, built.addresses
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
}

// site builds the number-th site.
func (n *Network) site(l *Lab, s Site, number int, carriers map[string]int) (*place, error) {
	host, err := l.Node(s.Name)
	if err != nil {
		return nil, err
	}
	p := &place{host, host, map[string]*Line{}, map[string]netip.Addr{}}
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
		if !way.Address.IsValid() {
			way.Address = DefaultAddress(carrier, number)
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
	return p, nil
}

// join lets the host use a line.
func (p *place) join(l *Lab, line *Line, way SiteLine, carrier int) (err error) {
	address := way.Address
	if p.edge != p.host {
		if address, err = hide(l, p.host, p.edge, carrier, line); err != nil {
			return err
		}
	}
	p.lines[way.Carrier], p.addresses[way.Carrier] = line, address
	return leave(p.host, p.edge, carrier, line, address, len(p.lines) == 1)
}

// line joins the edge of a site and a carrier by devices of these names.
func (n *Network) line(l *Lab, edge *Node, way SiteLine, devices [2]string) (*Line, error) {
	there := way.Address.As4()
	there[3] ^= 1 // the other address of the pair
	if way.Address.As4()[3]|1 == 0xff || way.Address.As4()[3]&^1 == 0 {
		return nil, fmt.Errorf("%s: an address ends in a number from 2 to 253", way.Address)
	}
	line, err := l.Line(
		End{edge, devices[0], netip.PrefixFrom(way.Address, 31)},
		End{n.Carriers[way.Carrier], devices[1], netip.PrefixFrom(netip.AddrFrom4(there), 31)})
	if err != nil {
		return nil, err
	}
	return line, errors.Join(line.Forward.Set(way.Up), line.Backward.Set(way.Down))
}

// hide puts the host behind its edge on the way to a carrier, and gives the host's address there.
func hide(l *Lab, host, edge *Node, carrier int, line *Line) (netip.Addr, error) {
	inside := netip.AddrFrom4([4]byte{172, 16, byte(carrier), 10})
	outside := netip.AddrFrom4([4]byte{172, 16, byte(carrier), 11})
	err := l.Cable(
		End{host, line.Ends[0].Device, netip.PrefixFrom(inside, 31)},
		End{edge, fmt.Sprintf("inside%d", carrier), netip.PrefixFrom(outside, 31)})
	return inside, errors.Join(err, edge.Masquerade(line.Ends[0].Device))
}

// leave sends what a host sends from an address by the carrier's line.
func leave(host, edge *Node, carrier int, line *Line, address netip.Addr, first bool) error {
	everywhere := netip.MustParsePrefix("0.0.0.0/0")
	gateway, there := line.Ends[1].Address.Addr(), netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(carrier)}), 16)
	if edge != host {
		gateways := []error{edge.Route(100+carrier, everywhere, gateway), edge.From(netip.PrefixFrom(address, 31).Masked(), 100+carrier)}
		if err := errors.Join(gateways...); err != nil {
			return err
		}
		gateway = address.Next()
	}
	failed := []error{host.Route(100+carrier, everywhere, gateway), host.From(netip.PrefixFrom(address, 32), 100+carrier), host.Route(0, there, gateway)}
	if first {
		failed = append(failed, host.Route(0, everywhere, gateway))
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
