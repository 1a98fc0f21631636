//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// ailment is what is wrong with the instrument. It acts on the processes of the two ends, from the time the session runs until the
// function it gives is called.
type ailment struct {
	name string
	pps  int
	size int
	act  func(near, far *os.Process) (end func())
}

func ailments() []ailment {
	return []ailment{
		{"none", 2000, dataSize, func(*os.Process, *os.Process) func() { return func() {} }},
		{"processors busy, ends at lowest priority", 2000, dataSize, hogs},
		{"receiver stops for 0.8 s, twice", 5000, dataSize, func(_, far *os.Process) func() { return stops(far, 800*time.Millisecond, time.Second, 2) }},
		{"receiver stops for 0.9 s, its buffer overflows", 8000, 1400, func(_, far *os.Process) func() { return stops(far, 900*time.Millisecond, 700*time.Millisecond, 1) }},
		{"sender stops for 60 ms, ten times a second", 2000, dataSize, func(near, _ *os.Process) func() { return stops(near, 60*time.Millisecond, 40*time.Millisecond, 40) }},
	}
}

// hogs keeps all processors busy beside the ends, which yield to everyone.
func hogs(near, far *os.Process) func() {
	for _, p := range []*os.Process{near, far} {
		threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.Pid))
		for _, t := range threads {
			var id int
			fmt.Sscan(t.Name(), &id)
			unix.Setpriority(unix.PRIO_PROCESS, id, 19)
		}
	}
	var all []*exec.Cmd
	for range 2 * runtime.NumCPU() {
		c := exec.Command("sh", "-c", "while :; do :; done")
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if c.Start() == nil {
			all = append(all, c)
		}
	}
	return func() {
		for _, c := range all {
			c.Process.Kill()
			c.Wait()
		}
	}
}

// stops stops and continues a process in turn.
func stops(p *os.Process, stopped, running time.Duration, times int) func() {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for range times {
			if !waited(done, running) {
				return
			}
			p.Signal(syscall.SIGSTOP)
			on := waited(done, stopped)
			p.Signal(syscall.SIGCONT)
			if !on {
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// waited waits, unless it is over before.
func waited(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-timer.C:
		return true
	}
}

// lossLimit is the condition of the instrument's table.
const lossLimit = "loss.ratio <= 0.1 * percent"

// instrumentTable runs sessions and irtt over a path without loss while the instrument is at fault: what they report as loss is
// not the path's.
func instrumentTable(_ context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: []string{"ailment", "program", "packets", "lost: truth", "said", "verdict on " + lossLimit, "why", ""}}
	p, err := newPath(l)
	if err != nil {
		return t, err
	}
	for _, a := range ailments() {
		if err := p.ailing(&t, a, s); err != nil {
			return t, fmt.Errorf("%s: %w", a.name, err)
		}
		if s.alone {
			continue
		}
		if err := p.ailingIrtt(&t, a, s); err != nil {
			return t, fmt.Errorf("%s: irtt: %w", a.name, err)
		}
	}
	return t, nil
}

func (p path) ailing(t *table, a ailment, s scale) error {
	if err := p.sick(emulator.Impair{Delay: 5 * time.Millisecond}, emulator.Impair{Delay: 5 * time.Millisecond}); err != nil {
		return err
	}
	params := netp.Params{"duration": max(2, float64(s.seconds)), "rate": fmt.Sprintf("%dpps", a.pps), "size": float64(a.size), "timeout": 1.5}
	end := func() {}
	r, err := p.ends("udp", params, func(near, far *os.Process) { end = a.act(near, far) })
	end()
	if err != nil {
		return err
	}
	j, err := judge("udp", lossLimit, r)
	if err != nil {
		return err
	}
	c, _, err := p.counts()
	if err != nil {
		return err
	}
	measured := r
	measured.Failure = nil // what an interrupted session measured is told, too
	sent, _ := value(measured, "loss.sent")
	lost, _ := value(measured, "loss.count")
	t.add(j.Status == netp.Pass || j.Status == netp.Inconclusive, "never fail", a.name, "netp udp", fmt.Sprint(sent),
		fmt.Sprint(c.Lost+c.Missed), fmt.Sprint(lost), string(j.Status), why(r))
	return nil
}

// why names what failed: the session, and checks of the instrument.
func why(r netp.Result) string {
	var failed []string
	if r.Failure != nil {
		failed = append(failed, string(r.Failure.Kind))
	}
	for _, c := range r.Health {
		if !c.OK {
			failed = append(failed, c.Name)
		}
	}
	if len(failed) == 0 {
		return "instrument sound"
	}
	return strings.Join(failed, ", ")
}

// ailingIrtt runs irtt under the same ailment.
func (p path) ailingIrtt(t *table, a ailment, s scale) error {
	if !installed("irtt") {
		t.note("irtt is not installed")
		return nil
	}
	if err := p.sick(emulator.Impair{Delay: 5 * time.Millisecond}, emulator.Impair{Delay: 5 * time.Millisecond}); err != nil {
		return err
	}
	server, stop, err := p.irttServer()
	if err != nil {
		return err
	}
	defer stop()
	client, out, err := p.irttClient(time.Second/time.Duration(a.pps), time.Duration(s.seconds)*time.Second, a.size)
	if err != nil {
		return err
	}
	end := a.act(client.Process, server)
	f, err := readIrtt(out)
	end()
	if ended := client.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		return err
	}
	c, back, err := p.counts()
	if err != nil {
		return err
	}
	t.add(true, "", a.name, "irtt", fmt.Sprint(f.sent), fmt.Sprint(c.Lost+c.Missed+back.Lost+back.Missed), fmt.Sprint(f.lost), "-", fmt.Sprintf("%.2f %% that the path did not lose", 100*float64(f.lost)/float64(max(f.sent, 1))))
	return nil
}
