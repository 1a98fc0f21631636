//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/netpupper/netp/testsuites/lab"
)

// scale is how much is measured: all of it by `make truth`, less in tests.
type scale struct {
	sets    int  // random impairment sets
	runs    int  // sessions near a threshold
	hostile int  // packets that attack a session
	seconds int  // length of a transfer
	stalls  int  // sessions whose receivers stall
	windows int  // of a second, in each of them
	alone   bool // without the other programs
}

// question is one table.
type question struct {
	name, title string
	answer      func(context.Context, *lab.Lab, scale) (table, error)
}

// questions in the order in which they are answered.
func questions() []question {
	return []question{
		{"loss", "Loss, exact and at random, by direction", lossTable},
		{"ipv6", "Loss over IPv6, by direction", sixTable},
		{"sets", "Loss, copies and reordering in random impairment sets", setsTable},
		{"delay", "Delay per packet, and medians beside other programs", delayTable},
		{"stamp", "STAMP packets as tshark decodes them", decodedTable},
		{"clock", "One-way delay and its bound when a clock is wrong", clockTable},
		{"rate", "Goodput over a line of known rate", rateTable},
		{"instrument", "When the instrument is at fault", instrumentTable},
		{"stalls", "Marks of windows in which the receiving host stalled", stallTable},
		{"coverage", "Verdicts near a threshold", coverageTable},
		{"hostile", "A session under attack, and paths that cannot be measured", hostileTable},
	}
}

// table is an answer: rows under a header. A row that misses what is promised says so in its last cell.
type table struct {
	notes  []string
	header []string
	rows   [][]string
	missed int
	open   int // rows that say nothing about netp
}

// add adds a row; promise is what netp must keep, with "" for rows that promise nothing.
func (t *table) add(kept bool, promise string, cells ...string) {
	verdict := ""
	switch {
	case promise == "":
	case kept:
		verdict = "ok: " + promise
	default:
		verdict = "MISSED: " + promise
		t.missed++
	}
	t.rows = append(t.rows, append(cells, verdict))
}

// undecided adds a row that says nothing about netp, and why.
func (t *table) undecided(why string, cells ...string) {
	t.rows = append(t.rows, append(cells, "undecided: "+why))
	t.open++
}

// join adds the rows of parts that were made at the same time.
func (t *table) join(parts []table) {
	for _, p := range parts {
		t.rows, t.notes = append(t.rows, p.rows...), append(t.notes, p.notes...)
		t.missed, t.open = t.missed+p.missed, t.open+p.open
	}
}

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func (t *table) print(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, strings.Join(t.header, "\t")+"\t")
	for _, row := range t.rows {
		fmt.Fprintln(out, strings.Join(row, "\t"))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for _, n := range t.notes {
		fmt.Fprintln(w, n)
	}
	return nil
}

func main() {
	os.Exit(lab.Main(func() int {
		work := run
		if os.Args[0] == endName {
			work = playEnd
		}
		if err := work(); err != nil {
			fmt.Fprintln(os.Stderr, "truth:", err)
			return 1
		}
		return 0
	}))
}

func run() error {
	var s scale
	only := flag.String("only", "", "the tables to print, by name, separated by commas; all when empty")
	flag.IntVar(&s.sets, "sets", 1000, "random impairment sets")
	flag.IntVar(&s.runs, "runs", 200, "sessions near a threshold")
	flag.IntVar(&s.hostile, "hostile", 1_000_000, "random packets against a session")
	flag.IntVar(&s.seconds, "seconds", 5, "length of a transfer")
	flag.IntVar(&s.stalls, "stalls", 32, "sessions whose receivers stall")
	flag.IntVar(&s.windows, "windows", 120, "length of each of them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fmt.Printf("%s %s, %d processors, %s, %s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), kernel(), runtime.Version())
	missed, open := 0, 0
	for _, q := range questions() {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), q.name) {
			continue
		}
		begin := time.Now()
		t, err := inLab(ctx, q, s)
		if errors.Is(err, lab.ErrLate) { // again and again
			fmt.Printf("\n%s: undecided: %v\n", q.title, err)
			open++
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		fmt.Printf("\n%s (%.0f s)\n", q.title, time.Since(begin).Seconds())
		if err := t.print(os.Stdout); err != nil {
			return err
		}
		missed, open = missed+t.missed, open+t.open
	}
	if open > 0 {
		fmt.Printf("\n%d undecided: on a machine with less to do they would be answered.\n", open)
	}
	if missed > 0 {
		return fmt.Errorf("%d rows miss what netp promises", missed)
	}
	return nil
}

// inLab answers a question in a lab of its own.
func inLab(ctx context.Context, q question, s scale) (t table, err error) {
	l, err := lab.New(lab.Options{})
	if err != nil {
		return t, err
	}
	t, err = q.answer(ctx, l, s)
	if ended := l.Close(); err == nil {
		err = ended
	}
	return t, err
}

// kernel names the running one.
func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown kernel"
	}
	return "Linux " + strings.TrimSpace(string(text))
}
