package port

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// rawTimeout bounds a blocking read or write on Raw, so that a loop sees its stop flag, and the runtime a thread that can
// be stopped, at least this often.
const rawTimeout = 100 * time.Millisecond

// Raw gives the descriptor of the flow's socket for blocking system calls, and ok = true where there is one. The first call
// makes the socket blocking, with a timeout of 100 ms (EAGAIN) for each read and write; deadlines have no effect any more.
// The descriptor stays the flow's: do not close it, and do not use it after Close.
//
// A packet of a stranger that arrived in the very moment in which the socket was connected can be in it (udp_linux.go). Its tag
// is wrong, like that of any forged packet.
func (f *Flow) Raw() (fd int, ok bool) {
	if f.shared != nil {
		return -1, false
	}
	raw, err := f.UDP.SyscallConn()
	if err != nil {
		return -1, false
	}
	err = raw.Control(func(d uintptr) {
		fd = int(d)
		ok = makeBlocking(fd) == nil
	})
	return fd, ok && err == nil
}

func makeBlocking(fd int) error {
	timeout := unix.NsecToTimeval(rawTimeout.Nanoseconds())
	return errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout),
		unix.SetNonblock(fd, false))
}

// Detach takes the socket of a flow (Flow.UDP, which is nil afterwards) out of the runtime's poller and gives its descriptor, as
// Raw does: for a loop that sleeps by itself, because the poller's thread is woken by every packet that arrives. Read and
// SetReadDeadline must not be called any more. It is for the owner of the flow, before anything else uses it.
func (f *Flow) Detach() (fd int, err error) {
	raw, err := f.UDP.SyscallConn()
	if err != nil {
		return -1, err
	}
	var failed error
	err = raw.Control(func(d uintptr) {
		fd, failed = unix.FcntlInt(d, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, failed); err != nil {
		return -1, fmt.Errorf("take the socket of a flow out of the poller: %w", err)
	}
	if err := makeBlocking(fd); err != nil { // else os.NewFile would put it back
		unix.Close(fd)
		return -1, fmt.Errorf("take the socket of a flow out of the poller: %w", err)
	}
	err = f.UDP.Close()
	f.UDP, f.detached = nil, os.NewFile(uintptr(fd), "flow")
	return fd, err
}

// settle waits until the initiator is known to have the answer to its hello: it says so, or sends something else, or stops
// asking. Until then it answers repeated hellos. What is not of the set-up stays in the socket for the engine.
func (f *Flow) settle() error {
	raw, err := f.UDP.SyscallConn()
	if err != nil {
		return err
	}
	var packet [setupSize + 1]byte // one more, to tell longer packets
	for {
		if err := f.UDP.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		n, from, err := receive(raw.Read, packet[:], unix.MSG_PEEK)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return f.UDP.SetReadDeadline(time.Time{})
		case errors.Is(err, unix.ECONNREFUSED):
			continue // an answer that found the peer's socket closed; the next silence ends the wait
		case err != nil:
			return err
		}
		ours := from == netip.AddrPortFrom(f.Remote.Addr().WithZone(""), f.Remote.Port())
		if ours && !isSetup(packet[:n]) {
			return f.UDP.SetReadDeadline(time.Time{})
		}
		if _, _, err := receive(raw.Read, packet[:], 0); err != nil {
			return err
		}
		switch {
		case !ours:
			f.stray(packet[:n], from)
		case f.Setup(packet[:n]) && packet[5] == kindConfirm:
			return f.UDP.SetReadDeadline(time.Time{})
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
