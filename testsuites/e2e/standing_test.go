package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/standing"
	"github.com/netpupper/netp/runner/store"
)

// standingPlan has a test that wants the link alone every four seconds, and one of
// two sessions that share it every two: a turn is missed when the next one is due,
// and some must find their time on a busy machine, too.
func standingPlan(suite string) *plan.Plan {
	link := func(alone bool) []schedule.Claim {
		return []schedule.Claim{{Resource: "link.core", Exclusive: alone, Rate: 1}}
	}
	p := makePlan(
		session{from: "syd", to: "mel", params: netp.Params{"duration": 0.05}, claims: link(true), timeout: hardEnd},
		session{from: "mel", to: "syd", params: netp.Params{"duration": 0.05}, claims: link(false), timeout: hardEnd})
	p.Suite.Name = suite
	second := p.Sessions[1]
	second.Path.Addr, second.Addr = `path.p["syd->mel"]`, p.Sessions[1].Test+`["syd->mel"]`
	second.Path.Source, second.Path.Dest = "syd", "mel"
	p.Sessions = append(p.Sessions, second)
	for i := range p.Tests {
		p.Tests[i].Addr = suite + "." + p.Tests[i].Addr
		p.Tests[i].Standing = &plan.Standing{Every: time.Duration(4-2*i) * time.Second}
	}
	for i := range p.Sessions {
		s := &p.Sessions[i]
		s.Addr, s.Test, s.Slot = suite+"."+s.Addr, suite+"."+s.Test, 100*time.Millisecond
	}
	return p
}

// follow has a scheduler follow the standing tests until so many turns have ended; then end is
// called while they go on, and all is waited for.
func follow(t *testing.T, w *world, turns int, end func(stop context.CancelFunc)) {
	t.Helper()
	ended := make(chan struct{}, 1000)
	s, err := standing.New(standing.Config{Executor: w.runner, Store: w.disk, Logger: w.logger, Events: func(e runner.Event) {
		if _, ok := e.(runner.RunDone); ok {
			select {
			case ended <- struct{}{}:
			default:
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan error, 1)
	go func() { over <- s.Run(ctx) }()
	deadline := time.After(4 * patience)
	for range turns {
		select {
		case <-ended:
		case <-deadline:
			t.Error("the turns do not end")
		}
	}
	end(stop)
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// TestStandingTests runs two suites again and again, cuts the controller's power
// in between, and looks at what the store holds: each turn once, all with their
// records, and nobody on a link that another had for itself.
func TestStandingTests(t *testing.T) {
	t.Parallel()
	j := new(journal)
	w := newWorld(t, options{lasting: true, lease: shortLease, engines: []engine.Engine{scripted{journal: j}}})
	w.agent("syd", nil)
	w.agent("mel", nil)
	var plans []*plan.Plan
	for i := range 2 {
		p := standingPlan(fmt.Sprint("suite", i))
		plans = append(plans, p)
		if err := w.store.Apply(t.Context(), store.Application{
			Suite: p.Suite.Name, PlanHash: p.Hash + p.Suite.Name, After: plan.State{Lineage: "l", Serial: 1},
			Standing: &store.StandingPlan{Suite: p.Suite.Name, Plan: p, Installed: time.Now(), By: "test"},
		}); err != nil {
			t.Fatal(err)
		}
	}
	follow(t, w, 12, func(stop context.CancelFunc) {
		w.close()
		stop()
	})
	w.open()
	w.await("syd", "mel")
	w.recover(nil)
	follow(t, w, 12, func(stop context.CancelFunc) { stop() })
	holdsTurns(t, w, plans)
	keepsClaims(t, j.all(), nil, plans...)
}

// holdsTurns looks at the runs of each test: one at each turn from the first to
// the last, ended, with a record of each session.
func holdsTurns(t *testing.T, w *world, plans []*plan.Plan) {
	t.Helper()
	for _, p := range plans {
		runs, err := w.store.Runs(t.Context(), p.Suite.Name, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range p.Tests {
			var starts []time.Time
			passed := 0
			for _, r := range runs {
				if r.Slot == nil || r.Trigger != store.BySchedule {
					t.Fatalf("run %s has slot %v, trigger %s", r.Report.Run, r.Slot, r.Trigger)
				}
				if r.Slot.Test != test.Addr {
					continue
				}
				starts = append(starts, r.Slot.Start)
				records, err := w.store.Records(t.Context(), r.Report.Run)
				if err != nil || !r.Finished() || len(records) != r.Sessions {
					t.Errorf("%s at %v: %d records of %d sessions, finished %t, %v", test.Addr, r.Slot.Start, len(records), r.Sessions, r.Finished(), err)
				}
				passed += r.Report.Counts.Passed
			}
			slices.SortFunc(starts, time.Time.Compare)
			for i := 1; i < len(starts); i++ {
				if gap := starts[i].Sub(starts[i-1]); gap != test.Standing.Every {
					t.Errorf("%s: after the turn of %v comes one %v later, want %v", test.Addr, starts[i-1], gap, test.Standing.Every)
				}
			}
			if len(starts) < 4 || passed == 0 {
				t.Errorf("%s had %d turns, %d of their sessions passed", test.Addr, len(starts), passed)
			}
		}
	}
}
