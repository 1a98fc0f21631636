package port

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rawTimeout bounds a blocking read or write on Raw, so that a loop sees its stop flag, and the runtime a thread that can
// be stopped, at least this often.
const rawTimeout = 100 * time.Millisecond

// Raw gives the descriptor of the flow's socket for system calls, and ok = true where there is one. The first call makes the
// socket blocking, with a timeout of 100 ms (EAGAIN) for each read and write, and takes it out of the runtime's poller, whose
// thread would be woken by every packet that comes or has left, whoever waits for it. From then on UDP is nil, and Read and
// deadlines are no longer for use: the owner of the flow calls Raw before anything else uses it. The descriptor stays the
// flow's: do not close it, and do not use it after Close.
//
// A packet of a stranger that arrived in the very moment in which the socket was connected can be in it (udp_linux.go). Its tag
// is wrong, like that of any forged packet.
func (f *Flow) Raw() (fd int, ok bool) {
	if f.detached == nil && (f.shared != nil || f.detach() != nil) {
		return -1, false
	}
	return int(f.detached.Fd()), true
}

// detach replaces the connection by a copy of its descriptor that the runtime does not know.
func (f *Flow) detach() error {
	detached, err := unknown(f.UDP, "flow")
	if err != nil {
		return err
	}
	err = f.UDP.Close()
	f.UDP, f.detached = nil, detached
	return err
}

// Detach does for a connection what Raw does for a flow. From then on only SyscallConn, SetLinger and Close are for use.
func (c *Conn) Detach() (fd int, ok bool) {
	detached, err := unknown(c.TCPConn, "connection")
	if err != nil {
		return -1, false
	}
	_ = c.TCPConn.Close() // the copy keeps the connection
	c.detached = detached
	return int(detached.Fd()), true
}

func (c *Conn) linger(seconds int) error {
	raw, err := c.detached.SyscallConn()
	if err != nil {
		return err
	}
	how := unix.Linger{Onoff: 1, Linger: int32(seconds)}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptLinger(int(fd), unix.SOL_SOCKET, unix.SO_LINGER, &how) })
	return errors.Join(err, failed)
}

// unknown is a blocking copy of a socket's descriptor that the runtime does not know.
func unknown(c syscall.Conn, name string) (*os.File, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var failed error
	err = raw.Control(func(d uintptr) {
		if fd, failed = unix.FcntlInt(d, unix.F_DUPFD_CLOEXEC, 0); failed != nil {
			return
		}
		if failed = makeBlocking(fd); failed != nil { // os.NewFile would give a non-blocking one to the poller
			unix.Close(fd)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func makeBlocking(fd int) error {
	timeout := unix.NsecToTimeval(rawTimeout.Nanoseconds())
	return errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout),
		unix.SetNonblock(fd, false))
}

// settle waits until the initiator is known to have the answer to its hello: it says so, or sends something else, or stops
// asking. Until then it answers repeated hellos. What is not of the set-up stays in the socket for the engine.
func (f *Flow) settle() error {
	raw, err := f.UDP.SyscallConn()
	if err != nil {
		return err
	}
	return f.settleBy(raw.Read)
}

// settleBy is settle for who reads the socket by the function. The deadline is gone when it returns.
func (f *Flow) settleBy(read func(func(fd uintptr) bool) error) error {
	var packet [setupSize + 1]byte // one more, to tell longer packets
	for {
		if err := f.UDP.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		n, from, err := receive(read, packet[:], unix.MSG_PEEK)
		if err := f.UDP.SetReadDeadline(time.Time{}); err != nil { // what was seen shall be read, also when the time has passed meanwhile
			return err
		}
		ours := from == netip.AddrPortFrom(f.Remote.Addr().WithZone(""), f.Remote.Port())
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err == nil && ours && !isSetup(packet[:n]):
			return nil
		case err == nil:
			_, _, err = receive(read, packet[:], 0)
		}
		switch {
		case errors.Is(err, unix.ECONNREFUSED):
			// an answer found the peer's socket closed; the next silence ends the wait
		case err != nil:
			return err
		case !ours:
			f.stray(packet[:n], from)
		case f.Setup(packet[:n]) && packet[5] == kindConfirm:
			return nil
		}
	}
}

// receive is recvfrom on a socket of the runtime's poller.
func receive(read func(func(fd uintptr) bool) error, b []byte, flags int) (n int, from netip.AddrPort, err error) {
	var source unix.Sockaddr
	var failed error
	err = read(func(fd uintptr) bool {
		n, source, failed = unix.Recvfrom(int(fd), b, flags|unix.MSG_DONTWAIT)
		return !errors.Is(failed, unix.EAGAIN) && !errors.Is(failed, unix.EINTR)
	})
	if err != nil {
		return 0, from, err
	}
	switch a := source.(type) {
	case *unix.SockaddrInet4:
		from = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		from = netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port))
	}
	return n, from, failed
}
