//go:build linux

package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// lossCase is a path with loss.
type lossCase struct {
	name              string
	forward, backward emulator.Impair
	every             int     // each such packet is lost in the first direction that loses; 0: at random
	share             float64 // of forward, at random
	rule              bool    // nftables drops each tenth packet at the far end, not the line
}

func (p path) lossCases() []lossCase {
	large := &emulator.Filter{MinLength: dataSize + p.headers()} // of any protocol
	each := emulator.Impair{Only: large, LossEvery: 10, LossPhase: 4}
	random := func(share float64, seed uint64) emulator.Impair {
		return emulator.Impair{Only: large, Loss: share, Seed: seed}
	}
	return []lossCase{
		{name: "each 10th forward", forward: each, every: 10},
		{name: "each 10th backward", backward: each, every: 10},
		{name: "each 10th by nftables", every: 10, rule: true},
		{name: "3 % and 1 % at random", forward: random(0.03, 3), backward: random(0.01, 4), share: 0.03},
		{name: "none"},
	}
}

func lossHeader() []string {
	return []string{"path", "program", "packets", "lost forward: truth", "said", "lost backward: truth", "said", "round trips lost: truth", "said", ""}
}

// lossTable compares losses in each direction.
func lossTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: lossHeader()}
	packets, interval := s.seconds*400, 2500*time.Microsecond
	cases := path{to: farAddress}.lossCases()
	parts := make([]table, len(cases))
	var all errgroup.Group
	if !s.alone {
		all.SetLimit(1) // beside each other the programs would make each other's losses
	}
	for i, c := range cases {
		all.Go(func() error {
			p, err := newPath(l)
			if err == nil {
				err = p.lossCase(ctx, &parts[i], c, packets, interval, s.alone)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			return nil
		})
	}
	err := all.Wait()
	t.join(parts)
	t.note("iperf3's two directions are streams of their own, netp udp's too; the others send one packet there and its answer back.")
	return t, err
}

// lossCase adds the rows of one path.
func (p path) lossCase(ctx context.Context, t *table, c lossCase, packets int, interval time.Duration, alone bool) error {
	for _, program := range []struct {
		name   string
		needs  string
		netp   bool
		stream bool // two streams, no round trips
		run    func(context.Context, path, int, time.Duration) (found, error)
	}{
		{"netp udp", "", true, true, lossUDP}, {"netp rtt", "", true, false, lossRTT},
		{"iperf3 -u", "iperf3", false, true, runIperf}, {"irtt", "irtt", false, false, runIrtt}, {"fping", "fping", false, false, runFping}, {"mtr", "mtr", false, false, runMtr},
		{"scamper", "scamper", false, false, runScamper},
	} {
		if alone && !program.netp {
			continue
		}
		if program.needs != "" && !installed(program.needs) {
			t.note("%s is not installed", program.needs)
			continue
		}
		packets := packets
		if program.name == "mtr" { // it takes its time for each
			packets = min(packets, 200)
		}
		f, w, err := p.measureLoss(ctx, c, func() (found, error) { return program.run(ctx, p, packets, interval) })
		if err != nil {
			return fmt.Errorf("%s: %w", program.name, err)
		}
		forward, backward := w[0], w[1]
		kept := f.lostForward == forward && f.lostBackward == backward && (program.stream || f.lost == forward+backward)
		if c.every > 0 { // a packet of the set-up may be among those counted
			loses := max(forward, backward)
			kept = kept && math.Abs(float64(loses)-float64(f.sent)/float64(c.every)) <= 1
		}
		if c.share > 0 {
			n := float64(f.sent)
			kept = kept && math.Abs(float64(forward)-c.share*n) <= 3.3*math.Sqrt(c.share*(1-c.share)*n)
		}
		promise := ""
		if program.netp {
			promise = "exact"
		}
		t.add(kept, promise, c.name, program.name, fmt.Sprint(f.sent), share(forward, f.sent), share(f.lostForward, f.sent),
			share(backward, f.sent), share(f.lostBackward, f.sent), told(program.stream, share(forward+backward, f.sent)), told(program.stream, share(f.lost, f.sent)))
	}
	return nil
}

