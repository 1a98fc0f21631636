package tcp

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawPipe makes the system calls itself, without telling the scheduler: a call on a socket that never blocks returns within
// the time of one copy, so it cannot starve the other goroutines, and not handing the processor over and back each time is
// worth a tenth to a third of the rate. When the socket has no room or no data the goroutine waits in the netpoller.
type rawPipe struct {
	raw         syscall.RawConn
	flags       uintptr
	b           []byte
	n           uintptr
	errno       syscall.Errno
	write, read func(fd uintptr) bool
}

// openPipe gives the fastest pipe that the system has.
func openPipe(conn *net.TCPConn, discard bool) (pipe, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &rawPipe{raw: raw, flags: unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL}
	if discard {
		p.flags |= unix.MSG_TRUNC
	}
	p.write = func(fd uintptr) bool { return p.call(unix.SYS_SENDTO, fd) }
	p.read = func(fd uintptr) bool { return p.call(unix.SYS_RECVFROM, fd) }
	return p, nil
}

const canDiscard = true

// call reports whether there is a result; false waits for the socket.
func (p *rawPipe) call(number, fd uintptr) bool {
	for {
		p.n, _, p.errno = syscall.RawSyscall6(number, fd, uintptr(unsafe.Pointer(&p.b[0])), uintptr(len(p.b)), p.flags, 0, 0)
		if p.errno != syscall.EINTR {
			return p.errno != syscall.EAGAIN
		}
	}
}

func (p *rawPipe) push(b []byte) (int, error) {
	p.b = b
	if err := p.raw.Write(p.write); err != nil {
		return 0, err
	}
	return p.result("send")
}

func (p *rawPipe) pull(b []byte) (int, error) {
	p.b = b
	if err := p.raw.Read(p.read); err != nil {
		return 0, err
	}
	n, err := p.result("recv")
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (p *rawPipe) result(call string) (int, error) {
	if p.errno != 0 {
		return 0, os.NewSyscallError(call, p.errno)
	}
	return int(p.n), nil
}
