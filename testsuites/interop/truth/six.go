//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// sixTable asks for losses over IPv6: of the kinds that count them, and of tcp, which sends again what the line lost.
func sixTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: lossHeader()}
	p, err := newPath6(l)
	if err != nil {
		return t, err
	}
	for _, c := range p.lossCases() {
		if c.every == 0 {
			continue
		}
		if err := p.lossCase(ctx, &t, c, s.seconds*400, 2500*time.Microsecond, s.alone); err != nil {
			return t, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	if err := p.sick(emulator.Impair{Only: &emulator.Filter{Protocol: 6, MinLength: 1400}, LossEvery: 200, LossPhase: 9}, emulator.Impair{}); err != nil {
		return t, err
	}
	r, err := p.run(ctx, session{kind: "tcp", params: netp.Params{"bytes": 10e6, "duration": 60.0}})
	if err != nil {
		return t, err
	}
	c, _, err := p.counts()
	if err != nil {
		return t, err
	}
	again, err := value(r, "retransmits")
	if err != nil {
		return t, err
	}
	t.add(r.Completed && c.Lost > 0 && again >= float64(c.Lost), "complete, and what was lost was sent again", "each 200th segment forward", "netp tcp",
		fmt.Sprint(c.In), share(int(c.Lost), int(c.In)), fmt.Sprintf("%.0f retransmitted", again), "-", "-", "-", "-")
	return t, nil
}
