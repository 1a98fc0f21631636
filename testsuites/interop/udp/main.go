//go:build unix

// Command udp runs the udp engine and its peers, iperf3 and irtt, in turn over loopback and prints what each one measured, side by
// side, with ratios. Peers that are not installed are left out and named. It judges nothing: a number here is what README and
// docs may quote, with the machine it came from.
//
//	go run ./testsuites/interop/udp [-seconds 3] [-rounds 5]
//
// IPERF3 and IRTT in the environment replace the programs of that name. Start with cases.
package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// measurement is what one run of one tool gave; NaN where it has no such figure.
type measurement struct {
	sent, received float64 // packets
	rate           float64 // UDP payload received [bit/s]
	lossPercent    float64
	delay          float64 // median, one way [s]
	jitter         float64 // [s]
	cpu            float64 // processor time of both ends per packet received [ns]
	note           string
}

// traffic is what every tool of a case is asked for.
type traffic struct {
	size    int
	pps     float64 // 0: as fast as it goes
	seconds float64
}

// tool runs traffic and measures it.
type tool struct {
	name string
	run  func(ctx context.Context, t traffic) (measurement, error)
}

// comparison is one table: the same traffic by several tools, the first of which is ours.
type comparison struct {
	title   string
	traffic traffic
	tools   []tool
}

func comparisons(seconds float64) []comparison {
	ours := tool{"netp", runNetp}
	iperf := tool{"iperf3", runIperf}
	return []comparison{
		{"voice: 50 pps of 200 B", traffic{200, 50, seconds}, []tool{ours, iperf, {"irtt", runIrtt}}},
		{"10 000 pps of 200 B", traffic{200, 10_000, seconds}, []tool{ours, iperf}},
		{"100 Mbit/s of 1400 B", traffic{1400, 100e6 / 8 / 1400, seconds}, []tool{ours, iperf}},
		{"as fast as it goes, 64 B (netp joins packets with GSO and GRO, iperf3 does not)", traffic{64, 0, seconds}, []tool{ours, iperf}},
		{"as fast as it goes, 64 B, neither joins packets", traffic{64, 0, seconds}, []tool{{"netp", runNetpPlain}, iperf}},
		{"as fast as it goes, 1400 B (GSO and GRO against none)", traffic{1400, 0, seconds}, []tool{ours, iperf}},
	}
}

func main() {
	seconds := flag.Float64("seconds", 3, "length of one run")
	rounds := flag.Int("rounds", 5, "runs of each tool, interleaved; medians are printed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fmt.Printf("%s %s, %d processors, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	for _, c := range comparisons(*seconds) {
		if err := compare(ctx, c, *rounds); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// compare runs the tools of a comparison in turn and prints their medians.
func compare(ctx context.Context, c comparison, rounds int) error {
	fmt.Printf("\n%s, %g s, median of %d\n", c.title, c.traffic.seconds, rounds)
	runs := make([][]measurement, len(c.tools))
	missing := map[string]bool{}
	for range rounds {
		for i, t := range c.tools {
			if missing[t.name] {
				continue
			}
			m, err := t.run(ctx, c.traffic)
			if isMissing(err) {
				missing[t.name] = true
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			runs[i] = append(runs[i], m)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "tool\tsent\treceived\tMbit/s\tratio\tloss %\tdelay us\tjitter us\tCPU ns/packet\tratio\t\t")
	var first measurement
	for i, t := range c.tools {
		if len(runs[i]) == 0 {
			fmt.Fprintf(table, "%s\tnot installed\t\n", t.name)
			continue
		}
		m := medians(runs[i])
		if i == 0 {
			first = m
		}
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", t.name, m.sent, m.received,
			cell(m.rate*1e-6), cell(first.rate/m.rate), cell(m.lossPercent), cell(m.delay*1e6), cell(m.jitter*1e6),
			cell(m.cpu), cell(first.cpu/m.cpu), m.note)
	}
	return table.Flush()
}

func cell(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "-"
	}
	return fmt.Sprintf("%.3g", v)
}

func medians(runs []measurement) measurement {
	of := func(field func(measurement) float64) float64 {
		var all []float64
		for _, m := range runs {
			if v := field(m); !math.IsNaN(v) {
				all = append(all, v)
			}
		}
		if len(all) == 0 {
			return math.NaN()
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return measurement{
		sent:        of(func(m measurement) float64 { return m.sent }),
		received:    of(func(m measurement) float64 { return m.received }),
		rate:        of(func(m measurement) float64 { return m.rate }),
		lossPercent: of(func(m measurement) float64 { return m.lossPercent }),
		delay:       of(func(m measurement) float64 { return m.delay }),
		jitter:      of(func(m measurement) float64 { return m.jitter }),
		cpu:         of(func(m measurement) float64 { return m.cpu }),
		note:        runs[len(runs)-1].note,
	}
}

// duration is a number of seconds.
func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

// processorTime is that of a process that has ended.
func processorTime(c *exec.Cmd) time.Duration {
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}
