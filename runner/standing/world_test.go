package standing

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// world is what is around a scheduler: a store that outlives it, agents that carry
// sessions out as the runner has them do, and a clock on the wall that can be set.
type world struct {
	t     failer
	began time.Time // on the clock that is never set

	mu      sync.Mutex
	skew    time.Duration // of the wall
	plans   map[string]store.StandingPlan
	runs    map[slotKey]*run
	twice   []slotKey // slots asked for a second time
	ledger  *schedule.Ledger
	freed   chan struct{} // closed when claims were given back
	broken  error         // what the store says
	agents  sync.WaitGroup
	life    context.Context
	kill    context.CancelFunc
	stopped chan error
	*Scheduler
}

type slotKey struct {
	suite, test string
	start       int64
}

func (k slotKey) String() string {
	return k.suite + " " + k.test + " " + time.Unix(0, k.start).UTC().Format(time.DateTime)
}

// run is one in the store.
type run struct {
	work     runner.Work
	missed   *netp.Failure
	sessions []*session
}

// session is one of a run with what became of it.
type session struct {
	run           *run
	planned       plan.Session
	begun, ended  time.Time // on the clock that is never set
	wallBegun     time.Time
	missed, began bool
}

func newWorld(t failer) *world {
	return &world{
		t: t, began: time.Now(), plans: map[string]store.StandingPlan{}, runs: map[slotKey]*run{},
		ledger: schedule.NewLedger(nil), freed: make(chan struct{}),
	}
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew)
}

// start starts a controller: it recovers runs and follows standing tests.
func (w *world) start() {
	w.t.Helper()
	w.life, w.kill = context.WithCancel(context.Background())
	s, err := New(Config{Executor: w, Store: w, Now: w.now})
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	w.Scheduler, w.stopped = s, make(chan error, 1)
	life := w.life
	w.mu.Lock()
	for _, r := range w.runs {
		w.resume(life, r, func(runner.Event) {})
	}
	w.mu.Unlock()
	go func() { w.stopped <- s.Run(life) }()
	synctest.Wait()
}

// stop ends the controller; sessions in progress go on at their agents.
func (w *world) stop() {
	w.t.Helper()
	w.kill()
	if err := <-w.stopped; err != nil {
		w.t.Fatalf("%v", err)
	}
}

// end has the turns in progress come to their end, and no more begin.
func (w *world) end() {
	for suite := range w.plans {
		w.remove(suite)
	}
	w.agents.Wait()
	w.stop()
}

func (w *world) install(suite string, tests ...standingTest) {
	p := store.StandingPlan{Suite: suite, Plan: planOf(suite, tests...), Installed: w.now(), By: "test"}
	w.mu.Lock()
	w.plans[suite] = p
	w.mu.Unlock()
	if w.Scheduler != nil {
		w.Install(p)
		synctest.Wait()
	}
}

func (w *world) remove(suite string) {
	w.mu.Lock()
	delete(w.plans, suite)
	w.mu.Unlock()
	w.Remove(suite)
	synctest.Wait()
}

func (w *world) set(skew time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew += skew
}

func (w *world) breaks(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = err
}

func (w *world) StandingPlans(context.Context) ([]store.StandingPlan, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Values(w.plans)), w.broken
}

func (w *world) LastSlots(_ context.Context, suite string) (map[string]time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	last := map[string]time.Time{}
	for k := range w.runs {
		if at := time.Unix(0, k.start); k.suite == suite && at.After(last[k.test]) {
			last[k.test] = at
		}
	}
	return last, w.broken
}

// put has a run in the store, once.
func (w *world) put(work runner.Work, missed *netp.Failure) (*run, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := slotKey{work.Slot.Suite, work.Slot.Test, work.Slot.Start.UnixNano()}
	switch {
	case w.broken != nil:
		return nil, w.broken
	case w.runs[k] != nil:
		w.twice = append(w.twice, k)
		return nil, fmt.Errorf("begin run: %w", store.ErrSlotTaken)
	case !work.Start.Equal(work.Slot.Start) || !work.Timed || work.Window <= 0 || work.Trigger != store.BySchedule:
		w.t.Errorf("%v has start %v, timed %t, window %v, trigger %s", k, work.Start, work.Timed, work.Window, work.Trigger)
	}
	r := &run{work: work, missed: missed}
	for _, p := range work.Plan.Sessions {
		r.sessions = append(r.sessions, &session{run: r, planned: p, missed: missed != nil})
	}
	w.runs[k] = r
	return r, nil
}

func (w *world) Miss(_ context.Context, work runner.Work, why netp.Failure) (netp.Report, error) {
	if why.Kind != netp.FailureMissed || why.Detail == "" {
		w.t.Errorf("a turn is missed for %+v", why)
	}
	_, err := w.put(work, &why)
	return netp.Report{Status: netp.Errored}, err
}

func (w *world) Execute(ctx context.Context, work runner.Work, events func(runner.Event)) (netp.Report, error) {
	r, err := w.put(work, nil)
	if err != nil {
		return netp.Report{}, err
	}
	events(runner.RunStarted{Suite: work.Plan.Suite.Name, Sessions: len(r.sessions)})
	w.mu.Lock()
	done := w.resume(ctx, r, events)
	w.mu.Unlock()
	done.Wait()
	if ctx.Err() != nil {
		return netp.Report{}, ctx.Err()
	}
	events(runner.RunDone{})
	return netp.Report{Status: netp.Pass}, nil
}

