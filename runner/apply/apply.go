// Package apply is the one way by which suites are applied on a controller, be it
// from git or by somebody's netp apply: one lock and one owner for each suite, the
// state and its standing tests in one commit, and then the run. It plans nothing
// and executes nothing itself.
//
// Start with Applier.Apply (a plan somebody posted) and Applier.Install (a suite of
// a source).
package apply

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/planfile"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/store"
)

// Store is what applying needs of the store of record; see *store.Store.
type Store interface {
	State(ctx context.Context, suite string) (plan.State, error)
	Apply(ctx context.Context, a store.Application) error
	StandingPlans(ctx context.Context) ([]store.StandingPlan, error)
	Unfinished(ctx context.Context) ([]store.Unfinished, error)
	SaveNote(ctx context.Context, key string, value any) error
	Note(ctx context.Context, key string, into any) (found bool, err error)
}

// Scheduler runs standing tests; *standing.Scheduler is the real one. Its methods
// do not block and may be called concurrently.
type Scheduler interface {
	// Install replaces what the suite had; sessions in progress end normally.
	Install(store.StandingPlan)
	Remove(suite string)
}

// Sink is a receiver that a suite declares.
type Sink struct {
	Addr string `json:"addr"`
	Type string `json:"type"`
	// Arguments is a JSON object without the secrets.
	Arguments json.RawMessage   `json:"arguments"`
	Secrets   map[string]string `json:"secrets,omitempty"`
}

// Sinks delivers records to what suites declare. Its methods may block for a disk
// or a plugin and may be called concurrently.
type Sinks interface {
	// Check finds faults of a suite's sinks, in sentences for their author.
	Check(ctx context.Context, suite string, sinks []Sink) error
	// Set says which sinks a suite has from now on; none ends its deliveries.
	Set(ctx context.Context, suite string, sinks []Sink) error
}

// SinkState is how one sink is doing.
type SinkState struct {
	Sink string `json:"sink"` // SUITE/sink.TYPE.NAME; without a suite for all suites
	Type string `json:"type"`
	// Delivered, Rejected and Failures count since the controller started.
	Delivered uint64 `json:"delivered"`
	Rejected  uint64 `json:"rejected"`
	Failures  uint64 `json:"failures"`
	// Pending is how many records are read and not acknowledged; with More there are
	// others behind them.
	Pending       int       `json:"pending"`
	More          bool      `json:"more,omitempty"`
	Failing       bool      `json:"failing,omitempty"` // the last try failed
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	LastError     string    `json:"last_error,omitempty"`
	LastErrorAt   time.Time `json:"last_error_at,omitzero"`
}

// Config is what an Applier needs. Runs, Store and Scheduler are required.
type Config struct {
	Runs      *runs.Runs
	Store     Store
	Scheduler Scheduler
	Sinks     Sinks // nil when there are none
	// Applied hears what is applied of a suite whenever that has changed; nil for
	// nobody. It must not block.
	Applied func(suite string, now plan.State)
	// RetakeEvery is how often Retake looks for runs that could not go on; default 15 s.
	RetakeEvery time.Duration
	Now         func() time.Time // nil for the clock
	Logger      *slog.Logger     // nil logs nothing
}

// Applier applies suites. It may be used concurrently.
type Applier struct {
	cfg Config

	mu    sync.Mutex       // guards what follows
	locks map[string]*hold // suites being applied
	doubt map[string]bool  // suites of which perhaps more is in the store than the scheduler knows

	owning sync.Mutex // held while the note of owners is read and written
}

