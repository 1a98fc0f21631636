//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// The packets of a session that are counted have a payload of dataSize bytes; those that set it up and report have fewer.
const (
	dataSize = 200
	headers  = 28 // of IPv4 and UDP
)

// data chooses the counted packets.
func data() *emulator.Filter { return &emulator.Filter{Protocol: 17, MinLength: dataSize + headers} }

// set is one random impairment set.
type set struct {
	packets int
	pps     int
	impair  emulator.Impair
}

func randomSet(seed uint64) set {
	r := rand.New(rand.NewPCG(seed, 77))
	share := func(most float64) float64 { return most * r.Float64() * float64(r.IntN(2)) }
	s := set{packets: 100 + r.IntN(300), pps: 500 + r.IntN(2500)}
	s.impair = emulator.Impair{
		Only: data(), Seed: seed,
		Loss: share(0.3), Duplicate: share(0.2), Reorder: share(0.2), ReorderBy: time.Duration(r.IntN(8e6)),
		Delay: time.Duration(r.IntN(5e6)), Jitter: time.Duration(r.IntN(1e6) * r.IntN(2)), KeepOrder: r.IntN(3) == 0,
		Dist: []string{emulator.Uniform, emulator.Exponential, emulator.Normal, emulator.HeavyTailed}[r.IntN(4)],
	}
	if s.impair.Dist == emulator.HeavyTailed {
		s.impair.Jitter /= 5 // the tail ends at a thousand times of it, which must be less than the timeout
	}
	if r.IntN(3) == 0 {
		s.impair.Burst = &emulator.Burst{Enter: 0.02 + 0.05*r.Float64(), Leave: 0.1 + 0.5*r.Float64(), LossBad: 0.5 + 0.5*r.Float64()}
	}
	if r.IntN(4) == 0 {
		s.impair.LossEvery = uint64(2 + r.IntN(20))
		s.impair.LossPhase = r.Uint64N(s.impair.LossEvery)
	}
	return s
}

// setTimeout is how long a packet may take: longer than any of a set does.
const setTimeout = 500 * time.Millisecond

// mismatch runs a session through a set. It gives what truly happened, and in words what netp says otherwise.
func (s set) mismatch(ctx context.Context, p path) (truth events, differ string, err error) {
	if err := p.sick(s.impair, emulator.Impair{}); err != nil {
		return truth, "", err
	}
	if err := p.line.Forward.Record(10 * s.packets); err != nil {
		return truth, "", err
	}
	r, err := p.run(ctx, session{kind: "udp", params: netp.Params{
		"count": float64(s.packets), "rate": fmt.Sprintf("%dpps", s.pps), "size": float64(dataSize), "timeout": setTimeout.Seconds(),
	}})
	if err != nil {
		return truth, "", err
	}
	c, _, err := p.line.Forward.Count()
	if err == nil && c.Missed > 0 {
		err = fmt.Errorf("%w: it lost %d packets itself", lab.ErrLate, c.Missed)
	}
	if err != nil {
		return truth, "", err
	}
	records, err := p.line.Forward.Take()
	if err != nil {
		return truth, "", err
	}
	truth = tell(records, counted)
	for _, d := range truth.delays {
		if time.Duration(d) > setTimeout/2 {
			return truth, "", fmt.Errorf("%w: by %v", lab.ErrLate, time.Duration(d))
		}
	}
	for _, figure := range []struct {
		name string
		want uint64
	}{
		{"loss.sent", truth.sent}, {"loss.received", truth.received}, {"loss.count", truth.lost},
		{"duplicated.count", truth.copies}, {"reordered.count", truth.reordered}, {"late.count", 0},
	} {
		got, err := value(r, figure.name)
		if err != nil {
			return truth, err.Error(), nil
		}
		if got != float64(figure.want) {
			differ += fmt.Sprintf(" %s %v, truth %d;", figure.name, got, figure.want)
		}
	}
	return truth, differ, nil
}

// setsTable runs all sets, some at a time, each over a path of its own.
func setsTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	const atOnce = 4
	t := table{header: []string{"sets", "packets", "sets with copies", "with reordering", "sets in which all counts agree", ""}}
	var mu sync.Mutex // guards t and sum
	sum := struct{ packets, copies, reorder, agree int }{}
	paths := make(chan path, atOnce)
	for range atOnce {
		p, err := newPath(l)
		if err != nil {
			return t, err
		}
		paths <- p
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for seed := range s.sets {
		group.Go(func() error {
			p := <-paths
			defer func() { paths <- p }()
			one := randomSet(uint64(seed))
			var truth events
			var differ string
			err := lab.Repeat(5, func() (err error) {
				truth, differ, err = one.mismatch(ctx, p)
				return err
			})
			if err != nil {
				return fmt.Errorf("set %d: %w", seed, err)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.packets += one.packets
			sum.copies += min(1, int(truth.copies))
			sum.reorder += min(1, int(truth.reordered))
			if differ == "" {
				sum.agree++
			} else {
				t.note("set %d:%s %+v", seed, differ, one)
			}
			return nil
		})
	}
	err := group.Wait()
	t.add(sum.agree == s.sets, "loss, duplicate and reordering counts equal the emulator's",
		fmt.Sprint(s.sets), fmt.Sprint(sum.packets), fmt.Sprint(sum.copies), fmt.Sprint(sum.reorder), fmt.Sprint(sum.agree))
	return t, err
}
