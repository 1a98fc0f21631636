// Command tcp compares netp's tcp engine with iperf3 on loopback, or over a line with a known rate: the two run in turn, in one call, each
// with sender and receiver in processes of their own, and the table shows medians with their range, the ratio, and the
// CPU time per gigabyte of both ends.
//
//	go run ./testsuites/interop/tcp [-rounds 5] [-time 2s] [-congestion cubic] [-line 20] [-iperf3 PATH]
//
// It needs iperf3; -line needs root, ip and tc, and makes two network namespaces for the time of the run. Loopback measures
// the host: compare ratios, and only on a machine that does nothing else.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// settings are the flags of a comparison.
type settings struct {
	rounds     int
	time       time.Duration
	congestion string
	line       int // Mbit/s; 0 for loopback
	iperf3     string
}

// tool is one of the two, set up for a case.
type tool struct {
	name string
	run  func(place, settings) (sample, error)
}

// sample is one measurement.
type sample struct {
	rate             float64 // goodput at the receiver [bit/s]
	sender, receiver float64 // CPU seconds
	gigabytes        float64
	congestion       string
}

// contest is a row of the table: tools that do the same work.
type contest struct {
	name  string
	tools []tool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == endCommand {
		exit(playEnd(os.Args[2:]))
	}
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "measurements per tool and case, interleaved")
	flag.DurationVar(&s.time, "time", 2*time.Second, "length of a measurement, whole seconds")
	flag.StringVar(&s.congestion, "congestion", "cubic", "congestion control of both")
	flag.IntVar(&s.line, "line", 0, "compare over a line of this rate [Mbit/s] instead of loopback")
	flag.StringVar(&s.iperf3, "iperf3", "iperf3", "the iperf3 to compare with")
	flag.Parse()
	exit(compare(s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "tcp:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// contests lists the cases. Like stands beside like: what copies with what copies.
func contests(s settings) []contest {
	if s.line > 0 {
		return []contest{
			{"1 stream", []tool{netpTool("copy", 1, "forward"), iperfTool("iperf3", 1)}},
			{"4 streams", []tool{netpTool("copy", 4, "forward"), iperfTool("iperf3 -P 4", 4)}},
			{"reverse", []tool{netpTool("copy", 1, "reverse"), iperfTool("iperf3 -R", 1, "-R")}},
			{"both directions", []tool{netpTool("copy", 1, "both"), iperfTool("iperf3 --bidir", 1, "--bidir")}},
		}
	}
	return []contest{
		{"1 stream, copy", []tool{netpTool("copy", 1, "forward"), iperfTool("iperf3", 1), iperfTool("iperf3 -l 1M", 1, "-l", "1M")}},
		{"4 streams, copy", []tool{netpTool("copy", 4, "forward"), iperfTool("iperf3 -P 4", 4), iperfTool("iperf3 -P 4 -l 1M", 4, "-l", "1M")}},
		{"1 stream, least copying", []tool{netpTool("discard", 1, "forward"), iperfTool("iperf3 -Z", 1, "-Z")}},
		{"4 streams, least copying", []tool{netpTool("discard", 4, "forward"), iperfTool("iperf3 -Z -P 4", 4, "-Z")}},
		{"both directions, copy", []tool{netpTool("copy", 1, "both"), iperfTool("iperf3 --bidir", 1, "--bidir")}},
	}
}

// compare runs all contests and prints the table.
func compare(s settings) error {
	if s.rounds < 1 || s.time < time.Second || s.time%time.Second != 0 {
		return errors.New("rounds must be at least 1, and time whole seconds: iperf3 knows no others")
	}
	version, err := exec.Command(s.iperf3, "--version").Output()
	if err != nil {
		return fmt.Errorf("iperf3 is needed for the comparison (Debian: apt-get install iperf3): %w", err)
	}
	where, err := newPlace(s.line)
	if err != nil {
		return err
	}
	defer where.close()
	fmt.Printf("%s; %s; %v per run, %d rounds, interleaved; median [min..max]\n", firstLine(version), where, s.time, s.rounds)
	fmt.Println("payload per system call: netp 512 KiB, iperf3 128 KiB unless -l; socket buffers: autotuned by the kernel for both")
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "case\ttool\tgoodput Mbit/s\tnetp/tool\tCPU s/GB sender\treceiver\tcongestion\t")
	for _, c := range contests(s) {
		if err := c.print(table, where, s); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", c.name, err), table.Flush())
		}
	}
	return table.Flush()
}

// print runs one contest and prints its rows; the first tool is netp.
func (c contest) print(table *tabwriter.Writer, where place, s settings) error {
	samples := make([][]sample, len(c.tools))
	for range s.rounds {
		for i, t := range c.tools {
			one, err := t.run(where, s)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			samples[i] = append(samples[i], one)
		}
	}
	rate := func(x sample) float64 { return x.rate / 1e6 }
	ours := median(samples[0], rate)
	for i, t := range c.tools {
		all := samples[i]
		least := slices.MinFunc(all, func(a, b sample) int { return cmp.Compare(a.rate, b.rate) })
		most := slices.MaxFunc(all, func(a, b sample) int { return cmp.Compare(a.rate, b.rate) })
		fmt.Fprintf(table, "%s\t%s\t%.2f [%.2f..%.2f]\t%.3f\t%.3f\t%.3f\t%s\t\n", c.name, t.name,
			median(all, rate), rate(least), rate(most), ours/median(all, rate),
			median(all, func(x sample) float64 { return x.sender / x.gigabytes }),
			median(all, func(x sample) float64 { return x.receiver / x.gigabytes }), all[0].congestion)
	}
	return nil
}

func median(samples []sample, of func(sample) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, of(s))
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
