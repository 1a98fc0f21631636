// Command judgement measures how often assertions are judged wrongly, and how
// often they are decided at all, on simulated paths of known truth, and prints the
// table that docs/judgement.md keeps:
//
//	go run ./testsuites/bench/judgement [-sessions 2000] [-seed 1]
//
// It sends no traffic. The same scenarios are held to their bounds by the package's
// test. Start with scenarios in scenario.go.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
)

func main() {
	sessions := flag.Int("sessions", 2000, "simulated sessions per scenario")
	seed := flag.Uint64("seed", 1, "seed of the random numbers")
	flag.Parse()
	if err := run(os.Stdout, *sessions, *seed); err != nil {
		fmt.Fprintln(os.Stderr, "judgement:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, sessions int, seed uint64) error {
	list := scenarios()
	tallies, errs := make([]tally, len(list)), make([]error, len(list))
	var group sync.WaitGroup
	for i, s := range list {
		group.Go(func() { tallies[i], errs[i] = s.simulate(sessions, seed) })
	}
	group.Wait()
	fmt.Fprintf(w, "%d sessions per scenario, confidence %g %%, seed %d\n", sessions, 100*confidence, seed)
	header(w, "Within the claims: no more than 5 % wrong")
	outside := false
	for i, s := range list {
		if errs[i] != nil {
			return errs[i]
		}
		if s.outside != "" && !outside {
			outside = true
			header(w, "Outside the claims: what a session of this length cannot know")
		}
		row(w, s, tallies[i])
	}
	return nil
}

func header(w io.Writer, title string) {
	fmt.Fprintf(w, "\n%s\n\n", title)
	fmt.Fprintln(w, "| metric | path | samples | wrong pass | wrong fail | fails found | passes found |")
	fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|--:|")
}

func row(w io.Writer, s scenario, t tally) {
	name := s.name
	if s.metric == "loss.ratio" {
		name = fmt.Sprintf("%.3g %% lost, %s", s.truth*100, name)
	}
	if s.outside != "" {
		name += " (" + s.outside + ")"
	}
	fmt.Fprintf(w, "| %s | %s | %d | %.1f %% | %.1f %% | %.0f %% | %.0f %% |\n", s.metric, name, s.n,
		100*t.worst(t.wrongPass), 100*t.worst(t.wrongFail), 100*t.share(t.rightFail[2]), 100*t.share(t.rightPass[2]))
}
