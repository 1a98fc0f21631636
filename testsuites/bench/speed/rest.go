//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vishvananda/netns"
)

// An agent at rest makes itself small every tenth announcement: every 33 seconds. It is left alone until it has done so once, and
// then watched for one round, so that the figures are those of any moment and not of the best one.
const (
	settle = 40 * time.Second
	period = 34 * time.Second
)

var joinToken = regexp.MustCompile(`-join (\S+)`)

// atRest measures the memory of an agent that has joined a controller and has nothing to do.
func atRest(ctx context.Context, b *bench) error {
	_, err := contest{
		title: "An agent that has joined a controller and has no session, by /proc/PID/smaps_rollup, once a second for 34 s: medians, and the most. The program is on the disk only " +
			"when they start, as after a boot. Of its RSS, the program's own pages are shared with other processes of the same program.",
		columns: []column{{name: "RSS MiB"}, {name: "most MiB"}, {name: "of this private MiB"}, {name: "anonymous MiB"}, {name: "threads"}, {name: "CPU ms/s"}},
		tools:   []tool{{name: "netp agent", setup: "release build", run: b.rest}}, rounds: b.rounds,
	}.run(ctx)
	return err
}

// rest starts a controller and an agent, and stops them.
func (b *bench) rest(ctx context.Context) (f figures, err error) {
	netp, err := b.release(ctx)
	if err != nil {
		return nil, err
	}
	if err := forget(netp); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.dir, "rest")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var numbers [3]string
	for i := range numbers {
		if numbers[i], err = b.ports.free(netns.None(), "127.0.0.1"); err != nil {
			return nil, err
		}
	}
	controller, out, err := daemon(ctx, netp, "controller", "-data", filepath.Join(dir, "controller"),
		"-bus", "127.0.0.1:"+numbers[0], "-http", "127.0.0.1:"+numbers[1], "-advertise", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, controller.stop()) }()
	line, err := until(out, "-join ")
	if err != nil {
		return nil, err
	}
	token := joinToken.FindStringSubmatch(line)
	if token == nil {
		return nil, fmt.Errorf("no join token in %q", line)
	}
	agent, out, err := daemon(ctx, netp, "agent", "-join", token[1], "-data", filepath.Join(dir, "agent"), "-name", "one", "-listen", "127.0.0.1:"+numbers[2])
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, agent.stop()) }()
	if _, err := until(out, "data port"); err != nil {
		return nil, err
	}
	if err := wait(ctx, settle); err != nil {
		return nil, err
	}
	return agent.watch(ctx)
}

// forget has the kernel drop a file from its memory. How the file came there decides how much of it a process maps with each page that it
// touches: of one that was read as a whole the kernel holds, and maps, megabytes as one piece.
func forget(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := file.Sync(); err != nil { // what is not on the disk yet is not dropped
		return err
	}
	return unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// process is a daemon that was started.
type process struct{ *exec.Cmd }

// daemon starts a command and gives what it says.
func daemon(ctx context.Context, words ...string) (process, *bufio.Scanner, error) {
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	out, err := c.StdoutPipe()
	if err != nil {
		return process{}, nil, err
	}
	c.Stderr = c.Stdout
	return process{c}, bufio.NewScanner(out), c.Start()
}

// until reads to the first line that has a text. What comes later is not read: the daemons say little.
func until(lines *bufio.Scanner, text string) (string, error) {
	var all strings.Builder
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return lines.Text(), nil
		}
		all.WriteString(lines.Text() + " ")
	}
	return "", fmt.Errorf("it ended without %q: %.300s", text, &all)
}

// stop ends the daemon as its supervisor does.
func (p process) stop() error {
	p.Process.Signal(unix.SIGTERM)
	return p.Wait()
}

// watch reads the memory once a second, and the CPU time of all the time.
func (p process) watch(ctx context.Context) (figures, error) {
	before, err := p.used()
	if err != nil {
		return nil, err
	}
	all := map[string][]float64{}
	for end := time.Now().Add(period); time.Now().Before(end); {
		if err := wait(ctx, time.Second); err != nil {
			return nil, err
		}
		now, err := p.memory()
		if err != nil {
			return nil, err
		}
		for name, value := range now {
			all[name] = append(all[name], value)
		}
	}
	after, err := p.used()
	f := figures{"CPU ms/s": (after - before) * 1e3 / period.Seconds(), "most MiB": slices.Max(all["RSS MiB"])}
	for name, values := range all {
		f[name] = median(values)
	}
	return f, err
}

// used is the CPU time so far [s].
func (p process) used() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	var ticks float64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return ticks / 100, nil
}

// memory reads what the process has in memory.
func (p process) memory() (figures, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.Process.Pid))
	if err != nil {
		return nil, err
	}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.Process.Pid))
	if err != nil {
		return nil, err
	}
	f := figures{"threads": float64(len(tasks))}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 3 {
			continue
		}
		kilobytes, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			continue
		}
		switch words[0] {
		case "Rss:":
			f["RSS MiB"] = kilobytes / 1024
		case "Private_Clean:", "Private_Dirty:":
			f["of this private MiB"] += kilobytes / 1024
		case "Anonymous:":
			f["anonymous MiB"] = kilobytes / 1024
		}
	}
	return f, nil
}
