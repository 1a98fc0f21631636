// Package reconcile makes what a controller runs what its sources declare: for each
// suite of a revision it plans against the agents that are there, has the plan
// applied, and runs once what runs once and is new. It does the same without a
// commit when agents come, go or change.
//
// It fetches and loads nothing (runner/gitops does) and knows neither locks nor
// owners (runner/apply does). Start with Reconciler.take: load → plan → reconcile.
package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/store"
)

// Store is what reconciling needs of the store of record; see *store.Store.
type Store interface {
	apply.Store
	FindRun(ctx context.Context, id string) (store.Run, error)
	Records(ctx context.Context, run string) ([]netp.Record, error)
	DeleteNote(ctx context.Context, key string) error
}

// Members tells which agents are there; *fleet.Fleet is the real one.
type Members interface{ Members() []fleet.Member }

// Config is what a Reconciler needs. Applier, Store, Fleet, Belongs and Catalogue
// are required.
type Config struct {
	Applier *apply.Applier
	Store   Store
	Fleet   Members
	// Belongs says whether an agent is one of this controller, be it there or not.
	// It must not block.
	Belongs   func(netp.AgentID) bool
	Catalogue netp.Catalogue
	Version   string // of the build
	// Grace is how long an agent may be away or drain before it leaves agent sets;
	// default 5 min.
	Grace time.Duration
	// Quiet is how long the agents must stay as they are before suites are planned
	// again, default 2 s; Longest is how long that may take, default 10 s.
	Quiet, Longest time.Duration
	Now            func() time.Time // nil for the clock
	Logger         *slog.Logger     // nil logs nothing
}

// Source is one repository or directory to follow.
type Source struct {
	// Name tells it from the others, and owns suites.
	Name     string
	Source   gitops.Source
	Interval time.Duration // between looks; 0 for the default of gitops
	Compile  gitops.CompileOptions
}

// Reconciler follows the sources of a controller. It may be used concurrently.
type Reconciler struct {
	cfg      Config
	agents   *inventory
	sources  []Source
	watchers map[string]*gitops.Watcher // by name; made by Prepare
}

// New gives a Reconciler; nothing happens before Prepare.
func New(cfg Config, sources []Source) (*Reconciler, error) {
	if cfg.Applier == nil || cfg.Store == nil || cfg.Fleet == nil || cfg.Belongs == nil || len(cfg.Catalogue) == 0 {
		return nil, errors.New("reconcile: applier, store, fleet, belongs and catalogue are required")
	}
	cfg.Grace = cmp.Or(cfg.Grace, 5*time.Minute)
	cfg.Quiet = cmp.Or(cfg.Quiet, 2*time.Second)
	cfg.Longest = cmp.Or(cfg.Longest, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	names := map[string]bool{}
	for _, s := range sources {
		if s.Name == "" || names[s.Name] {
			return nil, fmt.Errorf("two sources are named %q: names say which suite is whose. Give one of them another name", s.Name)
		}
		names[s.Name] = true
	}
	return &Reconciler{cfg: cfg, agents: newInventory(cfg), sources: slices.Clone(sources), watchers: map[string]*gitops.Watcher{}}, nil
}

// stateNote and suspendedNote are where a source's high-water mark is kept, and
// whether it is suspended.
func stateNote(source string) string     { return "source/" + source }
func suspendedNote(source string) string { return "suspended/" + source }

// Prepare reads what is known from before, and ends what belongs to sources that
// are no longer followed. It is called once, before Run and before anything else
// is applied.
func (r *Reconciler) Prepare(ctx context.Context) error {
	if err := r.agents.load(ctx, r.cfg.Store); err != nil {
		return err
	}
	for _, s := range r.sources {
		w, err := r.watcher(ctx, s)
		if err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		r.watchers[s.Name] = w
	}
	owners, err := r.cfg.Applier.Owners(ctx)
	if err != nil {
		return err
	}
	for _, suite := range slices.Sorted(maps.Keys(owners)) {
		source := owners[suite].Source
		if source == "" || r.watchers[source] != nil {
			continue
		}
		r.cfg.Logger.Info("source is no longer followed: its suite ends", "source", source, "suite", suite)
		if err := r.remove(ctx, suite, source); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) watcher(ctx context.Context, s Source) (*gitops.Watcher, error) {
	var state gitops.State
	if _, err := r.cfg.Store.Note(ctx, stateNote(s.Name), &state); err != nil {
		return nil, err
	}
	suspended := false
	if _, err := r.cfg.Store.Note(ctx, suspendedNote(s.Name), &suspended); err != nil {
		return nil, err
	}
	return gitops.NewWatcher(gitops.Config{
		Name: s.Name, Source: s.Source, Interval: s.Interval, Compile: s.Compile,
		State: state, Suspended: suspended, Log: r.cfg.Logger, Now: r.cfg.Now,
		Save: func(state gitops.State) error {
			return r.cfg.Store.SaveNote(context.WithoutCancel(ctx), stateNote(s.Name), state)
		},
		Reconcile: func(ctx context.Context, revision gitops.Revision, suites []gitops.Suite) (diag.List, error) {
			return r.take(ctx, s.Name, revision, suites)
		},
	})
}

// Run follows the sources and the agents until ctx is done.
func (r *Reconciler) Run(ctx context.Context) error {
	r.agents.observe(r.cfg.Fleet.Members())
	planned := r.agents.essence()
	group, ctx := errgroup.WithContext(ctx)
	for _, w := range r.watchers {
		group.Go(func() error { return w.Run(ctx) })
	}
	group.Go(func() error { return r.follow(ctx, planned) })
	return group.Wait()
}

// Status says how the sources are, by name.
func (r *Reconciler) Status() []gitops.Status {
	out := make([]gitops.Status, 0, len(r.watchers))
	for _, name := range slices.Sorted(maps.Keys(r.watchers)) {
		out = append(out, r.watchers[name].Status())
	}
	return out
}

// ErrNoSource is returned for a name that no source has.
var ErrNoSource = errors.New("the controller follows no source of this name")

// Poll makes every source look; it does not block.
func (r *Reconciler) Poll() {
	for _, w := range r.watchers {
		w.Poll()
	}
}

// Suspend stops looking at a source, for good until Resume; what is applied stays.
func (r *Reconciler) Suspend(ctx context.Context, name string) error {
	w := r.watchers[name]
	if w == nil {
		return ErrNoSource
	}
	w.Suspend()
	return r.cfg.Store.SaveNote(ctx, suspendedNote(name), true)
}

// Resume looks at a suspended source again, at once.
func (r *Reconciler) Resume(ctx context.Context, name string) error {
	w := r.watchers[name]
	if w == nil {
		return ErrNoSource
	}
	if err := r.cfg.Store.DeleteNote(ctx, suspendedNote(name)); err != nil {
		return err
	}
	w.Resume()
	return nil
}

// Reconcile looks at a source at once and applies again what it finds.
func (r *Reconciler) Reconcile(_ context.Context, name string) error {
	w := r.watchers[name]
	if w == nil {
		return ErrNoSource
	}
	w.Reconcile()
	return nil
}
