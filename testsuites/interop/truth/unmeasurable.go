//go:build linux

package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// claims are the conditions on which the sessions of the table of attacks are judged: what operators assert of each kind.
var claims = map[netp.Kind]string{"udp": "loss.ratio <= 1 * percent", "rtt": "loss.ratio <= 1 * percent", "tcp": "throughput.mean >= 1 * Mbps"}

// firewalled blocks the data port: each kind names that, and makes no figure of it.
func (p path) firewalled(ctx context.Context, t *table, _ scale) error {
	for _, protocol := range []int{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		rule, err := p.far.Drop(lab.Drop{Hook: lab.Input, Protocol: protocol, Port: dataPort})
		if err != nil {
			return err
		}
		defer rule.Remove()
	}
	for _, kind := range []netp.Kind{"udp", "rtt", "tcp"} {
		if err := p.named(ctx, t, "firewall on the data port", kind, netp.Params{"duration": 2.0}, "firewall"); err != nil {
			return err
		}
	}
	return nil
}

// blackHole lets no packet of more than 1400 bytes pass, without a word.
func (p path) blackHole(ctx context.Context, t *table, _ scale) error {
	if err := p.sick(emulator.Impair{MaxLength: 1400}, emulator.Impair{MaxLength: 1400}); err != nil {
		return err
	}
	for _, kind := range []netp.Kind{"udp", "rtt", "tcp"} {
		if err := p.named(ctx, t, "path MTU 1400, silent", kind, full(kind), "MTU"); err != nil {
			return err
		}
	}
	return nil
}

// full are parameters of packets that fill a device's MTU of 1500 bytes.
func full(kind netp.Kind) netp.Params {
	if kind == "tcp" { // which finds out by itself
		return netp.Params{"duration": 2.0}
	}
	return netp.Params{"duration": 2.0, "size": 1472.0}
}

// narrowed is a path whose router says that packets of more than 1400 bytes do not fit (RFC 1191): the kinds whose size is asked for
// name that, and TCP makes its segments smaller.
func (p path) narrowed(ctx context.Context, t *table, _ scale) error {
	p, router, err := newRouted(p.lab)
	if err != nil {
		return err
	}
	const mtu, name = 1400, "path MTU 1400, told by a router"
	for node, device := range map[*lab.Node]string{router: "far", p.far: "wan"} {
		if err := node.MTU(device, mtu); err != nil {
			return err
		}
	}
	for _, kind := range []netp.Kind{"udp", "rtt"} {
		if err := p.named(ctx, t, name, kind, full(kind), "MTU"); err != nil {
			return err
		}
	}
	r, err := p.run(ctx, session{kind: "tcp", params: full("tcp")})
	if err != nil {
		return err
	}
	kept := r.Failure == nil && r.Completed && r.Facts["path_mtu"] == "1400"
	return t.verdict(kept, "measured, and the MTU told", "", name, "tcp", "path_mtu "+r.Facts["path_mtu"], r)
}

// named runs a session that cannot measure, and looks for a word in what it says.
func (p path) named(ctx context.Context, t *table, name string, kind netp.Kind, params netp.Params, word string) error {
	r, err := p.run(ctx, session{kind: kind, params: params})
	if err != nil {
		return err
	}
	loss, figure := r.Metrics["loss.ratio"]
	figure = figure && loss.Ratio != nil && loss.Ratio.Trials > 0
	says := spoken(r)
	return t.verdict(r.Failure != nil && strings.Contains(says, word) && !figure, "named, and no figure of loss", netp.Errored, name, string(kind), says, r)
}

// spoken is what a result says of how it went.
func spoken(r netp.Result) string {
	var says []string
	if r.Failure != nil {
		says = append(says, string(r.Failure.Kind)+": "+r.Failure.Detail)
	}
	for _, c := range r.Health {
		if !c.OK {
			says = append(says, "check "+c.Name+": "+c.Reason)
		}
	}
	if len(says) == 0 {
		return "no failure"
	}
	return strings.Join(says, " ")
}

// verdict adds a row about a session, with its verdict on what its kind claims. Want is the best that the verdict may be, apart from
// "": there is no measurement that could fail.
func (t *table) verdict(kept bool, promise string, want netp.Status, name, kind, says string, r netp.Result) error {
	j, err := judge(netp.Kind(kind), claims[netp.Kind(kind)], r)
	if err != nil {
		return err
	}
	if want != "" {
		kept = kept && (j.Status == want || j.Status == netp.Inconclusive) && j.Reason != ""
	}
	t.add(kept, promise, name, kind, says, string(j.Status))
	return nil
}

// deserted kills the far end in the middle of a session, or stops it for good. Of rtt nothing is promised: that answers end is what
// it measures, and it is the controller that knows that an agent was lost.
func (p path) deserted(_ context.Context, t *table, _ scale) error {
	for how, signal := range map[string]syscall.Signal{"is killed": syscall.SIGKILL, "hangs": syscall.SIGSTOP} {
		for _, one := range []struct {
			kind    netp.Kind
			params  netp.Params
			promise string
		}{
			{"udp", netp.Params{"rate": "100pps", "duration": 20.0}, "an interruption, soon"},
			{"tcp", netp.Params{"duration": 20.0}, "an interruption, soon"},
			{"rtt", netp.Params{"interval": 0.01, "duration": 4.0, "timeout": 0.5}, ""},
		} {
			begin := time.Now()
			r, err := p.halfEnds(one.kind, one.params, func(far *os.Process) {
				time.Sleep(time.Second)
				far.Signal(signal)
			})
			if err != nil {
				return err
			}
			kept := r.Failure != nil && r.Failure.Kind == netp.FailureInterrupted && !r.Completed && time.Since(begin) < 15*time.Second
			want := netp.Inconclusive
			if one.promise == "" {
				want = ""
			}
			if err := t.verdict(kept, one.promise, want, "the far agent "+how+" after 1 s", string(one.kind), spoken(r), r); err != nil {
				return err
			}
		}
	}
	return nil
}
