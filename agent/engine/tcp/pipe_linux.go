package tcp

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/engine/internal/beside"
	"github.com/netpupper/netp/agent/port"
)

const canDiscard = true

// rawPipe makes the system calls itself, without telling the scheduler: a call on a socket that never blocks returns within
// the time of one copy, so it cannot starve the other goroutines, and not handing the processor over and back each time is
// worth a tenth to a third of the rate. When the socket has no room or no data the goroutine waits in the netpoller.
type rawPipe struct {
	netPipe
	raw         syscall.RawConn
	flags       uintptr
	b           []byte
	n           uintptr
	errno       syscall.Errno
	write, read func(fd uintptr) bool
}

// openSource gives the fastest source that the system has, for a pattern in memory of newPages. It gives turns to a reader that may share its
// processor.
func openSource(conn *net.TCPConn, pattern []byte, turns bool) (source, error) {
	p, err := openRaw(conn, unix.MSG_NOSIGNAL)
	if err != nil {
		return nil, err
	}
	if lender, err := p.lend(pattern); err == nil {
		if turns {
			lender.turns = new(beside.Turns)
		}
		return lender, nil
	}
	return p, nil
}

// openSink gives the fastest sink that the system has.
func openSink(conn *port.Conn, discard bool) (sink, error) {
	if discard {
		return openRaw(conn.TCPConn, unix.MSG_TRUNC)
	}
	return openRaw(conn.TCPConn, 0)
}

func openRaw(conn *net.TCPConn, flags uintptr) (*rawPipe, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &rawPipe{netPipe: netPipe{conn}, raw: raw, flags: unix.MSG_DONTWAIT | flags}
	p.write = func(fd uintptr) bool { return p.call(unix.SYS_SENDTO, fd) }
	p.read = func(fd uintptr) bool { return p.call(unix.SYS_RECVFROM, fd) }
	return p, nil
}

// call reports whether there is a result; false waits for the socket.
func (p *rawPipe) call(number, fd uintptr) bool {
	p.n, p.errno = call(number, fd, uintptr(unsafe.Pointer(&p.b[0])), uintptr(len(p.b)), p.flags, 0)
	return p.errno != syscall.EAGAIN
}

// call makes a system call until no signal interrupts it.
func call(number, a, b, c, d, e uintptr) (n uintptr, errno syscall.Errno) {
	for {
		if n, _, errno = syscall.RawSyscall6(number, a, b, c, d, e, 0); errno != syscall.EINTR {
			return n, errno
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

func (p *rawPipe) result(name string) (int, error) {
	if p.errno != 0 {
		return 0, os.NewSyscallError(name, p.errno)
	}
	return int(p.n), nil
}
