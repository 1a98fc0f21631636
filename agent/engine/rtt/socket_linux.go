package rtt

import (
	"encoding/binary"
	"errors"
	"net"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/ancillary"
	"github.com/netpupper/netp/agent/engine/internal/departure"
	"github.com/netpupper/netp/agent/engine/internal/overflow"
	"github.com/netpupper/netp/agent/port"
)

const kernelSockets = true

// kernelSocket is a blocking socket whose packets the kernel stamps (SO_TIMESTAMPING), both ways.
type kernelSocket struct {
	fd        int
	departing bool
	out       *departure.Queue
	before    overflow.Mark
	done      func() error

	in     message // for receive: one goroutine
	polled [1]unix.PollFd
}

const stampFlags = unix.SOF_TIMESTAMPING_SOFTWARE | unix.SOF_TIMESTAMPING_RX_SOFTWARE

// newKernelSocket takes a blocking, connected socket, whose packets are stamped when they come, and with departing also when
// they leave. Closing it calls done.
func newKernelSocket(fd int, departing bool, done func() error) (*kernelSocket, error) {
	s := &kernelSocket{fd: fd, departing: departing, out: departure.New(fd, stampFlags), before: overflow.Before(fd), done: done}
	port.SetReceiveBuffer(fd, port.ReceiveBuffer) // what a stall drops all the same is counted
	for _, o := range [][2]int{
		{unix.SOL_SOCKET, unix.SO_RXQ_OVFL},
		{unix.IPPROTO_IP, unix.IP_RECVTTL}, {unix.IPPROTO_IP, unix.IP_RECVTOS}, {unix.IPPROTO_IP, unix.IP_RECVERR},
		{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT}, {unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS}, {unix.IPPROTO_IPV6, unix.IPV6_RECVERR},
	} {
		// Each is an extra, and half of them belong to the other IP version: what fails is missing from the facts.
		_ = unix.SetsockoptInt(fd, o[0], o[1], 1)
	}
	// Nothing is sent in fragments: the probe that finds out that it does not fit would count as lost, and any fragment lost as all.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPING, stampFlags); err != nil {
		return nil, err
	}
	if departing {
		if err := s.out.Begin(); err != nil {
			return nil, err
		}
	}
	awaitStamps()
	return s, nil
}

// awaitStamps returns when packets are stamped as they come. The kernel begins with that some time after the first socket of
// the host has asked for it; until then the first answers of a session would go without. It tries on loopback, a short time only:
// where that does not work, answers without a stamp are counted.
func awaitStamps() {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if makeBlocking(int(fd)) != nil || unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPING, stampFlags) != nil {
			return
		}
		self, err := unix.Getsockname(int(fd))
		var m message
		var a arrival
		var packet [1]byte
		for began := clock.Mono(); err == nil && a.kernel == 0 && clock.Mono()-began < patience.Nanoseconds(); {
			if err = unix.Sendto(int(fd), packet[:], 0, self); err != nil {
				return
			}
			if _, errno := m.receive(int(fd), packet[:], 0); errno != 0 {
				return
			}
			m.read(&a)
		}
	})
}

// newConnSocket makes a connection's socket a blocking one.
func newConnSocket(c *net.UDPConn) (*kernelSocket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var s *kernelSocket
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = makeBlocking(int(fd)); failed == nil {
			s, failed = newKernelSocket(int(fd), true, c.Close)
		}
	})
	return s, errors.Join(err, failed)
}

func makeBlocking(fd int) error {
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	return errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout),
		unix.SetNonblock(fd, false))
}

func (s *kernelSocket) send(packet []byte, sequence uint64) error {
	err := s.sendOnce(packet, sequence)
	if errno, is := err.(unix.Errno); is && explain(errno) == errICMP {
		err = s.sendOnce(packet, sequence) // the error was of an earlier packet, and this one was not sent
	}
	return err
}

func (s *kernelSocket) sendOnce(packet []byte, sequence uint64) error {
	s.out.Sending(sequence)
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(s.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(packet))), uintptr(len(packet)), unix.MSG_NOSIGNAL, 0, 0)
	if errno == 0 {
		return nil
	}
	if s.departing {
		if err := s.out.Begin(); err != nil {
			return err
		}
	}
	return errno
}

// explain tells the errors that are news of an earlier packet from those of the call. A call that sends can fail by itself with most of
// them; then it fails again.
func explain(errno unix.Errno) error {
	switch errno {
	case unix.EAGAIN, unix.EINTR:
		return errNothing
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EPROTO, unix.EHOSTDOWN, unix.ENONET, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EACCES, unix.EMSGSIZE:
		return errICMP
	}
	return errno
}

func (s *kernelSocket) receive(packet []byte, a *arrival) (int, error) {
	return s.take(packet, a, 0)
}

func (s *kernelSocket) poll(packet []byte, a *arrival) (int, error) {
	return s.take(packet, a, unix.MSG_DONTWAIT)
}

func (s *kernelSocket) await(until int64) bool {
	timeout := unix.NsecToTimespec(max(until-clock.Mono(), 0))
	s.polled[0] = unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN}
	n, err := unix.Ppoll(s.polled[:], &timeout, nil)
	return n > 0 || err != nil
}

func (s *kernelSocket) take(packet []byte, a *arrival, flags int) (int, error) {
	n, errno := s.in.receive(s.fd, packet, flags)
	if errno != 0 {
		return 0, explain(errno)
	}
	s.in.read(a)
	return n, nil
}

func (s *kernelSocket) departures(take func(sequence uint64, kernel int64)) {
	s.out.Take(take)
}

func (s *kernelSocket) clocks() string { return kernelClocks }
func (s *kernelSocket) close() error   { return s.done() }

func (s *kernelSocket) late(dropped uint32) uint32 {
	return uint32(s.before.Late(s.fd, uint64(dropped)))
}

// message is what recvmsg fills.
type message struct {
	header  unix.Msghdr
	vector  unix.Iovec
	control [512]byte
}

func (m *message) receive(fd int, packet []byte, flags int) (int, unix.Errno) {
	m.header = unix.Msghdr{Control: &m.control[0]}
	m.header.SetControllen(len(m.control))
	if len(packet) > 0 {
		m.vector.Base = &packet[0]
		m.vector.SetLen(len(packet))
		m.header.Iov = &m.vector
		m.header.SetIovlen(1)
	}
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&m.header)), uintptr(flags))
	return int(n), errno
}

// read reads what is said about the packet.
func (m *message) read(a *arrival) {
	*a = arrival{ttl: -1, tos: -1}
	for c := range ancillary.All(m.control[:min(int(m.header.Controllen), len(m.control))]) {
		switch {
		case c.Is(unix.SOL_SOCKET, unix.SCM_TIMESTAMPING, unsafe.Sizeof(unix.Timespec{})):
			a.kernel = (*unix.Timespec)(unsafe.Pointer(&c.Data[0])).Nano()
		case c.Is(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 4):
			a.drops = binary.NativeEndian.Uint32(c.Data)
		case c.Is(unix.IPPROTO_IP, unix.IP_TTL, 4), c.Is(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, 4):
			a.ttl = int(binary.NativeEndian.Uint32(c.Data))
		case c.Is(unix.IPPROTO_IP, unix.IP_TOS, 1):
			a.tos = int(c.Data[0])
		case c.Is(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 4):
			a.tos = int(binary.NativeEndian.Uint32(c.Data))
		}
	}
}
