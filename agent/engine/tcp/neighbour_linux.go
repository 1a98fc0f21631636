package tcp

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/beside"
	"github.com/netpupper/netp/agent/port"
)

// mostTurns is how many turns a sender gives while there is no room.
const mostTurns = 20

// neighbour is the sink of the one stream of a session on one host. It has a thread of its own, which shares the sender's processor
// where more comes through so, and a socket that the runtime does not know: else a thread of the runtime would be woken on another
// processor by what arrives, whoever waits for it. To wake one costs two thirds of what sending 64 KiB does.
type neighbour struct {
	fd      int
	flags   uintptr
	wake    int            // an eventfd that ends a wait
	wait    [2]unix.PollFd // for data or that
	stopped atomic.Bool
	reader  *beside.Reader
}

// openNeighbour takes a connection from the runtime for this sink.
func openNeighbour(conn *port.Conn, discard bool) (sink, error) {
	s := &neighbour{flags: unix.MSG_DONTWAIT}
	if discard {
		s.flags |= unix.MSG_TRUNC
	}
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	fd, ok := conn.Detach()
	if !ok {
		return nil, errors.Join(errors.ErrUnsupported, unix.Close(s.wake))
	}
	s.fd = fd
	s.wait = [2]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(s.wake), Events: unix.POLLIN}}
	return s, nil
}

func (s *neighbour) attend() (release func()) {
	runtime.LockOSThread()
	s.reader = beside.New(s.fd)
	return func() {
		s.reader.Leave()
		runtime.UnlockOSThread()
	}
}

func (s *neighbour) pull(b []byte) (int, error) {
	for {
		n, errno := call(unix.SYS_RECVFROM, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), s.flags, 0)
		switch {
		case errno == 0 && n == 0:
			return 0, io.EOF
		case errno == 0:
			s.reader.Look(clock.Mono(), int(n), 0)
			return int(n), nil
		case errno != unix.EAGAIN:
			return 0, os.NewSyscallError("recv", errno)
		case s.stopped.Load():
			return 0, os.ErrDeadlineExceeded
		}
		if !s.reader.Turn() {
			_, _ = unix.Ppoll(s.wait[:], nil, nil) // the next call tells more
		}
	}
}

func (s *neighbour) stop() {
	s.stopped.Store(true)
	_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // cannot fail: it is written once
}

func (s *neighbour) close() { _ = unix.Close(s.wake) }
