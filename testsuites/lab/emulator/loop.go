//go:build linux

package emulator

import (
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spin is how long before a frame is due the loop stops sleeping.
const spin = 20 * time.Microsecond

// burst is how many frames of one device are taken before the others have their turn.
const burst = 32

// loop moves frames. One thread runs it, and nothing else runs in the process.
type loop struct {
	epoll   int
	control int
	devices []*device
	waiting departures
	order   uint64
	spare   []*flight
	lines   map[int]*line
	guarded []int    // processes that die with the owner
	swept   []string // mounts that go with it
}

// line is two devices and the directions between them: ways[0] leads from ends[0] to ends[1].
type line struct {
	ends [2]*device
	ways [2]*direction
}

// now is the host's clock, that of the kernel's stamps.
func now() int64 { return time.Now().UnixNano() }

// run works until the control socket says to end.
func (l *loop) run() error {
	for {
		l.sendDue()
		took := l.takeArrived()
		asked, err := l.sleep(took)
		if err != nil {
			return err
		}
		if asked {
			if end, err := l.obey(); end || err != nil {
				return err
			}
		}
	}
}

func (l *loop) sendDue() {
	for len(l.waiting) > 0 {
		at := now()
		if l.waiting[0].due > at {
			return
		}
		f := l.waiting.pop()
		if f.to.send(f.frame) {
			f.way.left(f, at)
		} else {
			f.way.Missed++
		}
		l.spare = append(l.spare, f)
	}
}

// takeArrived takes frames from the rings and says whether there were any.
func (l *loop) takeArrived() bool {
	took := false
	for _, d := range l.devices {
		for range burst {
			h, full := d.slot()
			if !full {
				break
			}
			took = true
			l.take(d, h)
		}
	}
	return took
}

func (l *loop) take(d *device, h *header) {
	f := l.flight()
	n, arrival := d.read(h, f.frame[:cap(f.frame)])
	if n == 0 {
		d.way.Missed++
		l.spare = append(l.spare, f)
		return
	}
	f.frame = f.frame[:n]
	f.to, f.way = d.to, d.way
	times, count := d.way.take(f, arrival)
	if count == 0 {
		l.spare = append(l.spare, f)
		return
	}
	for i := 1; i < count; i++ {
		double := l.flight()
		frame := append(double.frame[:0], f.frame...)
		*double = *f
		double.frame, double.record.Copy = frame, true
		l.schedule(double, times[i])
	}
	l.schedule(f, times[0])
}

func (l *loop) schedule(f *flight, due int64) {
	l.order++
	f.due, f.order = due, l.order
	l.waiting.push(f)
}

// flight gives one with room for a frame.
func (l *loop) flight() *flight {
	if n := len(l.spare); n > 0 {
		f := l.spare[n-1]
		l.spare = l.spare[:n-1]
		frame := f.frame
		*f = flight{frame: frame[:0]}
		return f
	}
	return &flight{frame: make([]byte, 0, MaxFrame)}
}

// sleep waits for a frame to arrive, for the time at which one must leave, or for the owner. It says whether the owner asks.
func (l *loop) sleep(busy bool) (asked bool, err error) {
	var timeout *unix.Timespec
	var none unix.Timespec
	if busy {
		timeout = &none
	} else if len(l.waiting) > 0 {
		left := l.waiting[0].due - now() - int64(spin)
		if left <= 0 {
			return false, nil // the loop itself waits
		}
		t := unix.NsecToTimespec(left)
		timeout = &t
	}
	var events [16]unix.EpollEvent
	call := unix.Syscall6
	if busy {
		call = unix.RawSyscall6 // it returns at once: nothing to tell the scheduler
	}
	n, _, failed := call(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(timeout)), 0, 0)
	if failed == unix.EINTR {
		return false, nil
	}
	if failed != 0 {
		return false, failed
	}
	return slices.ContainsFunc(events[:n], func(e unix.EpollEvent) bool { return int(e.Fd) == l.control }), nil
}

// add makes a line of two packet sockets.
func (l *loop) add(number int, sockets [2]int) error {
	made := &line{}
	for i, fd := range sockets {
		d, err := open(fd)
		if err != nil {
			return err
		}
		made.ends[i], made.ways[i] = d, &direction{}
		made.ways[i].set(Impair{})
	}
	for i, d := range made.ends {
		d.way, d.to = made.ways[i], made.ends[1-i]
		if err := l.watch(d.fd); err != nil {
			return err
		}
	}
	l.devices = append(l.devices, made.ends[:]...)
	l.lines[number] = made
	return nil
}

// remove drops a line, and what is on its way through it.
func (l *loop) remove(number int) {
	gone := l.lines[number]
	delete(l.lines, number)
	l.devices = slices.DeleteFunc(l.devices, func(d *device) bool { return d == gone.ends[0] || d == gone.ends[1] })
	var rest departures
	for _, f := range l.waiting {
		if f.way != gone.ways[0] && f.way != gone.ways[1] {
			rest.push(f)
		}
	}
	l.waiting = rest
	gone.ends[0].close()
	gone.ends[1].close()
}

// close closes all devices at once: the kernel takes milliseconds for each, of waiting.
func (l *loop) close() {
	var closing sync.WaitGroup
	for _, d := range l.devices {
		closing.Go(d.close)
	}
	closing.Wait()
}

func (l *loop) watch(fd int) error {
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}
