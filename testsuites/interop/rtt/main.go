// Command rtt measures one path, loopback, with netp and with the programs people trust, in turn and in one call, and prints a
// table. A capture of netp's own packets, read by tshark, says what an onlooker measures: its row is the oracle for netp's.
//
// Programs that are not installed are left out and named. Run it as root for the capture:
//
//	go run ./testsuites/interop/rtt -count 300 -interval 10ms
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"text/tabwriter"
	"time"
)

// target is what all of them measure.
const target = "127.0.0.1"

// row is what one program measured.
type row struct {
	tool, what string
	sent       int
	delays     []time.Duration
}

// program runs one program.
type program struct {
	name string
	run  func(ctx context.Context, count int, interval time.Duration) ([]row, error)
}

func main() {
	count := flag.Int("count", 300, "probes of each program")
	interval := flag.Duration("interval", 10*time.Millisecond, "time between probes")
	rounds := flag.Int("rounds", 2, "how often each program has its turn")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	programs := []program{{"netp", runNetp}, {"ping", runPing}, {"fping", runFping}, {"irtt", runIrtt}}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "program\tmeasures\tprobes\tlost\tmin µs\tp50 µs\tp99 µs\tmax µs\t")
	failed := false
	for range *rounds {
		for _, p := range programs {
			all, err := p.run(ctx, *count, *interval)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s is left out: %v\n", p.name, err)
				failed = failed || p.name == "netp"
			}
			for _, r := range all {
				fmt.Fprintln(table, r)
			}
		}
	}
	table.Flush()
	if failed {
		os.Exit(1)
	}
}

// String is the row as it is in the table.
func (r row) String() string {
	slices.Sort(r.delays)
	at := func(share float64) string {
		if len(r.delays) == 0 {
			return "-"
		}
		return fmt.Sprintf("%.1f", float64(r.delays[int(share*float64(len(r.delays)-1)+0.5)])/1e3)
	}
	return fmt.Sprintf("%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t", r.tool, r.what, r.sent, r.sent-len(r.delays), at(0), at(0.5), at(0.99), at(1))
}
