package tcp

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lender is a source that lends its bytes to the kernel instead of copying them: their pages go through a pipe of the kernel
// into the segments.
type lender struct {
	socket   syscall.RawConn
	from, to int // ends of the pipe
	bytes    [1]unix.Iovec
	held     int // bytes in the pipe
	most     int // of them, to send now
	n        uintptr
	errno    syscall.Errno
	write    func(fd uintptr) bool
}

// lend makes a lender for at most size bytes at a time, or says why this system has none.
func (p *rawPipe) lend(size int) (*lender, error) {
	if !lendsWell() {
		return nil, errors.ErrUnsupported
	}
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, fmt.Errorf("open a pipe: %w", err)
	}
	l := &lender{socket: p.raw, from: ends[0], to: ends[1]}
	l.write = l.move
	_, err := unix.FcntlInt(uintptr(l.to), unix.F_SETPIPE_SZ, size) // refused to users with many pipes
	if err == nil {
		_, err = unix.Vmsplice(l.to, nil, 0) // refused by some sandboxes
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("prepare a pipe of %d bytes: %w", size, err)
	}
	return l, nil
}

// lendsWell reports whether the kernel takes many pages in one call into TCP. Before Linux 6.5 each was a call of its own, and a copy
// cheaper.
func lendsWell() bool {
	var name unix.Utsname
	var major, minor int
	if err := unix.Uname(&name); err != nil {
		return false
	}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 5
}

// push fills the pipe when it is empty, and moves what it holds into the socket.
func (l *lender) push(b []byte) (n int, err error) {
	if l.held == 0 {
		l.bytes[0] = unix.Iovec{Base: &b[0]}
		l.bytes[0].SetLen(len(b))
		if l.held, err = unix.Vmsplice(l.to, l.bytes[:], unix.SPLICE_F_NONBLOCK); err != nil {
			return 0, os.NewSyscallError("vmsplice", err)
		}
	}
	l.most = min(l.held, len(b))
	if err := l.socket.Write(l.write); err != nil {
		return 0, err
	}
	if l.errno != 0 {
		return 0, os.NewSyscallError("splice", l.errno)
	}
	l.held -= int(l.n)
	return int(l.n), nil
}

// move reports whether there is a result; false waits for the socket.
func (l *lender) move(fd uintptr) bool {
	l.n, l.errno = call(unix.SYS_SPLICE, uintptr(l.from), 0, fd, 0, uintptr(l.most))
	return l.errno != syscall.EAGAIN
}

func (l *lender) copies() bool { return false }

func (l *lender) close() {
	_ = unix.Close(l.from)
	_ = unix.Close(l.to)
}

// newPages gives n bytes of memory whose pages are never used for anything else as long as the kernel needs them, also when they
// are freed before: the collector's memory would come to carry other data of this process into segments that are sent again.
func newPages(n int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("memory for the payload: %w", err)
	}
	return b, nil
}

// freePages gives memory of newPages back, once.
func freePages(b []byte) { _ = unix.Munmap(b) }
