package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// crashes is a world in which the controller is killed.
type crashes struct {
	*world
	journal *journal
	plan    *plan.Plan
	run     string
}

// hardEnd bounds each session of these tests: what does not come by then never does.
const hardEnd = 8 * time.Second

// newCrashes has a plan of ten sessions between three agents: each needs its link
// for itself or a part of it.
func newCrashes(t *testing.T) *crashes {
	c := &crashes{journal: new(journal), run: "0199c3a1-0000-7000-8000-000000000001"}
	c.world = newWorld(t, options{lasting: true, lease: shortLease, engines: []engine.Engine{scripted{journal: c.journal}}})
	names := []netp.AgentID{"syd", "mel", "per"}
	for _, n := range names {
		c.agent(n, nil)
	}
	var sessions []session
	for i := range 10 {
		s := session{from: names[i%3], to: names[(i+1)%3], params: netp.Params{"duration": 0.2}, timeout: hardEnd, asserts: lossAtMost("loss.ratio <= 0.1"),
			claims: []schedule.Claim{{Resource: schedule.Resource(fmt.Sprint("link.", i%2)), Exclusive: i < 6, Rate: 1}}}
		sessions = append(sessions, s)
	}
	c.plan = makePlan(sessions...)
	return c
}

// live lets a controller run what is to be run until it is done or dies; begun says
// whether an earlier one began it.
func (c *crashes) live(begun bool, hear func(runner.Event)) {
	c.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if !begun {
			c.runner.Execute(context.Background(), runner.Work{Plan: c.plan, Run: c.run, Trigger: store.ByApply}, hear)
			return
		}
		c.recover(hear)
	}()
	select {
	case <-done:
	case <-c.disk.struck:
		c.close()
		<-done
	case <-time.After(4 * patience):
		c.t.Error("the run does not end")
		c.close()
		<-done
	}
}

// recover brings every unfinished run to its end.
func (w *world) recover(hear func(runner.Event)) {
	unfinished, err := w.store.Unfinished(context.Background())
	if err != nil {
		w.t.Errorf("unfinished runs: %v", err)
	}
	var all sync.WaitGroup
	for _, u := range unfinished {
		all.Go(func() {
			if _, err := w.runner.Recover(context.Background(), u, hear); err != nil {
				w.logger.Info("recover", "error", err)
			}
		})
	}
	all.Wait()
}

