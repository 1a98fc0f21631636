package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// Where says out of which part of the host sockets are opened. The zero value is the host as it is.
type Where struct {
	// Address is the local address; the zero Addr leaves it to the routing table.
	Address netip.Addr
	// Device is the network interface or VRF the sockets are bound to (Linux).
	Device string
	// Netns is the network namespace the sockets live in: a name under /run/netns, or a path (Linux, as root).
	Netns string
}

// local is the address to bind to, with a port.
func (w Where) local(port uint16) netip.AddrPort { return netip.AddrPortFrom(w.Address, port) }

// control is the hook for net.Dialer and net.ListenConfig that applies the device and then the caller's own options.
func (w Where) control(network string, more func(fd uintptr, network string) error) func(string, string, syscall.RawConn) error {
	return func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			if failed = bindToDevice(fd, w.Device); failed == nil && more != nil {
				failed = more(fd, network)
			}
		})
		return errors.Join(err, failed)
	}
}

// family gives the network name with the family of the address: "udp" and 10.0.0.1 make "udp4".
func family(network string, a netip.Addr) string {
	switch {
	case a.Is4() || a.Is4In6():
		return network + "4"
	case a.Is6():
		return network + "6"
	}
	return network
}

// unmapped is the address without the IPv4-in-IPv6 form that dual-stack sockets give.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// addrPort reads the address of a socket.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.UDPAddr:
		return unmapped(a.AddrPort())
	case *net.TCPAddr:
		return unmapped(a.AddrPort())
	}
	return netip.AddrPort{}
}

// checkDSCP says whether a code point fits its six bits.
func checkDSCP(dscp int) error {
	if dscp < 0 || dscp > 63 {
		return fmt.Errorf("dscp %d: must be between 0 and 63", dscp)
	}
	return nil
}
