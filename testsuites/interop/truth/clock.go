//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// wrongness is how the sender's clock is wrong.
type wrongness struct {
	name   string
	offset time.Duration
	drift  float64 // ppm
	step   time.Duration
	after  time.Duration // when it steps
}

// clockTable injects faults into the sender's clock, on a path whose two directions differ by 10 ms: what netp says, with the bound
// it states, must cover the truth, or netp must say that it does not know.
func clockTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: []string{"sender's clock", "truth p50", "said p50", "stated bound", "largest error", "covered", "clock check", ""}}
	if !canBeWrong {
		t.note("This program was built without the tag netptest: clocks cannot be told to be wrong.")
		return t, nil
	}
	p, err := newPath(l)
	if err != nil {
		return t, err
	}
	for _, w := range []wrongness{
		{name: "right"}, {name: "20 ms ahead", offset: 20 * time.Millisecond}, {name: "20 ms behind", offset: -20 * time.Millisecond},
		{name: "100 ppm fast", drift: 100}, {name: "100 ppm slow, 20 ms ahead", drift: -100, offset: 20 * time.Millisecond},
		{name: "steps 50 ms ahead", step: 50 * time.Millisecond, after: 2 * time.Second},
		{name: "steps 50 ms back", step: -50 * time.Millisecond, after: 2 * time.Second},
	} {
		if err := p.sick(emulator.Impair{Delay: 12 * time.Millisecond}, emulator.Impair{Delay: 2 * time.Millisecond}); err != nil {
			return t, err
		}
		if err := p.wrongClock(ctx, &t, w); err != nil {
			return t, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	return t, p.unclipped(ctx, &t)
}

// wrongClock runs a session in which the ends do not know that they read one clock.
func (p path) wrongClock(ctx context.Context, t *table, w wrongness) error {
	if err := p.line.Forward.Record(10_000); err != nil {
		return err
	}
	r, err := p.run(ctx, session{kind: "udp", near: wrongClock(w), apart: true, params: netp.Params{
		"count": float64(exactly), "rate": "20pps", "size": float64(dataSize), "timeout": 1.0,
	}})
	if err != nil {
		return err
	}
	if r.Failure != nil {
		return r.Failure
	}
	truth, err := p.trueDelays("udp")
	if err != nil {
		return err
	}
	m := r.Metrics["delay"]
	said, err := samples(m)
	if err != nil {
		return err
	}
	if len(said) != len(truth) {
		return fmt.Errorf("%d packets are on record and netp has %d delays", len(truth), len(said))
	}
	bound := time.Duration(m.Uncertainty * 1e9)
	covered, worst := 0, time.Duration(0)
	for i := range truth {
		d := said[i] - truth[i]
		worst = max(worst, d, -d)
		if max(d, -d) <= bound {
			covered++
		}
	}
	check := "ok"
	for _, c := range r.Health {
		if c.Name == "clock_offset" && !c.OK {
			check = "fails"
		}
	}
	half := len(truth) / 2
	t.add(covered == len(truth) || check == "fails", "covered, or said not to be known", w.name, fmt.Sprint(truth[half]), fmt.Sprint(said[half]),
		"± "+fmt.Sprint(bound), fmt.Sprint(worst), fmt.Sprintf("%d of %d", covered, len(truth)), check)
	return nil
}

// unclipped: on a path of no delay there and 10 ms back, ends that compare their clocks must be wrong by 5 ms. The delay that comes
// of it is negative, and netp says so.
func (p path) unclipped(ctx context.Context, t *table) error {
	if err := p.sick(emulator.Impair{}, emulator.Impair{Delay: 10 * time.Millisecond}); err != nil {
		return err
	}
	r, err := p.run(ctx, session{kind: "udp", apart: true, params: netp.Params{
		"count": float64(exactly), "rate": "100pps", "size": float64(dataSize), "timeout": 1.0,
	}})
	if err != nil {
		return err
	}
	said, err := samples(r.Metrics["delay"])
	if err != nil {
		return fmt.Errorf("%w: %v", err, r.Failure)
	}
	least, bound := slices.Min(said), time.Duration(r.Metrics["delay"].Uncertainty*1e9)
	t.add(least < -3*time.Millisecond && least+bound >= 0, "negative delays are not clipped", "right, path 0 and 10 ms", "0s", fmt.Sprint(least), "± "+fmt.Sprint(bound), "-", "-", "-")
	return nil
}
