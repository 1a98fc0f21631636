// Package standing says when standing tests run. Each has turns: a turn is a run
// of all sessions of the test, begun at most once, whatever happens to the
// controller or its clock, or else recorded as missed.
//
// The package sends nothing and judges nothing: it hands each turn to the runner,
// whose ledger keeps sessions from disturbing each other. Here they are only laid
// out so that they seldom have to wait.
//
// Start with Scheduler.Run; a test's way is follow.go, when its turns are is
// timetable.go, and where its sessions are within them layout.go.
package standing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// Executor carries turns out: runner.Runner. Methods are called concurrently and
// block until all sessions of the turn have their records.
type Executor interface {
	// Execute tells RunStarted once the turn is in the store. It returns
	// store.ErrSlotTaken when it was there before.
	Execute(ctx context.Context, w runner.Work, events func(runner.Event)) (netp.Report, error)
	// Miss records the sessions of a turn as missed; the error as with Execute.
	Miss(ctx context.Context, w runner.Work, why netp.Failure) (netp.Report, error)
}

// Store is what is known from earlier: read once, when Run begins.
type Store interface {
	StandingPlans(ctx context.Context) ([]store.StandingPlan, error)
	// LastSlots gives the newest turn of each test that was begun or missed.
	LastSlots(ctx context.Context, suite string) (map[string]time.Time, error)
}

// Config is what a scheduler needs. Executor and Store are required.
type Config struct {
	Executor Executor
	Store    Store
	// Events hears what happens in all turns, several calls at a time; nil for nobody.
	Events func(runner.Event)
	Now    func() time.Time // nil for the clock
	Logger *slog.Logger     // nil logs nothing
}

// Scheduler begins the turns of all installed standing tests. Its methods may be
// called at any time, before, during and after Run.
type Scheduler struct {
	cfg Config
	// begins holds one for each turn on its way into the store.
	begins chan struct{}
	// work is the turns in progress and those who begin them.
	work sync.WaitGroup

	mu     sync.Mutex // guards what follows, and followers' fields that say so
	layout layout
	suites map[string]map[string]*follower // by suite and test
	life   context.Context                 // of Run; nil when it does not run
	// opening is what kept turns from being begun before life began; set before any is followed.
	opening trouble
}

// maxBegins bounds how many turns are written to the store at a time.
const maxBegins = 8

// New gives a scheduler without tests.
func New(cfg Config) (*Scheduler, error) {
	if cfg.Executor == nil || cfg.Store == nil {
		return nil, errors.New("standing tests: executor and store are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Scheduler{
		cfg: cfg, begins: make(chan struct{}, maxBegins),
		layout: newLayout(), suites: map[string]map[string]*follower{},
	}, nil
}

// Run begins turns until ctx is done: those of the plans in the store, and of
// what is installed later. Then it stops the turns in progress as the runner stops
// a run, and returns when all have their records. It is called once. A store that is
// away is waited for; an error means that it could not be read.
func (s *Scheduler) Run(ctx context.Context) error {
	came := s.cfg.Now()
	if err := store.Insist(ctx, s.cfg.Logger, s.load); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return fmt.Errorf("standing tests: %w", err)
	}
	s.mu.Lock()
	ready := s.cfg.Now()
	s.life, s.opening = ctx, trouble{err: fmt.Errorf("the store took %s to tell which tests there are", quantity.Duration(ready.Sub(came))), after: came, upto: ready}
	for _, tests := range s.suites {
		for _, f := range tests {
			s.start(f)
		}
	}
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.life = nil // nothing is started any more
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

// load installs what the store has, except what was installed meanwhile, and
// settles all turns up to the newest that was begun.
func (s *Scheduler) load(ctx context.Context) error {
	plans, err := s.cfg.Store.StandingPlans(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(plans, func(a, b store.StandingPlan) int { return a.Installed.Compare(b.Installed) })
	for _, p := range plans {
		s.mu.Lock()
		if s.suites[p.Suite] == nil {
			s.install(p)
		}
		s.mu.Unlock()
	}
	for _, suite := range s.names() {
		last, err := s.cfg.Store.LastSlots(ctx, suite)
		if err != nil {
			return err
		}
		s.mu.Lock()
		for test, f := range s.suites[suite] {
			s.remember(f, last[test])
		}
		s.mu.Unlock()
	}
	return nil
}

// remember settles the turns of a test up to the newest that was begun. One ahead
// of the clock, which was put back, says nothing of those before it: then all are
// tried again, as many as would be recorded, and the store knows which it has.
func (s *Scheduler) remember(f *follower, last time.Time) {
	f.last = last
	if now := s.cfg.Now(); last.After(now) && f.test.fault == nil {
		last, _ = f.test.table.skip(f.settled, now, s.keep())
	}
	f.settle(last)
}

func (s *Scheduler) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for suite := range s.suites {
		names = append(names, suite)
	}
	return names
}

// Install takes a suite's standing tests over from a plan, in place of those it
// had. Turns in progress go on as they began. A test goes on with its next turn,
// and if its schedule is another, with the first after the plan was installed.
func (s *Scheduler) Install(p store.StandingPlan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.install(p)
}

// Remove ends a suite's standing tests. Turns in progress go on to their end.
func (s *Scheduler) Remove(suite string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.layout.remove(suite)
	for _, f := range s.suites[suite] {
		f.end()
	}
	delete(s.suites, suite)
}

// install does it under the lock.
func (s *Scheduler) install(p store.StandingPlan) {
	s.layout.remove(p.Suite)
	before := s.suites[p.Suite]
	tests := make(map[string]*follower)
	for _, d := range s.define(p) {
		f := before[d.test]
		switch {
		case f == nil:
			f = &follower{test: d, changed: make(chan struct{}, 1)}
			f.settle(p.Installed)
		case !f.test.repeats(d):
			f.settle(p.Installed)
		}
		f.test = d
		f.poke()
		tests[d.test] = f
		s.start(f)
	}
	for addr, f := range before {
		if tests[addr] == nil {
			f.end()
		}
	}
	s.suites[p.Suite] = tests
}

// define makes the definitions of a plan's standing tests and lays them out.
func (s *Scheduler) define(p store.StandingPlan) []*definition {
	var all []*definition
	var places []*placing
	for _, turn := range p.Plan.Turns() {
		d := newDefinition(p.Suite, turn, p.Installed)
		all = append(all, d)
		if d.fault != nil {
			s.cfg.Logger.Error("standing test does not run", "suite", p.Suite, "test", d.test, "error", d.fault)
			continue
		}
		places = append(places, d.placing)
	}
	s.layout.place(places)
	for _, d := range all {
		d.finish()
	}
	return all
}

// start begins to follow a test, if Run runs and nobody does yet.
func (s *Scheduler) start(f *follower) {
	if s.life == nil || f.stop != nil || f.test.fault != nil {
		return
	}
	ctx, stop := context.WithCancel(s.life)
	f.stop = stop
	life := s.life
	s.work.Go(func() {
		defer stop()
		s.follow(ctx, life, f)
	})
}

// sessions is how many one turn of all tests has.
func (s *Scheduler) sessions() int {
	n := 0
	for _, tests := range s.suites {
		for _, f := range tests {
			n += len(f.test.turn.Sessions)
		}
	}
	return n
}
