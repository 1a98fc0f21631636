//go:build unix && !linux

package host

import (
	"os/exec"
	"syscall"
)

// isolate puts the plugin into a process group of its own. That it ends with this
// process is left to its standard input, which the SDK watches.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func restrictThread() error { return nil }

func limit(int) {}

func (p *process) reap() error {
	err := p.cmd.Wait()
	p.gone()
	return err
}

func killGroup(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }
