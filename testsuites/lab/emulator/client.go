//go:build linux

package emulator

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Client is the owner's side of an emulator. Its methods may be called concurrently.
type Client struct {
	// RealTime says whether the emulator has real-time priority; without it, it is late by tens of milliseconds under load.
	RealTime bool

	mu      sync.Mutex // one request at a time; guards the fields below
	control int
	lines   int
	process *exec.Cmd
	said    *strings.Builder
}

// Start starts an emulator: this program, executed again as Name. Its main function has to call Process then.
func Start() (*Client, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	c := &Client{control: pair[0], said: &strings.Builder{}}
	c.process = &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{Name}, ExtraFiles: []*os.File{theirs}, Stderr: c.said,
		Env: append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOTRACEBACK=single"),
	}
	if err := c.process.Start(); err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start the emulator: %w", err)
	}
	theirs.Close() // else its end would not be seen
	var hello answer
	if _, n, err := read(c.control, &hello); n == 0 || err != nil {
		c.Close()
		return nil, fmt.Errorf("the emulator did not start: %w: %s", errors.Join(err, io.ErrUnexpectedEOF), c.said)
	}
	c.RealTime = hello.RealTime
	return c, nil
}

// Close ends the emulator, its lines, and the processes it guards.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control < 0 {
		return nil
	}
	unix.Close(c.control)
	c.control = -1
	kill := time.AfterFunc(10*time.Second, func() { c.process.Process.Kill() })
	defer kill.Stop()
	if err := c.process.Wait(); err != nil {
		return fmt.Errorf("the emulator ended badly: %w: %s", err, c.said)
	}
	return nil
}

// PID is the process.
func (c *Client) PID() int { return c.process.Process.Pid }

// ask sends a request and waits for the answer. A descriptor in the answer is the caller's.
func (c *Client) ask(r request, fds ...int) (answer, int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control < 0 {
		return answer{}, -1, errors.New("the emulator has ended")
	}
	if err := write(c.control, r, fds...); err != nil {
		return answer{}, -1, fmt.Errorf("ask the emulator to %s: %w", r.Do, err)
	}
	var said answer
	files, n, err := read(c.control, &said)
	if n == 0 || err != nil {
		return said, -1, fmt.Errorf("the emulator ended while it was asked to %s: %w", r.Do, errors.Join(err, io.ErrUnexpectedEOF))
	}
	if said.Error != "" {
		return said, -1, fmt.Errorf("emulator: %s", said.Error)
	}
	if len(files) > 0 {
		return said, files[0], nil
	}
	return said, -1, nil
}

// Guard has a process killed when this one is gone, however it ends. The descriptor is a pidfd; it stays the caller's.
func (c *Client) Guard(pidfd int) error {
	_, _, err := c.ask(request{Do: doGuard}, pidfd)
	return err
}

// Sweep has a path unmounted and removed when this process is gone, however it ends.
func (c *Client) Sweep(path string) error {
	_, _, err := c.ask(request{Do: doSweep, Path: path})
	return err
}

// Line is a line of an emulator. Its directions are 0, from the first device to the second, and 1.
type Line struct {
	client *Client
	number int
}

// Add makes a line between two packet sockets, made by Attach. They are the emulator's then and closed here.
func (c *Client) Add(sockets [2]int) (*Line, error) {
	defer unix.Close(sockets[0])
	defer unix.Close(sockets[1])
	c.mu.Lock()
	c.lines++
	number := c.lines
	c.mu.Unlock()
	if _, _, err := c.ask(request{Do: doAdd, Line: number}, sockets[:]...); err != nil {
		return nil, err
	}
	return &Line{c, number}, nil
}

// Remove ends the line.
func (l *Line) Remove() error {
	_, _, err := l.client.ask(request{Do: doRemove, Line: l.number})
	return err
}

// Set changes what happens to the packets that enter a direction from now on.
func (l *Line) Set(direction int, i Impair) error {
	_, _, err := l.client.ask(request{Do: doSet, Line: l.number, Direction: direction, Impair: i})
	return err
}

// Count gives what a direction has done since it was made or reset.
func (l *Line) Count(direction int) (Counters, Lateness, error) {
	said, _, err := l.client.ask(request{Do: doCount, Line: l.number, Direction: direction})
	if err != nil {
		return Counters{}, Lateness{}, err
	}
	return *said.Counters, *said.Lateness, nil
}

// Reset sets counters and lateness of a direction to zero. Packets are numbered from 0 again, and patterns begin anew.
func (l *Line) Reset(direction int) error {
	_, _, err := l.client.ask(request{Do: doReset, Line: l.number, Direction: direction})
	return err
}

// Record keeps a record of each chosen packet from now on, up to a limit; 0 ends it. A packet gets its record when its fate is
// complete: when it left, or was lost.
func (l *Line) Record(direction, limit int) error {
	_, _, err := l.client.ask(request{Do: doRecord, Line: l.number, Direction: direction, Limit: limit})
	return err
}

// Take gives the records so far, in the order in which they were completed, and forgets them.
func (l *Line) Take(direction int) ([]Record, error) {
	_, fd, err := l.client.ask(request{Do: doTake, Line: l.number, Direction: direction})
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "records")
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	text := make([]byte, info.Size())
	if _, err := file.ReadAt(text, 0); err != nil && len(text) > 0 {
		return nil, err
	}
	return decodeRecords(text), nil
}
