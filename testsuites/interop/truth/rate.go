//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/testsuites/lab"
)

// rateRounds is how often each program has its turn; the medians are compared.
const rateRounds = 3

// The part of a line's rate that is TCP payload (with timestamps), and UDP payload of the largest packet. When TCP goes both ways,
// each carries the acknowledgements of the other: one of 66 bytes for two segments.
const (
	tcpShare     = 1448.0 / 1514
	tcpBothShare = 2 * 1448.0 / (2*1514 + 66)
	udpShare     = 1472.0 / 1514
)

// rateTable compares goodput over lines that the kernel's TBF slows down at both ends.
func rateTable(ctx context.Context, l *lab.Lab, s scale) (table, error) {
	t := table{header: []string{"line", "case", "the line's share", "netp", "iperf3", "netp/line", "netp/iperf3", ""}}
	t.note("Mbit/s of payload, medians of %d, %d s each. The line is TBF, at both ends for TCP and in a router between them for UDP; its share is rate × 1448/1514 for TCP, × 2896/3094 where acknowledgements of the other direction take their part, × 1472/1514 for UDP.", rateRounds, s.seconds)
	if !installed("iperf3") {
		t.note("iperf3 is not installed")
	}
	const line = 50e6
	ends, err := newShapedEnds(l, line)
	if err != nil {
		return t, err
	}
	router, err := newShaped(l, line)
	if err != nil {
		return t, err
	}
	for i, p := range []path{ends, router} {
		kind := []netp.Kind{"tcp", "udp"}[i]
		for _, direction := range []string{"forward", "reverse", "both"} {
			if err := p.rateRow(ctx, &t, transfer{line, kind, direction, s.seconds}); err != nil {
				return t, fmt.Errorf("%s %s: %w", kind, direction, err)
			}
		}
	}
	return t, nil
}

// newShapedEnds makes a path whose ends send at the line's rate. TCP waits for its own device, so nothing is lost: what is lost
// before the measurement and comes again in it would count there as more than the line carries.
func newShapedEnds(l *lab.Lab, line float64) (path, error) {
	p, err := newPath(l)
	if err != nil {
		return p, err
	}
	return p, errors.Join(p.near.Shape("wan", line, int(line/8*0.05)), p.far.Shape("wan", line, int(line/8*0.05)))
}

// newShaped makes a path over a router that sends at the line's rate, both ways. A UDP sender's own device must know no limit: the
// socket would wait for it.
func newShaped(l *lab.Lab, line float64) (path, error) {
	p, router, err := newRouted(l)
	if err != nil {
		return p, err
	}
	return p, errors.Join(router.Shape("near", line, int(line/8*0.05)), router.Shape("far", line, int(line/8*0.05)))
}

// transfer is what both programs do.
type transfer struct {
	line      float64 // bit/s
	kind      netp.Kind
	direction string
	seconds   int
}

// share is how much payload the line can carry, in both directions together when both are used.
func (x transfer) share() float64 {
	switch {
	case x.kind == "udp" && x.direction == "both":
		return 2 * x.line * udpShare
	case x.kind == "udp":
		return x.line * udpShare
	case x.direction == "both":
		return 2 * x.line * tcpBothShare
	}
	return x.line * tcpShare
}

// offered is what a stream sends [bit/s]: more than the line takes, so that it is full.
func (x transfer) offered() string { return strconv.FormatFloat(1.2*x.line, 'f', 0, 64) }

func (p path) rateRow(ctx context.Context, t *table, x transfer) error {
	var ours, theirs []float64
	for range rateRounds {
		var rate float64
		err := lab.Repeat(3, func() (err error) {
			rate, err = p.netpRate(ctx, x)
			return err
		})
		if err != nil {
			return fmt.Errorf("netp: %w", err)
		}
		ours = append(ours, rate)
		if !installed("iperf3") {
			continue
		}
		if rate, err = p.iperfRate(x); err != nil {
			return err
		}
		theirs = append(theirs, rate)
	}
	share := x.share()
	mine := middle(ours)
	kept, idle, versus, other := math.Abs(mine/share-1) <= 0.01, false, "-", "-"
	if len(theirs) > 0 {
		other = fmt.Sprintf("%.3f", middle(theirs)/1e6)
		versus = fmt.Sprintf("%.4f", mine/middle(theirs))
		if its := middle(theirs); math.Abs(its/share-1) <= 0.01 {
			kept = kept && math.Abs(mine/its-1) <= 0.01
		} else { // iperf3 is off the line's rate; if netp is, too, it was the line
			idle = !kept
		}
	}
	cells := []string{fmt.Sprintf("%g Mbit/s", x.line/1e6), string(x.kind) + " " + x.direction,
		fmt.Sprintf("%.3f", share/1e6), fmt.Sprintf("%.3f", mine/1e6), other, fmt.Sprintf("%.4f", mine/share), versus}
	if idle {
		t.undecided("neither program filled the line: the machine was too busy to", cells...)
		return nil
	}
	t.add(kept, "within 1 % of the line, and of iperf3 where that is", cells...)
	return nil
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// netpRate is the mean goodput of netp, of both directions together.
func (p path) netpRate(ctx context.Context, x transfer) (float64, error) {
	params, metric := netp.Params{"duration": float64(x.seconds), "omit": 1.0, "congestion": "cubic", "direction": x.direction}, "throughput"
	if x.kind == "udp" {
		params, metric = netp.Params{"duration": float64(x.seconds), "omit": 1.0, "size": 1472.0, "rate": x.offered() + "bps", "direction": x.direction}, "rate"
	}
	r, err := p.run(ctx, session{kind: x.kind, params: params})
	if err != nil {
		return 0, err
	}
	if r.Failure != nil { // both ends are on this machine: when it stands still, neither hears of the other
		return 0, fmt.Errorf("%w: %v", lab.ErrLate, r.Failure)
	}
	sum := 0.0
	for name, m := range r.Metrics {
		if name == metric || strings.HasSuffix(name, "."+metric) {
			sum += m.Distribution.Member("mean")
		}
	}
	return sum, nil
}

// iperfRate is that of iperf3.
func (p path) iperfRate(x transfer) (float64, error) {
	args := []string{"-t", strconv.Itoa(x.seconds), "-O", "1"}
	if x.kind == "udp" {
		args = append(args, "-u", "-l", "1472", "-b", x.offered(), "-w", "1M")
	} else {
		args = append(args, "-C", "cubic")
	}
	switch x.direction {
	case "reverse":
		args = append(args, "-R")
	case "both":
		args = append(args, "--bidir")
	}
	r, err := iperf(p, args...)
	return r.End.Forward.Rate + r.End.Backward.Rate, err
}
