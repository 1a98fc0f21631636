//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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
	t.note("A round of %d packets in which netp misses the promise is repeated when a bare socket beside it, with the kernel's stamps, is wrong by more than p50 %v or p99 %v.", exactly, medianError/2, tailError/2)
	t.note("tshark: netp's own STAMP packets, seen by an onlooker where they leave and come back.")
	t.note("udp: one way, forward. rtt: there and back without the reflector's time. Truth: from the kernel's stamp at the line's entrance to the moment the emulator sends.")
	return t, nil
}

// delays are those of the packets of some sessions, in order.
type delays struct {
	truth, said []time.Duration
	lag         []time.Duration // of udp: from the sender's stamp, which the packet bears, to the line
	unfit       error           // ErrLate when the machine was not fit for the window
}

// ways is how many a delay has, for each of which there is a promise.
func ways(kind netp.Kind) time.Duration {
	if kind == "rtt" {
		return 2
	}
	return 1
}

// wrong is by how much each is said to be more than it was.
func (d delays) wrong() []time.Duration {
	out := make([]time.Duration, len(d.truth))
	for i := range out {
		out[i] = d.said[i] - d.truth[i]
	}
	return out
}

// kept says whether the promise for a number of ways is kept.
func kept(wrong []time.Duration, ways time.Duration) bool {
	p50 := quantile(wrong, 0.5)
	return max(p50, -p50) <= ways*medianError && max(quantile(wrong, 0.99), -quantile(wrong, 0.01)) <= ways*tailError
}

// delayErrors compares rounds of few packets each, one by one. A round in which netp misses its promise and a bare socket beside it is
// wrong, too, says nothing about netp, and is repeated: of three times as many as are needed those that say something.
func (p path) delayErrors(ctx context.Context, t *table, name string, kind netp.Kind, rounds int) error {
	var all delays
	var late error
	for fit, tried := 0, 0; fit < rounds && tried < 3*rounds; tried++ {
		var one delays
		err := lab.Window(20*time.Millisecond, p.line.Both(), func() (err error) {
			one, err = p.fewPackets(ctx, kind)
			return err
		})
		if err == nil && !kept(one.wrong(), ways(kind)) {
			err = one.unfit
		}
		if errors.Is(err, lab.ErrLate) {
			late = err
			continue
		}
		if err != nil {
			return err
		}
		fit++
		all.truth, all.said, all.lag = append(all.truth, one.truth...), append(all.said, one.said...), append(all.lag, one.lag...)
	}
	if len(all.truth) == 0 {
		t.undecided(late.Error(), name, "netp "+string(kind), "-", "-", "-", "-", "-", "-", "-")
		return nil
	}
	wrong, n := all.wrong(), ways(kind)
	t.add(kept(wrong, n), fmt.Sprintf("p50 ≤ %v, p99 ≤ %v", n*medianError, n*tailError), name, "netp "+string(kind), fmt.Sprint(len(wrong)),
		fmt.Sprint(quantile(all.truth, 0.5)), fmt.Sprint(quantile(all.said, 0.5)), fmt.Sprint(quantile(wrong, 0.01)), fmt.Sprint(quantile(wrong, 0.5)),
		fmt.Sprint(quantile(wrong, 0.99)), fmt.Sprint(slices.Max(wrong)))
	if len(all.lag) > 0 {
		t.note("%s, netp udp: from the sender's own stamp to the line's entrance p50 %v, p99 %v, max %v, which the kernel's stamps take out of the delay it says.", name, quantile(all.lag, 0.5), quantile(all.lag, 0.99), slices.Max(all.lag))
	}
	return nil
}

// quantile is the smallest of the values that the share q of them does not exceed.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

// fewPackets runs a session of few packets, and a bare socket beside it.
func (p path) fewPackets(ctx context.Context, kind netp.Kind) (d delays, err error) {
	for _, w := range p.line.Both() {
		if err := w.Record(10_000); err != nil {
			return d, err
		}
	}
	params, metric := netp.Params{"count": float64(exactly), "rate": "200pps", "size": float64(dataSize), "timeout": 1.0}, "delay"
	if kind == "rtt" {
		params, metric = netp.Params{"count": float64(exactly), "interval": 0.005, "timeout": 1.0}, "rtt"
	}
	bare := p.startYardstick(exactly, 5*time.Millisecond)
	r, err := p.run(ctx, session{kind: kind, params: params})
	measured, failed := bare()
	if err := errors.Join(err, failed); err != nil {
		return d, err
	}
	if r.Failure != nil {
		return d, r.Failure
	}
	there, back, err := p.take()
	if err != nil {
		return d, err
	}
	d.unfit = fit(measured, there)
	if d.said, err = samples(r.Metrics[metric]); err != nil {
		return d, err
	}
	if d.truth, err = trueDelays(kind, there, back); err != nil {
		return d, err
	}
	if len(d.truth) != len(d.said) {
		return d, fmt.Errorf("%d packets are on record and netp has %d delays", len(d.truth), len(d.said))
	}
	for _, r := range there {
		if _, ok := counted(r); ok && kind == "udp" {
			d.lag = append(d.lag, time.Duration(r.Arrival-int64(binary.BigEndian.Uint64(r.Head[10:]))))
		}
	}
	return d, nil
}

// take takes the records of both directions.
func (p path) take() (there, back []emulator.Record, err error) {
	if there, err = p.line.Forward.Take(); err == nil {
		back, err = p.line.Backward.Take()
	}
	return there, back, err
}

// trueDelays gives the true delays in the order of the packets. A round trip is a way there and a way back.
func trueDelays(kind netp.Kind, there, back []emulator.Record) (out []time.Duration, err error) {
	choose := counted
	if kind == "rtt" {
		choose = probe
	}
	forward, backward := tell(there, choose), tell(back, choose)
	for sequence := uint64(0); len(out) < len(forward.delays); sequence++ {
		d, ok := forward.delays[sequence]
		if !ok {
			return nil, fmt.Errorf("packet %d is not on record", sequence)
		}
		if kind == "rtt" {
			d += backward.delays[sequence]
		}
		out = append(out, time.Duration(d))
	}
	return out, nil
}

// medians adds what other programs say of round trips.
func (p path) medians(ctx context.Context, t *table, name string) error {
	for _, program := range []peer{{"irtt", runIrtt}, {"fping", runFping}, {"scamper", runScamper}, {"tshark", onlooker}} {
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
