//go:build !linux

package rtt

import (
	"net"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/net/icmp"

	"github.com/netpupper/netp/agent/port"
)

// openPing opens an unprivileged socket for echo requests where the system has one (macOS), else a raw one.
func openPing(w port.Where, target netip.Addr, dscp int) (pinger, error) {
	unprivileged, raw, local := "udp4", "ip4:icmp", "0.0.0.0"
	if target.Is6() {
		unprivileged, raw, local = "udp6", "ip6:ipv6-icmp", "::"
	}
	if w.Address.IsValid() {
		local = w.Address.String()
	}
	if runtime.GOOS == "darwin" {
		if conn, err := icmp.ListenPacket(unprivileged, local); err == nil {
			p := pinger{kind: "ping", anyIdentifier: true}
			return p.with(conn, &net.UDPAddr{IP: target.AsSlice(), Zone: target.Zone()}, dscp)
		}
	}
	conn, err := icmp.ListenPacket(raw, local)
	if err != nil {
		return pinger{}, err
	}
	p := pinger{kind: "raw", identifier: uint16(os.Getpid())}
	return p.with(conn, &net.IPAddr{IP: target.AsSlice(), Zone: target.Zone()}, dscp)
}

// with completes the pinger.
func (p pinger) with(conn *icmp.PacketConn, target net.Addr, dscp int) (pinger, error) {
	var err error
	switch {
	case dscp == 0:
	case conn.IPv4PacketConn() != nil:
		err = conn.IPv4PacketConn().SetTOS(dscp << 2)
	default:
		err = conn.IPv6PacketConn().SetTrafficClass(dscp << 2)
	}
	if err != nil {
		conn.Close()
		return pinger{}, err
	}
	p.socket = plainSocket{echoStream{conn, target}}
	return p, nil
}

// echoStream is a socket for ICMP with one destination.
type echoStream struct {
	*icmp.PacketConn
	target net.Addr
}

func (s echoStream) Read(b []byte) (int, error) {
	n, _, err := s.ReadFrom(b) // whose answer it is, the cookie tells
	return n, err
}

func (s echoStream) Write(b []byte) (int, error) { return s.WriteTo(b, s.target) }