// New gives an Applier; it does nothing before its methods are called.
func New(cfg Config) (*Applier, error) {
	if cfg.Runs == nil || cfg.Store == nil || cfg.Scheduler == nil {
		return nil, errors.New("apply: runs, store and scheduler are required")
	}
	if cfg.Applied == nil {
		cfg.Applied = func(string, plan.State) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.RetakeEvery = cmp.Or(cfg.RetakeEvery, 15*time.Second)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Applier{cfg: cfg, locks: make(map[string]*hold), doubt: make(map[string]bool)}, nil
}

// Request is a plan that somebody wants to be applied and run.
type Request struct {
	Plan *plan.Plan
	// Holder is who asks, user@host.
	Holder string
	// Secrets are those of the plan's sinks, by address and name.
	Secrets map[string]map[string]string
}

// Started is what became of a request.
type Started struct {
	Run string `json:"run"`
	// Attached is true when a run of the same tests and sessions was in progress
	// already, and no other one was begun.
	Attached bool  `json:"attached,omitempty"`
	Lock     *Lock `json:"lock,omitempty"` // of the run in progress, when attached
}

// Apply makes a plan the state of its suite, installs its standing tests and runs
// each of its sessions once. It returns when the run has begun; the suite stays
// locked until it has ended. A suite of a source is run as it is: a plan that would
// change it is refused.
//
// Errors are *Locked, *Owned, *SinkFault, planfile.ErrStale, planfile.ErrApplied,
// store.ErrConflict, store.ErrApplied, runs.ErrClosing and runs.ErrLate.
func (a *Applier) Apply(ctx context.Context, r Request) (Started, error) {
	p := r.Plan
	h, held, err := a.hold(p.Suite.Name, r.Holder, digest([]any{p.Tests, p.Sessions}))
	switch {
	case err != nil:
		return Started{}, err
	case held != nil:
		return Started{Run: held.Run, Attached: true, Lock: held}, nil
	}
	if err := a.admit(ctx, r); err != nil {
		a.release(h)
		return Started{}, err
	}
	run, err := a.cfg.Runs.Start(runner.Work{Plan: p, Trigger: store.ByApply}, func() { a.release(h) })
	if err != nil {
		return Started{}, err
	}
	a.begun(h, run)
	return Started{Run: run}, nil
}

// admit makes the request's plan the state of its suite.
func (a *Applier) admit(ctx context.Context, r Request) error {
	p, suite := r.Plan, r.Plan.Suite.Name
	owner, err := a.Owner(ctx, suite)
	if err != nil {
		return err
	}
	if owner.Source != "" {
		if p.Changed() {
			return &Owned{suite, owner}
		}
		return a.commit(ctx, p, owner.Source, false)
	}
	sinks := sinksOf(p, r.Secrets)
	if a.cfg.Sinks != nil && len(sinks) > 0 {
		if err := a.cfg.Sinks.Check(ctx, suite, sinks); err != nil {
			return &SinkFault{err}
		}
	}
	if err := a.commit(ctx, p, r.Holder, true); err != nil {
		return err
	}
	if err := a.own(ctx, suite, Owner{Holder: r.Holder}); err != nil {
		return err
	}
	return a.setSinks(ctx, suite, sinks)
}

func sinksOf(p *plan.Plan, secrets map[string]map[string]string) []Sink {
	var out []Sink
	for _, s := range p.Sinks {
		out = append(out, Sink{Addr: s.Addr, Type: s.Type, Arguments: json.RawMessage(s.Arguments), Secrets: secrets[s.Addr]})
	}
	return out
}

func (a *Applier) setSinks(ctx context.Context, suite string, sinks []Sink) error {
	if a.cfg.Sinks == nil {
		return nil
	}
	if err := a.cfg.Sinks.Set(ctx, suite, sinks); err != nil {
		return fmt.Errorf("sinks of suite %s: %w", suite, err)
	}
	return nil
}

// commit notes a plan as applied, so that it cannot be applied twice and the next
// plan shows what changed. With install its standing tests replace those of the
// suite, in the same commit; otherwise these stay.
func (a *Applier) commit(ctx context.Context, p *plan.Plan, by string, install bool) error {
	suite := p.Suite.Name
	before, err := a.cfg.Store.State(ctx, suite)
	if err != nil {
		return err
	}
	if err := planfile.Check(p, before); err != nil {
		return err
	}
	standing, err := a.installed(ctx, suite)
	if err != nil {
		return err
	}
	if install {
		standing = a.standing(standing, p, by)
	}
	after := plan.Apply(before, p, uuid.NewString())
	err = a.cfg.Store.Apply(ctx, store.Application{Suite: suite, PlanHash: p.Hash, Before: before, After: after, Standing: standing})
	a.setDoubt(suite, err != nil)
	if err != nil || !install {
		return err
	}
	a.schedule(suite, standing)
	a.cfg.Applied(suite, after)
	return nil
}

// setDoubt notes whether a commit failed: it may be in the store all the same.
func (a *Applier) setDoubt(suite string, failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if failed {
		a.doubt[suite] = true
	} else {
		delete(a.doubt, suite)
	}
}

func (a *Applier) doubts(suite string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.doubt[suite]
}

// standing is what is installed of a suite when p is applied.
func (a *Applier) standing(before *store.StandingPlan, p *plan.Plan, by string) *store.StandingPlan {
	var there *plan.Plan
	if before != nil {
		there = before.Plan
	}
	after := plan.Install(there, p)
	if after == nil {
		return nil
	}
	return &store.StandingPlan{Suite: p.Suite.Name, Plan: after, Installed: a.cfg.Now().UTC(), By: by}
}

// installed is what is installed of a suite; nil for nothing.
func (a *Applier) installed(ctx context.Context, suite string) (*store.StandingPlan, error) {
	all, err := a.cfg.Store.StandingPlans(ctx)
	for _, s := range all {
		if s.Suite == suite {
			return &s, err
		}
	}
	return nil, err
}

func (a *Applier) schedule(suite string, s *store.StandingPlan) {
	if s == nil {
		a.cfg.Scheduler.Remove(suite)
		return
	}
	a.cfg.Scheduler.Install(*s)
}

// Destroy ends the standing tests of a suite and forgets what is applied of it; its
// runs stay. It says how many tests there were. A suite of a source is refused.
func (a *Applier) Destroy(ctx context.Context, suite, holder string) (tests int, err error) {
	h, _, err := a.hold(suite, holder, "")
	if err != nil {
		return 0, err
	}
	defer a.release(h)
	owner, err := a.Owner(ctx, suite)
	if err != nil {
		return 0, err
	}
	if owner.Source != "" {
		return 0, &Owned{suite, owner}
	}
	return a.destroy(ctx, suite)
}

// destroy forgets a suite that the caller holds. What of it was done before an
// error is done again by the next call.
func (a *Applier) destroy(ctx context.Context, suite string) (tests int, err error) {
	before, err := a.cfg.Store.State(ctx, suite)
	if err != nil {
		return 0, err
	}
	standing, err := a.installed(ctx, suite)
	if err != nil {
		return 0, err
	}
	if len(before.Tests) > 0 || standing != nil {
		after := plan.State{Lineage: cmp.Or(before.Lineage, uuid.NewString()), Serial: before.Serial + 1, Tests: map[string]map[string]string{}}
		if err := a.cfg.Store.Apply(ctx, store.Application{Suite: suite, PlanHash: uuid.NewString(), Before: before, After: after}); err != nil {
			return 0, err
		}
	}
	a.cfg.Scheduler.Remove(suite)
	a.cfg.Applied(suite, plan.State{})
	if err := a.setSinks(ctx, suite, nil); err != nil {
		return len(before.Tests), err
	}
	return len(before.Tests), a.own(ctx, suite, Owner{})
}

func digest(v any) string {
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(v); err != nil {
		return "" // not what JSON can hold: equal to no other
	}
	return hex.EncodeToString(sum.Sum(nil))
}
