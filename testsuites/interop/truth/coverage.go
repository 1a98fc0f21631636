//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// threshold is the limit of the coverage's table, and condition the assertion.
const (
	threshold = 0.02
	condition = "loss.ratio <= 2 * percent"
)

// losing is a path whose share of loss is known, near the threshold.
type losing struct {
	share float64
	burst bool // losses come in runs, three long on average
}

func (x losing) String() string {
	if x.burst {
		return fmt.Sprintf("%.1f %% in bursts", 100*x.share)
	}
	return fmt.Sprintf("%.1f %%", 100*x.share)
}

func (x losing) impair(seed uint64) emulator.Impair {
	i := emulator.Impair{Only: data(), Seed: seed}
	if !x.burst {
		i.Loss = x.share
		return i
	}
	const leave = 1.0 / 3
	i.Burst = &emulator.Burst{Enter: x.share * leave / (1 - x.share), Leave: leave, LossBad: 1}
	return i
}

// coverageTable runs many short sessions over paths that lose a little more or a little less than the threshold, and counts wrong
// verdicts.
func coverageTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: []string{"true loss", "sessions of 2 000 packets", "pass", "fail", "inconclusive", "wrong", ""}}
	const atOnce = 4
	paths := make(chan path, atOnce)
	for range atOnce {
		p, err := newPath(l)
		if err != nil {
			return t, err
		}
		paths <- p
	}
	wrong, all := 0, 0
	cases := []losing{{0.022, false}, {0.018, false}, {0.04, false}, {0.008, false}}
	for n, c := range cases {
		tally, err := verdicts(ctx, paths, c, s.runs/len(cases), uint64(n+1)<<32)
		if err != nil {
			return t, err
		}
		bad := tally[netp.Pass]
		if c.share < threshold {
			bad = tally[netp.Fail]
		}
		wrong, all = wrong+bad, all+s.runs/len(cases)
		t.add(true, "", c.String(), fmt.Sprint(s.runs/len(cases)), fmt.Sprint(tally[netp.Pass]), fmt.Sprint(tally[netp.Fail]), fmt.Sprint(tally[netp.Inconclusive]), fmt.Sprint(bad))
	}
	t.add(float64(wrong) <= (1-confidence)*float64(all), fmt.Sprintf("wrong ≤ %.0f %%", 100*(1-confidence)), "all of them", fmt.Sprint(all), "", "", "", fmt.Sprintf("%d = %.1f %%", wrong, 100*float64(wrong)/float64(max(all, 1))))
	return t, nil
}

// verdicts counts those of sessions over one kind of path.
func verdicts(ctx context.Context, paths chan path, c losing, runs int, seed uint64) (map[netp.Status]int, error) {
	var mu sync.Mutex // guards tally
	tally := map[netp.Status]int{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(cap(paths))
	for n := range runs {
		group.Go(func() error {
			p := <-paths
			defer func() { paths <- p }()
			if err := p.sick(c.impair(seed+uint64(n)), emulator.Impair{}); err != nil {
				return err
			}
			r, err := p.run(ctx, session{kind: "udp", params: netp.Params{"count": 2000.0, "rate": "2000pps", "size": float64(dataSize), "timeout": 0.3}})
			if err != nil {
				return err
			}
			j, err := judge("udp", condition, r)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			tally[j.Status]++
			return nil
		})
	}
	return tally, group.Wait()
}
