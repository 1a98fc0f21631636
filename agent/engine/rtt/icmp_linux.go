package rtt

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/port"
)

// openPing opens a ping socket, which needs no privilege where net.ipv4.ping_group_range has the group; else a raw one.
func openPing(w port.Where, target netip.Addr, dscp int) (pinger, error) {
	p, err := openEcho(w, target, dscp, unix.SOCK_DGRAM)
	if err == nil {
		p.kind, p.anyIdentifier = "ping", true
		return p, nil
	}
	raw, rawErr := openEcho(w, target, dscp, unix.SOCK_RAW)
	if rawErr != nil {
		if errors.Is(err, fs.ErrPermission) { // then the raw socket says more, unless it is forbidden too
			err = rawErr
		}
		return pinger{}, err
	}
	raw.kind, raw.identifier = "raw", uint16(os.Getpid())
	if target.Is4() {
		raw.socket = rawSocket4{raw.socket}
	}
	return raw, nil
}

func openEcho(w port.Where, target netip.Addr, dscp, kind int) (pinger, error) {
	domain, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if target.Is6() {
		domain, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return pinger{}, os.NewSyscallError("socket", err)
	}
	shut := sync.OnceValue(func() error { return unix.Close(fd) })
	s, err := prepareEcho(fd, shut, w, target, dscp, kind)
	if err != nil {
		return pinger{}, errors.Join(err, shut())
	}
	return pinger{socket: s}, nil
}

func prepareEcho(fd int, shut func() error, w port.Where, target netip.Addr, dscp, kind int) (*kernelSocket, error) {
	if w.Device != "" {
		if err := unix.BindToDevice(fd, w.Device); err != nil {
			return nil, os.NewSyscallError("bind to device "+w.Device, err)
		}
	}
	if dscp != 0 {
		if err := port.SetDSCP(uintptr(fd), family("udp", target), dscp); err != nil {
			return nil, err
		}
	}
	if kind == unix.SOCK_RAW {
		if err := onlyReplies(fd, target); err != nil {
			return nil, err
		}
	}
	if w.Address.IsValid() {
		if err := unix.Bind(fd, sockaddr(w.Address)); err != nil {
			return nil, os.NewSyscallError("bind "+w.Address.String(), err)
		}
	}
	if err := unix.Connect(fd, sockaddr(target)); err != nil {
		return nil, os.NewSyscallError("connect", err)
	}
	if err := makeBlocking(fd); err != nil {
		return nil, err
	}
	return newKernelSocket(fd, true, shut)
}

// onlyReplies keeps all but echo replies away from a raw socket.
func onlyReplies(fd int, target netip.Addr) error {
	if target.Is4() {
		const icmpFilter = 1 // ICMP_FILTER: the types whose bits are set are dropped
		return os.NewSyscallError("setsockopt ICMP_FILTER", unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, ^(1<<echoReply4)))
	}
	var filter unix.ICMPv6Filter
	for i := range filter.Data {
		filter.Data[i] = ^uint32(0)
	}
	filter.Data[echoReply6/32] &^= 1 << (echoReply6 % 32)
	return os.NewSyscallError("setsockopt ICMPV6_FILTER", unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &filter))
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a = a.Unmap(); a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4()}
	}
	s := &unix.SockaddrInet6{Addr: a.As16()}
	if n, err := strconv.ParseUint(a.Zone(), 10, 32); err == nil {
		s.ZoneId = uint32(n)
	} else if i, err := net.InterfaceByName(a.Zone()); err == nil {
		s.ZoneId = uint32(i.Index)
	}
	return s
}

// rawSocket4 takes the IP header off that raw sockets give for IPv4.
type rawSocket4 struct{ socket }

func (s rawSocket4) receive(packet []byte, a *arrival) (int, error) {
	n, err := s.socket.receive(packet, a)
	if err != nil {
		return 0, err
	}
	header := int(packet[0]&0xF) * 4
	if n < ip4Header || header < ip4Header || header > n || binary.BigEndian.Uint16(packet[2:]) < uint16(header) {
		return 0, errNothing
	}
	return copy(packet, packet[header:n]), nil
}