func told(no bool, text string) string {
	if no {
		return "-"
	}
	return text
}

// share writes a number of losses.
func share(lost, sent int) string {
	if lost < 0 {
		return "-"
	}
	return fmt.Sprintf("%d = %.3f %%", lost, 100*float64(lost)/float64(max(sent, 1)))
}

// measureLoss runs a program over a path with loss, and gives how many of its data packets were truly lost in each direction.
func (p path) measureLoss(_ context.Context, c lossCase, run func() (found, error)) (f found, lost [2]int, err error) {
	err = lab.Repeat(3, func() error {
		if err := p.sick(c.forward, c.backward); err != nil {
			return err
		}
		var rule *lab.Rule
		if c.rule {
			if rule, err = p.far.Drop(lab.Drop{Hook: lab.Input, MinLength: dataSize + p.headers(), MaxLength: dataSize + p.headers(), Every: c.every, Phase: 4}); err != nil {
				return err
			}
			defer rule.Remove()
		}
		for _, w := range p.line.Both() {
			if err := w.Record(1 << 17); err != nil {
				return err
			}
		}
		if f, err = run(); err != nil {
			return err
		}
		lost, err = p.lostOf(rule)
		return err
	})
	return f, lost, err
}

// lostOf counts the losses among the packets of full size. Those of netp's udp that find out the packet size are not data.
func (p path) lostOf(rule *lab.Rule) (lost [2]int, err error) {
	for i, w := range p.line.Both() {
		c, _, err := w.Count()
		if err == nil && c.Missed > 0 {
			err = fmt.Errorf("%w: it lost %d packets itself", lab.ErrLate, c.Missed)
		}
		if err != nil {
			return lost, err
		}
		records, err := w.Take()
		if err != nil {
			return lost, err
		}
		for _, r := range records {
			trial := r.Protocol == 17 && r.Head[8] == 1 && r.Head[9] == 3
			if int(r.Length) == dataSize+p.headers() && r.Fate != emulator.Sent && !trial {
				lost[i]++
			}
		}
	}
	if rule != nil {
		dropped, err := rule.Dropped()
		if err != nil {
			return lost, err
		}
		lost[0] += int(dropped)
	}
	return lost, nil
}

// lossUDP is netp's udp kind in both directions.
func lossUDP(ctx context.Context, p path, packets int, interval time.Duration) (found, error) {
	r, err := p.run(ctx, session{kind: "udp", params: netp.Params{
		"count": float64(packets), "rate": fmt.Sprintf("%gpps", 1/interval.Seconds()), "size": float64(dataSize), "direction": "both", "timeout": 1.0,
	}})
	if err != nil {
		return found{}, err
	}
	f := found{sent: packets, lost: -1}
	for name, into := range map[string]*int{"forward.loss.count": &f.lostForward, "reverse.loss.count": &f.lostBackward, "forward.loss.sent": &f.sent} {
		v, err := value(r, name)
		if err != nil {
			return f, err
		}
		*into = int(v)
	}
	return f, nil
}

// lossRTT is netp's rtt kind, with packets padded to the same size.
func lossRTT(ctx context.Context, p path, packets int, interval time.Duration) (found, error) {
	r, err := p.run(ctx, session{kind: "rtt", params: netp.Params{
		"count": float64(packets), "interval": interval.Seconds(), "size": float64(dataSize), "timeout": 1.0,
	}})
	if err != nil {
		return found{}, err
	}
	f := found{}
	var sent, lost, forward float64
	for name, into := range map[string]*float64{"loss.sent": &sent, "loss.count": &lost, "loss.forward_ratio": &forward} {
		if *into, err = value(r, name); err != nil {
			return f, err
		}
	}
	f.sent, f.lost, f.lostForward = int(sent), int(lost), int(math.Round(forward*sent))
	f.lostBackward = f.lost - f.lostForward
	return f, nil
}
