package host

import "os/exec"

func isolate(*exec.Cmd) {}

func restrictThread() error { return nil }

func limit(int) {}

func (p *process) reap() error {
	err := p.cmd.Wait()
	p.gone()
	return err
}

func killGroup(int) {}
