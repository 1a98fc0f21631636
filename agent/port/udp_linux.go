package port

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Flows on Linux. Each flow has its own socket, bound to the address of the port and connected to its peer; the kernel gives
// it the packets of its peer and nobody else's. All sockets on one address form an SO_REUSEPORT group, in which the listener
// is the first. A socket that is bound and not yet connected would get a share of the strangers' packets; a filter program
// on the group, "always the first", prevents that, but for one moment: a lookup that rates the socket just before it is connected
// and looks at its state just after gives it the packet. (Seen with one of 400 new flows beside a flood.) The packet still has
// the address of its sender, so the flow tells it from its own and hands it back to the port. The packets of flows that stand are
// safe from this: they match their own socket better. A group has one exact address: a port that is open on all addresses opens
// a listener for each address on which a session begins, before the first flow there.

// ownSockets says whether flows have sockets of their own.
func (p *Port) ownSockets() bool { return !p.config.portable }

// listenUDP opens a listener, the first of its group. It fails with EADDRINUSE if anything else has the port.
func (p *Port) listenUDP(a netip.AddrPort) (*udpListener, error) {
	network := family("udp", a.Addr())
	probe := net.ListenConfig{Control: p.config.control(network, nil)}
	alone, err := probe.ListenPacket(p.ctx, network, a.String()) // without SO_REUSEPORT: tells whether another program is there
	if err != nil {
		return nil, err
	}
	alone.Close()
	return p.joinUDP(a)
}

// joinUDP opens a listener without asking whether the address is taken.
func (p *Port) joinUDP(a netip.AddrPort) (*udpListener, error) {
	network := family("udp", a.Addr())
	config := net.ListenConfig{Control: p.config.control(network, func(fd uintptr, _ string) error {
		return shareable(int(fd), a.Addr())
	})}
	opened, err := config.ListenPacket(context.Background(), network, a.String())
	if err != nil {
		return nil, err
	}
	conn := opened.(*net.UDPConn)
	if err := found(conn); err != nil {
		conn.Close()
		return nil, err
	}
	return &udpListener{conn: conn, local: a}, nil
}

// shareable lets other sockets join the address, and makes a socket on all addresses tell which one a packet was sent to.
func shareable(fd int, a netip.Addr) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return fmt.Errorf("share the data port: %w", err)
	}
	switch {
	case !a.IsUnspecified():
		return nil
	case a.Is4():
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	default:
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
}

// found attaches to the group of the listener, which is alone in it, the program that always chooses the first. (A socket that
// has the program before it is bound cannot share its port with a socket on all addresses.)
func found(listener *net.UDPConn) error {
	raw, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	program := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &filter)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("attach the filter of the data port: %w", err)
	}
	return nil
}

// connect gives the flow its socket.
func (p *Port) connect(f *Flow, l *udpListener, ancillary []byte, control func(uintptr, string) error) error {
	local := l.local
	if local.Addr().IsUnspecified() {
		address, err := destination(ancillary)
		if err != nil {
			return err
		}
		local = netip.AddrPortFrom(address, local.Port())
	}
	return p.config.do(func() error {
		if err := p.lead(local); err != nil {
			return err
		}
		conn, err := p.connected(local, f.Remote, control)
		if err != nil {
			return err
		}
		f.UDP, f.Local = conn, local
		f.stray = func(packet []byte, from netip.AddrPort) {
			p.receiveUDP(&udpListener{local: local}, packet, nil, from)
		}
		return nil
	})
}

// lead makes sure that the group of the address has its listener.
func (p *Port) lead(local netip.AddrPort) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	for _, l := range p.udp {
		if l.local == local {
			return nil
		}
	}
	l, err := p.joinUDP(local)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", local, err)
	}
	p.udp = append(p.udp, l)
	p.tasks.Go(func() { p.serveUDP(l) })
	return nil
}

// connected opens the socket of a flow.
func (p *Port) connected(local, remote netip.AddrPort, control func(uintptr, string) error) (*net.UDPConn, error) {
	from, domain := sockaddr(local)
	to, _ := sockaddr(remote)
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), "flow")
	defer file.Close() // the connection has a copy
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1); err != nil {
		return nil, os.NewSyscallError("setsockopt SO_REUSEPORT", err)
	}
	if err := bindToDevice(uintptr(fd), p.config.Device); err != nil {
		return nil, err
	}
	SetReceiveBuffer(fd, ReceiveBuffer) // the peer may send before the engine has the flow
	if control != nil {
		if err := control(uintptr(fd), family("udp", local.Addr())); err != nil {
			return nil, err
		}
	}
	if err := unix.Bind(fd, from); err != nil {
		return nil, os.NewSyscallError("bind", err)
	}
	if err := unix.Connect(fd, to); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// ReceiveBuffer is how many bytes may wait in the socket of a flow, unless its engine changes that: a stall shall drop nothing.
const ReceiveBuffer = 4 << 20

// SetReceiveBuffer lets up to size bytes wait in a socket: above net.core.rmem_max, too, if the agent may set that
// (CAP_NET_ADMIN), otherwise as many as the host allows.
func SetReceiveBuffer(fd, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
}

func sockaddr(a netip.AddrPort) (address unix.Sockaddr, domain int) {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16(), ZoneId: zone(a.Addr())}, unix.AF_INET6
}

// zone is the index of the interface of a link-local address. It is called in the namespace of the port.
func zone(a netip.Addr) uint32 {
	if index, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		return uint32(index)
	}
	if i, err := net.InterfaceByName(a.Zone()); err == nil {
		return uint32(i.Index)
	}
	return 0
}

// destination reads from the ancillary data which of the host's addresses a packet was sent to.
func destination(ancillary []byte) (netip.Addr, error) {
	messages, err := unix.ParseSocketControlMessage(ancillary)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("read the destination of a packet: %w", err)
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			return netip.AddrFrom4([4]byte(m.Data[8:])), nil
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			a := netip.AddrFrom16([16]byte(m.Data))
			if a.IsLinkLocalUnicast() {
				a = a.WithZone(strconv.FormatUint(uint64(binary.NativeEndian.Uint32(m.Data[16:])), 10))
			}
			return a, nil
		}
	}
	return netip.Addr{}, fmt.Errorf("the kernel did not say to which address a packet was sent")
}