// resume has the sessions of a run begin that have not; w.mu is held.
func (w *world) resume(ctx context.Context, r *run, events func(runner.Event)) *sync.WaitGroup {
	var done sync.WaitGroup
	for _, s := range r.sessions {
		if !s.began && !s.missed {
			done.Add(1)
			w.agents.Go(func() {
				w.session(ctx, s, events)
				done.Done()
			})
		}
	}
	return &done
}

// session waits for its time and its claims, and runs. Once begun it ends by
// itself, whatever becomes of the controller.
func (w *world) session(ctx context.Context, s *session, events func(runner.Event)) {
	item := s.planned.Item()
	item.ID = fmt.Sprintf("%s@%d", item.ID, s.run.work.Start.UnixNano())
	planned := s.run.work.Start.Add(s.planned.Start)
	for {
		w.mu.Lock()
		now := time.Now().Add(w.skew)
		late := now.Sub(planned)
		if late >= s.run.work.Window {
			s.missed = true
			w.mu.Unlock()
			events(runner.SessionDone{Record: netp.Record{Result: netp.Result{Failure: &netp.Failure{Kind: netp.FailureMissed}}}})
			return
		}
		if ctx.Err() != nil {
			w.mu.Unlock()
			return
		}
		if late >= 0 {
			if _, ok := w.ledger.TryAcquire(item); ok {
				s.began, s.begun, s.wallBegun = true, time.Now(), now
				w.mu.Unlock()
				break
			}
		}
		freed := w.freed
		w.mu.Unlock()
		wait := s.run.work.Window - late
		if late < 0 {
			freed, wait = nil, -late
		}
		select {
		case <-ctx.Done():
		case <-freed:
		case <-time.After(min(wait, 10*time.Second)): // the clock may be set
		}
	}
	time.Sleep(s.planned.Slot)
	w.mu.Lock()
	s.ended = time.Now()
	w.ledger.Release(item.ID)
	close(w.freed)
	w.freed = make(chan struct{})
	w.mu.Unlock()
	events(runner.SessionDone{})
}

// check looks at all that was carried out: what claims one thing never overlaps, no
// session meets itself, and no session begins before its time or after its window.
func (w *world) check(t failer) {
	var items []schedule.Item
	var slots []schedule.Slot
	for k, r := range w.runs {
		for _, s := range r.sessions {
			if s.began == s.missed {
				t.Fatalf("%v: %s began: %t, missed: %t; want one of them", k, s.planned.Addr, s.began, s.missed)
			}
			if !s.began {
				continue
			}
			if late := s.wallBegun.Sub(r.work.Start.Add(s.planned.Start)); late < 0 || late > r.work.Window {
				t.Fatalf("%v: %s began %v after its planned start, want at most %v", k, s.planned.Addr, late, r.work.Window)
			}
			item := s.planned.Item()
			item.ID, item.Duration = k.String()+item.ID, s.ended.Sub(s.begun)
			self := schedule.Claim{Resource: schedule.Resource("itself " + k.suite + s.planned.Addr), Exclusive: true}
			item.Claims = append(slices.Clip(item.Claims), self)
			items, slots = append(items, item), append(slots, schedule.Slot{Start: s.begun.Sub(w.began)})
		}
	}
	number(slots)
	if err := schedule.Validate(items, slots, nil); err != nil {
		t.Fatalf("sessions disturbed each other: %v", err)
	}
}

// failer is a test, or what takes its place.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// waited is how many sessions did not begin to the moment.
func (w *world) waited() (waited, all int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.runs {
		for _, s := range r.sessions {
			all++
			if s.missed || s.wallBegun.Sub(r.work.Start.Add(s.planned.Start)) > 0 {
				waited++
			}
		}
	}
	return waited, all
}

// all are the runs in the store.
func (w *world) all() map[slotKey]*run {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.runs)
}

// turns are the starts of a test's turns that have the state, in order.
func (w *world) turns(suite, test string, missed bool) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []time.Time
	for k, r := range w.runs {
		if k.suite == suite && k.test == test && (r.missed != nil) == missed {
			out = append(out, r.work.Start)
		}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// standingTest is a test to be put into a plan.
type standingTest struct {
	name string
	plan.Standing
	length time.Duration
	alone  bool
	paths  []string // "a->b"
}

// planOf makes a plan, its sessions placed one after the other or all at once.
func planOf(suite string, tests ...standingTest) *plan.Plan {
	p := &plan.Plan{Suite: plan.SuiteInfo{Name: suite}, Hash: "hash of " + suite}
	var at time.Duration
	for _, t := range tests {
		test := plan.Test{Addr: "test." + t.name, Kind: "rtt"}
		if t.Every > 0 || t.Cron != "" {
			test.Standing = &t.Standing
		}
		p.Tests = append(p.Tests, test)
		for _, path := range t.paths {
			source, dest, _ := strings.Cut(path, "->")
			p.Sessions = append(p.Sessions, plan.Session{
				Addr: fmt.Sprintf("%s[%q]", test.Addr, path), Test: test.Addr, Start: at, Slot: t.length,
				Path: netp.Path{Source: netp.AgentID(source), Dest: dest},
				Claims: []schedule.Claim{
					{Resource: schedule.Resource("agent." + source + "/default tx"), Exclusive: t.alone, Rate: 1},
					{Resource: schedule.Resource("agent." + dest + "/default rx"), Exclusive: t.alone, Rate: 1},
				},
			})
			if t.alone {
				at += t.length
			}
		}
	}
	return p
}

// mesh gives the paths between agents.
func mesh(agents ...string) []string {
	var out []string
	for _, a := range agents {
		for _, b := range agents {
			if a != b {
				out = append(out, a+"->"+b)
			}
		}
	}
	return out
}
