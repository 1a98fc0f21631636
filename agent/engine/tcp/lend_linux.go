package tcp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/beside"
)

// lender is a source that lends its bytes to the kernel instead of copying them: their pages go through a pipe of the kernel
// into the segments. They are looked up once, for a pipe that keeps them; tee hands them to the other one again and again.
type lender struct {
	socket syscall.RawConn
	kept   pipe
	moved  pipe
	size   int // bytes in kept
	held   int // bytes in moved, the last of kept
	most   int // of them, to send now
	n      uintptr
	errno  syscall.Errno
	write  func(fd uintptr) bool
	turns  *beside.Turns // of a reader that may share this processor; else nil
}

// pipe is a pipe of the kernel.
type pipe struct{ from, to int }

func openPipe(size int) (p pipe, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return p, fmt.Errorf("open a pipe: %w", err)
	}
	p = pipe{ends[0], ends[1]}
	if _, err := unix.FcntlInt(uintptr(p.to), unix.F_SETPIPE_SZ, size); err != nil { // refused to users with many pipes
		p.close()
		return p, fmt.Errorf("prepare a pipe of %d bytes: %w", size, err)
	}
	return p, nil
}

func (p pipe) close() {
	_ = unix.Close(p.from)
	_ = unix.Close(p.to)
}

// lend makes a lender for a pattern in memory of newPages, or says why this system has none.
func (p *rawPipe) lend(pattern []byte) (*lender, error) {
	if !lendsWell() {
		return nil, errors.ErrUnsupported
	}
	kept, err := openPipe(len(pattern))
	if err != nil {
		return nil, err
	}
	moved, err := openPipe(len(pattern))
	if err != nil {
		kept.close()
		return nil, err
	}
	l := &lender{socket: p.raw, kept: kept, moved: moved, size: len(pattern)}
	l.write = l.move
	all := []unix.Iovec{{Base: &pattern[0]}}
	all[0].SetLen(len(pattern))
	n, err := unix.Vmsplice(kept.to, all, unix.SPLICE_F_NONBLOCK) // refused by some sandboxes
	switch {
	case err != nil:
		err = os.NewSyscallError("vmsplice", err)
	case n < len(pattern):
		err = io.ErrShortWrite
	default:
		err = l.refill() // refused by others
	}
	if err != nil {
		l.close()
		return nil, err
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

// refill hands the whole pattern to the pipe that is empty.
func (l *lender) refill() error {
	n, errno := call(unix.SYS_TEE, uintptr(l.kept.from), uintptr(l.moved.to), uintptr(l.size), unix.SPLICE_F_NONBLOCK, 0)
	if errno != 0 {
		return os.NewSyscallError("tee", errno)
	}
	l.held = int(n)
	return nil
}

// push fills the pipe when it is empty, and moves what it holds into the socket.
func (l *lender) push(b []byte) (n int, err error) {
	if l.held == 0 {
		if err := l.refill(); err != nil {
			return 0, err
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
	for range 1 + mostTurns {
		l.n, l.errno = call(unix.SYS_SPLICE, uintptr(l.moved.from), 0, fd, 0, uintptr(l.most))
		if l.errno != syscall.EAGAIN {
			return true
		}
		if _, taken := l.turns.Give(clock.Mono()); !taken {
			return false
		}
	}
	return false
}

func (l *lender) copies() bool { return false }

func (l *lender) close() {
	l.kept.close()
	l.moved.close()
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
