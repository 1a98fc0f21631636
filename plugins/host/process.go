package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-plugin/runner"
)

// process is one run of a plugin's program, for go-plugin to handle. The plugin gets
// the handshake's environment, a pipe as standard input that ends when this process
// does, and no other descriptor.
type process struct {
	cmd    *exec.Cmd
	name   string
	socket string // the private directory its socket must be in
	logs   *logs

	stdout, stderr *os.File // ends we read
	stdin          *os.File // end we hold open
	exited         chan struct{}
	err            error // how it ended; set before exited is closed
	readers        sync.WaitGroup

	mu     sync.Mutex
	pid    int // 0 before it runs and after it has ended
	killed bool
	cut    bool // it was running when it was killed
}

var _ runner.Runner = (*process)(nil)

// newProcess prepares to run a program in a directory, "" for the current one.
func newProcess(i *image, name, dir string, logs *logs) *process {
	cmd := &exec.Cmd{Path: i.path, Args: []string{filePrefix + name}, Dir: dir}
	if i.inherit {
		cmd.ExtraFiles = []*os.File{i.file}
	}
	isolate(cmd)
	return &process{cmd: cmd, name: name, logs: logs, exited: make(chan struct{})}
}

// prepare sets what go-plugin decides: all of the environment the program gets, and
// the private directory for its socket. It comes before Start.
func (p *process) prepare(env []string, socket string) {
	p.cmd.Env = append(env, "TMPDIR="+socket)
	p.socket = socket
}

// Start starts the program. The goroutine that does it ends with the program: Wait
// waits for it.
func (p *process) Start(context.Context) error {
	theirs, err := p.pipes()
	if err == nil {
		started := make(chan error, 1)
		p.readers.Add(1)
		go p.run(started)
		if err = <-started; err != nil {
			p.readers.Done()
		}
	}
	for _, f := range theirs {
		_ = f.Close()
	}
	if err != nil {
		p.closePipes()
		return fmt.Errorf("start plugin %s: %w", p.name, err)
	}
	go func() {
		defer p.readers.Done()
		p.logs.read(p.stderr)
	}()
	return nil
}

// pipes connects the three standard streams and gives the plugin's ends.
func (p *process) pipes() (theirs []*os.File, err error) {
	in, stdin, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.stdin, theirs = stdin, append(theirs, in)
	stdout, out, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	p.stdout, theirs = stdout, append(theirs, out)
	stderr, errs, err := os.Pipe()
	if err != nil {
		return theirs, err
	}
	p.stderr, theirs = stderr, append(theirs, errs)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = in, out, errs
	return theirs, nil
}

func (p *process) closePipes() {
	for _, f := range []*os.File{p.stdin, p.stdout, p.stderr} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// drain is how long output is still read after the program has ended: a child of it
// may hold the pipes open for ever.
const drain = 200 * time.Millisecond

// run starts the program on a thread of its own that lives as long as the program:
// the restrictions of the thread are inherited, and the kernel ties the program's
// life to it. The goroutine never unlocks, so the thread ends with it.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	if err := restrictThread(); err != nil {
		started <- err
		return
	}
	if err := p.cmd.Start(); err != nil {
		started <- err
		return
	}
	limit(p.cmd.Process.Pid)
	p.mu.Lock()
	p.pid = p.cmd.Process.Pid
	killed := p.killed
	p.mu.Unlock()
	if killed {
		p.kill()
	}
	started <- nil
	p.err = p.reap()
	close(p.exited)
	time.AfterFunc(drain, p.closePipes)
}

// Wait waits for the program and its output to end.
func (p *process) Wait(context.Context) error {
	<-p.exited
	p.readers.Wait()
	return p.err
}

// Kill ends the program and its process group at once.
func (p *process) Kill(context.Context) error {
	p.kill()
	return nil
}

// kill may be called at any time, also before Start.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
	if p.pid != 0 {
		p.cut = true
		killGroup(p.pid)
		_ = p.cmd.Process.Kill()
	}
}

// gone kills what the program has left behind of its group; afterwards its number is
// used no more.
func (p *process) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	killGroup(p.pid)
	p.pid = 0
}

// Stdout gives go-plugin the handshake line; all that follows is thrown away.
func (p *process) Stdout() io.ReadCloser {
	return &firstLine{file: p.stdout, left: maxLine}
}

// Stderr gives go-plugin nothing: logs reads it.
func (p *process) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// ID names the process to go-plugin, which takes "" for one that never was.
func (p *process) ID() string { return p.name }

// Name is for messages.
func (p *process) Name() string { return filePrefix + p.name }

// Diagnose has nothing to add: the error of a failed start ends with the log's tail.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost lets the host dial nothing but a socket in the plugin's own directory
// (on Windows, which go-plugin gives none: a loopback port, which mutual TLS guards).
func (p *process) PluginToHost(network, address string) (string, string, error) {
	if runtime.GOOS == "windows" && network == "tcp" && strings.HasPrefix(address, "127.0.0.1:") {
		return network, address, nil
	}
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != filepath.Clean(p.socket) {
		return "", "", fmt.Errorf("the plugin names the address %s %.100q; only a unix socket in its own directory is dialled", network, address)
	}
	if info, err := os.Lstat(address); err != nil || info.Mode().Type() != os.ModeSocket {
		return "", "", fmt.Errorf("the plugin names %.100q, which is no socket", address)
	}
	return network, address, nil
}

// HostToPlugin is never needed: the host opens nothing for plugins.
func (p *process) HostToPlugin(network, address string) (string, string, error) {
	return "", "", errors.New("the host opens no connections for plugins")
}

const maxLine = 4096

// firstLine reads up to the first line end and then throws everything away, so that no
// amount of output blocks the plugin or fills memory.
type firstLine struct {
	file *os.File
	left int
	done bool
}

func (f *firstLine) Read(p []byte) (int, error) {
	if f.done {
		_, _ = io.Copy(io.Discard, f.file)
		return 0, io.EOF
	}
	if f.left == 0 {
		return 0, fmt.Errorf("no line end within %d bytes", maxLine)
	}
	n, err := f.file.Read(p[:min(len(p), f.left)])
	f.left -= n
	for i, b := range p[:n] {
		if b == '\n' {
			f.done = true
			return i + 1, nil
		}
	}
	return n, err
}

func (f *firstLine) Close() error { return f.file.Close() }

// outcome says how the program ended, once exited is closed; ok is false when it was
// this side that ended it.
func (p *process) outcome() (text string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return "exit status 0", true
	}
	return p.err.Error(), !(p.cut && p.err.Error() == "signal: killed")
}
