//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

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
	wrong := []wrongness{
		{name: "right"}, {name: "20 ms ahead", offset: 20 * time.Millisecond}, {name: "20 ms behind", offset: -20 * time.Millisecond},
		{name: "100 ppm fast", drift: 100}, {name: "100 ppm slow, 20 ms ahead", drift: -100, offset: 20 * time.Millisecond},
		{name: "steps 50 ms ahead", step: 50 * time.Millisecond, after: 2 * time.Second},
		{name: "steps 50 ms back", step: -50 * time.Millisecond, after: 2 * time.Second},
	}
	parts := make([]table, len(wrong))
	var all errgroup.Group
	for i, w := range wrong {
		all.Go(func() error {
			p, err := newPath(l)
			if err != nil {
				return err
			}
			if err := p.sick(emulator.Impair{Delay: 12 * time.Millisecond}, emulator.Impair{Delay: 2 * time.Millisecond}); err != nil {
				return err
			}
			if err := p.wrongClock(ctx, &parts[i], w); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			return nil
		})
	}
	err := all.Wait()
	t.join(parts)
	return t, err
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
	there, back, err := p.take()
	if err != nil {
		return err
	}
	truth, err := trueDelays("udp", there, back)
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
	kept, promise := covered == len(truth) || check == "fails", "covered, or said not to be known"
	if w.step > truth[half] {
		kept, promise = kept && said[half] < 0, promise+"; negative delays not clipped"
	}
	t.add(kept, promise, w.name, fmt.Sprint(truth[half]), fmt.Sprint(said[half]),
		"± "+fmt.Sprint(bound), fmt.Sprint(worst), fmt.Sprintf("%d of %d", covered, len(truth)), check)
	return nil
}
