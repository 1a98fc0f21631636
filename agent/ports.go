package agent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/port"
)

// ports are the data ports of an agent: one number, opened in as many places as
// its interfaces need, usually one.
type ports struct {
	home       place            // where paths without an interface work
	interfaces map[string]place // by name
	open       []*port.Port
}

// place is a way out of the host, the port that answers there, and the addresses
// peers may dial, the preferred one first.
type place struct {
	where     port.Where
	port      *port.Port
	addresses []netip.Addr
}

// openPorts opens the data port at home and at each interface that the one at
// home does not reach.
func openPorts(cfg Config) (*ports, error) {
	p := &ports{interfaces: make(map[string]place)}
	home, err := p.openHome(cfg)
	if err == nil {
		p.home = home
		for _, i := range cfg.Interfaces {
			if err = p.openInterface(cfg, i); err != nil {
				err = fmt.Errorf("interface %s: %w", i.Name, err)
				break
			}
		}
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *ports) openHome(cfg Config) (place, error) {
	home := place{where: cfg.Listen}
	var err error
	if home.port, err = p.listen(cfg, cfg.Listen, nil, cfg.Port); err != nil {
		return home, err
	}
	home.addresses, err = addresses(cfg.Address, cfg.Listen)
	return home, err
}

func (p *ports) openInterface(cfg Config, i netp.Interface) error {
	at := place{where: port.Where{Device: i.Device, Netns: i.Netns}}
	if at.where.Netns == "" {
		at.where.Netns = cfg.Listen.Netns
	}
	var err error
	if i.Address != "" {
		if at.where.Address, err = netip.ParseAddr(i.Address); err != nil {
			return err
		}
	}
	if at.addresses, err = addresses("", at.where); err != nil {
		return err
	}
	at.port = p.home.port
	if !p.home.reaches(at.where) {
		// By a device alone the port would be open on all addresses, and collide with the one at home.
		var only []netip.Addr
		if i.Device != "" && i.Address == "" {
			only = at.addresses
		}
		if at.port, err = p.listen(cfg, at.where, only, p.home.port.Addr().Port()); err != nil {
			return err
		}
	}
	p.interfaces[i.Name] = at
	return nil
}

// reaches says whether the port of a place answers at another one, too: it does
// in the same namespace when it is open on all addresses, or on the same.
func (h place) reaches(w port.Where) bool {
	return h.where.Netns == w.Netns && h.where.Device == "" &&
		(!h.where.Address.IsValid() || h.where.Address == w.Address)
}

func (p *ports) listen(cfg Config, w port.Where, only []netip.Addr, number uint16) (*port.Port, error) {
	one, err := port.Listen(port.Config{Where: w, Addresses: only, Port: number, Logger: cfg.Logger})
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, one)
	return one, nil
}

// addresses lists those at which a place can be dialled: the one given, or the
// place's own, or what the system has there, loopback last.
func addresses(given string, w port.Where) ([]netip.Addr, error) {
	if given != "" {
		a, err := netip.ParseAddr(given)
		return []netip.Addr{a}, err
	}
	if w.Address.IsValid() {
		return []netip.Addr{w.Address}, nil
	}
	var found []net.Addr
	err := port.Dialer{Where: port.Where{Netns: w.Netns}}.Open(func() (err error) {
		if w.Device == "" {
			found, err = net.InterfaceAddrs()
			return err
		}
		device, err := net.InterfaceByName(w.Device)
		if err == nil {
			found, err = device.Addrs()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find the addresses of the host: %w", err)
	}
	return usable(found), nil
}

func usable(found []net.Addr) []netip.Addr {
	var global, loopback []netip.Addr
	for _, f := range found {
		prefix, err := netip.ParsePrefix(f.String())
		if err != nil {
			continue // not an IP address
		}
		switch a := prefix.Addr().Unmap(); {
		case a.IsGlobalUnicast():
			global = append(global, a)
		case a.IsLoopback():
			loopback = append(loopback, a)
		}
	}
	return append(global, loopback...)
}

// address is the data port as the agent announces it; "" when it has none.
func (p *ports) address() string {
	a, err := p.home.pick(0)
	if err != nil {
		return ""
	}
	return a.String()
}

// pick chooses the first address of the IP version, 0 for any.
func (h place) pick(ip int) (netip.AddrPort, error) {
	for _, a := range h.addresses {
		if ip == 0 || a.Is4() == (ip == 4) {
			return netip.AddrPortFrom(a, h.port.Addr().Port()), nil
		}
	}
	if ip == 0 {
		return netip.AddrPort{}, errors.New("it has no IP address there")
	}
	return netip.AddrPort{}, fmt.Errorf("it has no IPv%d address there", ip)
}

// at is the place of an interface, home for "".
func (p *ports) at(name string) (place, error) {
	if name == "" {
		return p.home, nil
	}
	at, ok := p.interfaces[name]
	if !ok {
		return place{}, fmt.Errorf("it has no interface %q", name)
	}
	return at, nil
}

// find gives the port that answers at an interface and the address to dial.
func (p *ports) find(name string, ip int) (*port.Port, netip.AddrPort, error) {
	at, err := p.at(name)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	address, err := at.pick(ip)
	return at.port, address, err
}

// where is what to dial out of for an interface. Without an address of its own
// the routing table decides.
func (p *ports) where(name string, ip int) (port.Where, error) {
	at, err := p.at(name)
	if err == nil && ip != 0 && at.where.Address.IsValid() {
		_, err = at.pick(ip)
	}
	return at.where, err
}

func (p *ports) close() {
	for _, one := range p.open {
		one.Close()
	}
}