// check holds what must hold in the end, however often the controller was killed.
func (c *crashes) check() {
	c.t.Helper()
	ctx := c.t.Context()
	records, err := c.store.Records(ctx, c.run)
	if err != nil {
		c.t.Fatal(err)
	}
	var want, got []string
	for _, s := range c.plan.Sessions {
		want = append(want, s.Addr)
	}
	worked := map[string]int{}
	for _, s := range c.journal.all() {
		worked[s.session]++
	}
	for _, r := range records {
		got = append(got, r.Session.Addr)
		if failureKind(r) == netp.FailureController && r.Attempts == 3 {
			continue // the controller was killed in each of its attempts
		}
		if r.Status != netp.Pass || r.Result.Attempt != r.Attempts {
			c.t.Errorf("%s: %s after %d attempts, of which the %d. is told; %v", r.Session.Addr, r.Status, r.Attempts, r.Result.Attempt, r.Result.Failure)
		}
		if f := r.Result.Facts; f["initiator"] == "" || f["initiator"] != f["responder"] {
			c.t.Errorf("%s: its parts are of different attempts: %v", r.Session.Addr, f)
		}
		if n := worked[r.Session.Addr]; n > r.Attempts {
			c.t.Errorf("%s was run %d times in %d attempts", r.Session.Addr, n, r.Attempts)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		c.t.Errorf("records of %v, want one of each of %v", got, want)
	}
	run, err := c.store.FindRun(ctx, c.run)
	if err != nil || !run.Finished() || run.Report.Counts.Total() != len(want) || run.Report.Counts.Skipped != 0 {
		c.t.Errorf("the run is %+v, %v", run, err)
	}
	if left, err := c.store.Unfinished(ctx); err != nil || len(left) != 0 {
		c.t.Errorf("%d runs are unfinished, %v", len(left), err)
	}
	keepsClaims(c.t, c.journal.all(), nil, c.plan)
}

// keepsClaims proves with the schedule's own validator that what initiators did,
// and when they really did it, kept the claims of all plans together.
func keepsClaims(t *testing.T, spans []span, capacity map[schedule.Resource]float64, plans ...*plan.Plan) {
	t.Helper()
	claims := map[string][]schedule.Claim{}
	for _, p := range plans {
		for _, s := range p.Sessions {
			claims[s.Addr] = s.Claims
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var items []schedule.Item
	var slots []schedule.Slot
	round, last := 0, time.Duration(-1)
	for i, s := range spans {
		start := s.from.Sub(spans[0].from)
		if start != last {
			round, last = round+1, start
		}
		items = append(items, schedule.Item{ID: fmt.Sprint(s.session, " ", i), Duration: s.till.Sub(s.from), Claims: claims[s.session]})
		slots = append(slots, schedule.Slot{Start: start, Round: round})
	}
	if err := schedule.Validate(items, slots, capacity); err != nil {
		t.Error(err)
	}
}

// TestKilledControllerLosesAndDoublesNothing kills the controller once in each
// phase of a run, and lets the next one bring the run to its end.
func TestKilledControllerLosesAndDoublesNothing(t *testing.T) {
	t.Parallel()
	type death struct {
		phase string // a touch of the disk, or a state of a session
		nth   int
	}
	abreast(t, []death{
		{"begin done", 1}, // nothing was ordered
		{"attempts", 1}, {"attempts done", 1}, {"attempts done", 2},
		{string(runner.Preparing), 2}, {string(runner.Running), 1}, {string(runner.Running), 4}, {string(runner.Collecting), 3},
		{"parts", 1}, {"parts done", 2}, // in the queue, but not stored; stored, but not confirmed
		{"records", 1}, {"records done", 1}, {"records", 3}, {"records done", 3},
		{"run", 1}, {"run done", 1}, // all has its record, the run has not ended
	}, func(t *testing.T, d death) {
		w := newCrashes(t)
		w.live(false, w.strike(d.phase, d.nth))
		w.open()
		w.live(true, nil)
		w.check()
	})
}

// abreast runs a test for each case, several at a time: they mostly wait.
func abreast[C any](t *testing.T, cases []C, test func(*testing.T, C)) {
	var all sync.WaitGroup
	places := make(chan struct{}, 6)
	for _, c := range cases {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run(fmt.Sprint(c), func(t *testing.T) { test(t, c) })
		})
	}
	all.Wait()
}

// TestStoreThatFailsLeavesTheRunUnfinished lets the store refuse everything while the
// controller lives on: it stops what it began, and the next one does all that again.
func TestStoreThatFailsLeavesTheRunUnfinished(t *testing.T) {
	t.Parallel()
	w := newCrashes(t)
	touched := func(what string) {
		if what == "records" {
			w.disk.die()
			w.disk.bury()
		}
	}
	w.disk.touched.Store(&touched)
	report, err := w.runner.Execute(t.Context(), runner.Work{Plan: w.plan, Run: w.run}, nil)
	if !errors.Is(err, errDead) || len(report.Records) != 0 {
		t.Errorf("%d records, %v; want none and the store's error", len(report.Records), err)
	}
	w.open()
	w.live(true, nil)
	w.check()
}

// TestStoreThatFailsForAWhile lets the store refuse everything in the middle of a run
// and then take it again: the same controller brings the run to its end, and tells
// once of each session.
func TestStoreThatFailsForAWhile(t *testing.T) {
	t.Parallel()
	w := newCrashes(t)
	var records atomic.Int64
	touched := func(what string) {
		if what == "records" {
			if records.Add(1) == 2 {
				w.disk.die()
				w.disk.bury()
			}
		}
	}
	w.disk.touched.Store(&touched)
	told := map[string]int{}
	hear := func(e runner.Event) {
		if done, ok := e.(runner.SessionDone); ok && !done.Before {
			told[done.Record.Session.Addr]++
		}
	}
	if _, err := w.runner.Execute(t.Context(), runner.Work{Plan: w.plan, Run: w.run}, hear); !errors.Is(err, errDead) {
		t.Errorf("got %v, want the store's error", err)
	}
	w.disk.revive()
	w.recover(hear)
	w.check()
	for _, s := range w.plan.Sessions {
		if told[s.Addr] != 1 {
			t.Errorf("%s was told %d times", s.Addr, told[s.Addr])
		}
	}
}

// strike kills the controller at the n-th time of a phase.
func (c *crashes) strike(phase string, nth int) (hear func(runner.Event)) {
	var mu sync.Mutex
	seen, d := 0, c.disk
	at := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if what == phase || phase == "" {
			if seen++; seen == nth {
				c.logger.Info("killed", "at", what, "time", nth)
				d.die()
			}
		}
	}
	d.touched.Store(&at)
	return func(e runner.Event) {
		if s, ok := e.(runner.SessionState); ok {
			at(string(s.State))
		}
	}
}

// TestControllerKilledAnywhere kills it at random moments, again and again, also
// while it recovers.
func TestControllerKilledAnywhere(t *testing.T) {
	t.Parallel()
	abreast(t, []uint64{1, 2, 3, 4, 5, 6}, func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := newCrashes(t)
		w.live(false, w.strike("", 1+random.IntN(60)))
		for range random.IntN(2) + 1 { // a session has three attempts
			w.open()
			w.live(true, w.strike("", 1+random.IntN(60)))
		}
		w.open()
		if _, err := w.store.FindRun(t.Context(), w.run); err != nil { // killed before it had begun
			w.live(false, nil)
		}
		w.live(true, nil)
		w.check()
	})
}
