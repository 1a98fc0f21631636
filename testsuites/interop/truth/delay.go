//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// What netp promises of the delay of each packet on one way, against the emulator's record of it.
const (
	medianError = 10 * time.Microsecond
	tailError   = 100 * time.Microsecond // 99 of 100
)

// exactly is up to how many samples a Distribution keeps one by one: as many as it has batches.
const exactly = 128

// samples gives the single samples of a distribution of at most that many, in the order in which they were taken.
func samples(m netp.Measurement) ([]time.Duration, error) {
	d := m.Distribution
	if d == nil || d.BatchLength != 1 {
		return nil, errors.New("not a distribution of few samples")
	}
	var out []time.Duration
	for _, b := range d.Batches {
		out = append(out, time.Duration(int64(b.Sum)+d.Base))
	}
	return out, nil
}

// delayTable compares the delay of each packet, then medians with other programs.
func delayTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: []string{"path", "program", "packets", "truth p50", "said p50", "said − truth: p1", "p50", "p99", "max", ""}}
	p, err := newPath(l)
	if err != nil {
		return t, err
	}
	for _, c := range []struct {
		name string
		way  emulator.Impair
	}{
		{"12 ms", emulator.Impair{Delay: 12 * time.Millisecond}},
		{"5 ms + U(0, 20 ms)", emulator.Impair{Delay: 5 * time.Millisecond, Jitter: 20 * time.Millisecond, KeepOrder: true, Seed: 8}},
	} {
		if err := p.sick(c.way, c.way); err != nil {
			return t, err
		}
		for _, kind := range []netp.Kind{"udp", "rtt"} {
			if err := p.delayErrors(ctx, &t, c.name, kind, max(1, s.seconds)); err != nil {
				return t, fmt.Errorf("%s, %s: %w", c.name, kind, err)
			}
		}
		if c.way.Jitter == 0 && !s.alone {
			if err := p.medians(ctx, &t, c.name); err != nil {
				return t, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	t.note("tshark: netp's own STAMP packets, seen by an onlooker where they leave and come back.")
	t.note("udp: one way, forward. rtt: there and back without the reflector's time. Truth: from the kernel's stamp at the line's entrance to the moment the emulator sends.")
	return t, nil
}

// delayErrors compares rounds of few packets each, one by one.
func (p path) delayErrors(ctx context.Context, t *table, name string, kind netp.Kind, rounds int) error {
	var wrong, truths, saids, lags []time.Duration
	for range rounds {
		err := lab.Repeat(5, func() error {
			return lab.Window(20*time.Millisecond, p.line.Both(), func() error {
				truth, said, lag, err := p.fewPackets(ctx, kind)
				if err != nil {
					return err
				}
				for i := range truth {
					wrong = append(wrong, said[i]-truth[i])
				}
				truths, saids, lags = append(truths, truth...), append(saids, said...), append(lags, lag...)
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	for _, all := range [][]time.Duration{wrong, truths, saids, lags} {
		slices.Sort(all)
	}
	n := len(wrong)
	ways := time.Duration(1)
	if kind == "rtt" {
		ways = 2
	}
	p50, p99 := wrong[n/2], wrong[n-1-n/100]
	kept := max(p50, -p50) <= ways*medianError && p99 <= ways*tailError && -wrong[n/100] <= ways*tailError
	t.add(kept, fmt.Sprintf("p50 ≤ %v, p99 ≤ %v", ways*medianError, ways*tailError), name, "netp "+string(kind), fmt.Sprint(n), fmt.Sprint(truths[n/2]), fmt.Sprint(saids[n/2]),
		fmt.Sprint(wrong[n/100]), fmt.Sprint(p50), fmt.Sprint(p99), fmt.Sprint(wrong[n-1]))
	if len(lags) > 0 {
		t.note("%s, netp udp: from the sender's own stamp to the line's entrance p50 %v, p99 %v, max %v, which the kernel's stamps take out of the delay it says.", name, lags[len(lags)/2], lags[len(lags)-1-len(lags)/100], lags[len(lags)-1])
	}
	return nil
}

// fewPackets runs a session of few packets and gives, packet by packet, its true delay and what netp says; of udp also how long it
// took from the sender's stamp, which the packet bears, to the line.
func (p path) fewPackets(ctx context.Context, kind netp.Kind) (truth, said, lag []time.Duration, err error) {
	for _, w := range p.line.Both() {
		if err := w.Record(10_000); err != nil {
			return nil, nil, nil, err
		}
	}
	params, metric := netp.Params{"count": float64(exactly), "rate": "200pps", "size": float64(dataSize), "timeout": 1.0}, "delay"
	if kind == "rtt" {
		params, metric = netp.Params{"count": float64(exactly), "interval": 0.005, "timeout": 1.0}, "rtt"
	}
	r, err := p.run(ctx, session{kind: kind, params: params})
	if err != nil {
		return nil, nil, nil, err
	}
	if r.Failure != nil {
		return nil, nil, nil, r.Failure
	}
	if said, err = samples(r.Metrics[metric]); err != nil {
		return nil, nil, nil, err
	}
	if truth, lag, err = p.trueDelays(kind); err != nil {
		return nil, nil, nil, err
	}
	if len(truth) != len(said) {
		return nil, nil, nil, fmt.Errorf("%d packets are on record and netp has %d delays", len(truth), len(said))
	}
	return truth, said, lag, nil
}

// trueDelays gives the true delays in the order of the packets. A round trip is a way there and a way back.
func (p path) trueDelays(kind netp.Kind) (delays, lags []time.Duration, err error) {
	choose := counted
	if kind == "rtt" {
		choose = probe
	}
	there, err := p.line.Forward.Take()
	if err != nil {
		return nil, nil, err
	}
	back, err := p.line.Backward.Take()
	if err != nil {
		return nil, nil, err
	}
	forward, backward := tell(there, choose), tell(back, choose)
	for sequence := uint64(0); len(delays) < len(forward.delays); sequence++ {
		d, ok := forward.delays[sequence]
		if !ok {
			return nil, nil, fmt.Errorf("packet %d is not on record", sequence)
		}
		if kind == "rtt" {
			d += backward.delays[sequence]
		}
		delays = append(delays, time.Duration(d))
	}
	if kind == "udp" {
		for _, r := range there {
			if _, ok := counted(r); ok {
				lags = append(lags, time.Duration(r.Arrival-int64(binary.BigEndian.Uint64(r.Head[16:]))))
			}
		}
	}
	return delays, lags, nil
}

// medians adds what other programs say of round trips.
func (p path) medians(ctx context.Context, t *table, name string) error {
	for _, program := range []peer{{"irtt", runIrtt}, {"fping", runFping}, {"tshark", onlooker}} {
		if !installed(program.name) {
			t.note("%s is not installed", program.name)
			continue
		}
		for _, w := range p.line.Both() {
			if err := w.Record(10_000); err != nil {
				return err
			}
		}
		f, err := program.run(ctx, p, 300, 5*time.Millisecond)
		if err != nil {
			return fmt.Errorf("%s: %w", program.name, err)
		}
		var truth time.Duration
		for _, w := range p.line.Both() {
			records, err := w.Take()
			if err != nil {
				return err
			}
			var all []time.Duration
			for _, r := range records {
				all = append(all, time.Duration(r.Departure-r.Arrival))
			}
			slices.Sort(all)
			truth += all[len(all)/2]
		}
		t.add(true, "", name, program.name, fmt.Sprint(len(f.delays)), fmt.Sprint(truth), fmt.Sprint(f.median()), "-", fmt.Sprint(f.median()-truth), "-", "-")
	}
	return nil
}
