//go:build linux

package emulator

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// Name is how the process is called: its first argument.
const Name = "netp-lab-emulator"

// controlFD is the descriptor of the control socket in the process.
const controlFD = 3

// Process is the emulator's main function. It returns when the owner is gone; a program calls it first when its name is Name.
func Process() error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(2 << 30) // beyond it the collector runs, late as it makes packets
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	unix.Setpgid(0, 0) // Ctrl-C is for the owner: it still has to hear the truth
	realTime := setRealTime()
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	l := &loop{epoll: epoll, control: controlFD, lines: map[int]*line{}}
	if err := l.watch(controlFD); err != nil {
		return fmt.Errorf("descriptor %d is no control socket: start a lab instead: %w", controlFD, err)
	}
	if err := write(controlFD, answer{RealTime: realTime}); err != nil {
		return err
	}
	err = l.run()
	defer l.close()
	for _, process := range l.guarded {
		unix.PidfdSendSignal(process, unix.SIGKILL, nil, 0)
	}
	for _, path := range l.swept {
		unix.Unmount(path, unix.MNT_DETACH)
		os.Remove(path)
	}
	return err
}

// setRealTime asks for real-time priority for all threads, those to come too.
func setRealTime() bool {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return false
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return false
		}
		attributes := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}
		if unix.SchedSetAttr(id, attributes, 0) != nil {
			return false
		}
	}
	return true
}

// obey answers a request. It says whether to end.
func (l *loop) obey() (end bool, err error) {
	var asked request
	fds, n, err := read(l.control, &asked)
	if n == 0 {
		return true, nil // the owner is gone, whatever the reason
	}
	reply, file := answer{}, -1
	if err == nil {
		file, err = l.do(asked, fds, &reply)
	}
	if err != nil {
		reply.Error = err.Error()
	}
	var files []int
	if file >= 0 {
		files = append(files, file)
		defer unix.Close(file)
	}
	if write(l.control, reply, files...) != nil {
		return true, nil
	}
	return false, nil
}

func (l *loop) do(asked request, fds []int, reply *answer) (file int, err error) {
	switch {
	case asked.Do == doGuard && len(fds) == 1:
		l.guarded = append(l.guarded, fds[0])
		return -1, nil
	case asked.Do == doSweep:
		l.swept = append(l.swept, asked.Path)
		return -1, nil
	case asked.Do == doAdd && len(fds) == 2:
		return -1, l.add(asked.Line, [2]int(fds))
	}
	wanted := l.lines[asked.Line]
	if wanted == nil || asked.Direction < 0 || asked.Direction > 1 {
		return -1, fmt.Errorf("%s: there is no line %d", asked.Do, asked.Line)
	}
	end, way := wanted.ends[asked.Direction], wanted.ways[asked.Direction]
	switch asked.Do {
	case doRemove:
		l.remove(asked.Line)
	case doSet:
		if err := asked.Impair.Check(); err != nil {
			return -1, err
		}
		way.set(asked.Impair)
	case doCount:
		way.Missed += end.missed()
		counters, lateness := way.Counters, way.Lateness
		reply.Counters, reply.Lateness = &counters, &lateness
	case doReset:
		end.missed()
		way.Counters, way.Lateness, way.highest = Counters{}, Lateness{}, 0
	case doRecord:
		way.record(asked.Limit)
	case doTake:
		return way.file()
	default:
		return -1, errors.New("unknown request")
	}
	return -1, nil
}

// file writes the records so far to a file in memory, and begins anew.
func (d *direction) file() (int, error) {
	fd, err := unix.MemfdCreate("records", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, err
	}
	size := len(d.records) * recordSize
	if size > 0 {
		if err := unix.Ftruncate(fd, int64(size)); err != nil {
			return fd, err
		}
		memory, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fd, err
		}
		for i := range d.records {
			d.records[i].encode(memory[i*recordSize:])
		}
		if err := unix.Munmap(memory); err != nil {
			return fd, err
		}
	}
	d.records = d.records[:0]
	return fd, nil
}
