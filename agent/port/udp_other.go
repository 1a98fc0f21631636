//go:build !linux

package port

import (
	"errors"
	"net"
	"net/netip"
)

// ownSockets says whether flows have sockets of their own.
func (p *Port) ownSockets() bool { return false }

// listenUDP opens the socket that the port and its flows share.
func (p *Port) listenUDP(a netip.AddrPort) (*udpListener, error) {
	network := family("udp", a.Addr())
	config := net.ListenConfig{Control: p.config.control(network, nil)}
	conn, err := config.ListenPacket(p.ctx, network, a.String())
	if err != nil {
		return nil, err
	}
	return &udpListener{conn: conn.(*net.UDPConn), local: a}, nil
}

func (p *Port) connect(*Flow, *udpListener, []byte, func(uintptr, string) error) error {
	return errors.ErrUnsupported
}

func (f *Flow) settle() error { return errors.ErrUnsupported }
