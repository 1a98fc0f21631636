package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/hold"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/planfile"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/store"
)

// localSite applies suites in this process and keeps their history in DIR/.netp/.
// Until something is applied it leaves no trace.
type localSite struct {
	app         *app
	dir         string
	parallelism int
	delivered   []string // what became of the records that Apply handed to the suite's sinks
}

// keptIn is the directory that commands need to find a run again; "" for a controller.
func keptIn(b archive) string {
	if l, here := b.(*localSite); here {
		return l.dir
	}
	return ""
}

// storeFile is where the history is kept.
func (l *localSite) storeFile() string {
	if data := l.app.env.get("NETP_DATA_DIR"); data != "" {
		return filepath.Join(data, "netp.db")
	}
	return filepath.Join(l.dir, ".netp", "netp.db")
}

// lockFile is what an apply holds until its records are delivered, and a destroy.
func (l *localSite) lockFile() string {
	return filepath.Join(filepath.Dir(l.storeFile()), "apply.lock")
}

// keepRunsElsewhere is what helps where the store cannot be used.
const keepRunsElsewhere = "To keep runs elsewhere, set NETP_DATA_DIR to a directory that can be written."

// claim keeps other processes from applying and forgetting until the file is closed: two runs would measure each other.
func (l *localSite) claim() (*os.File, error) {
	lock, err := hold.Claim(l.lockFile(), l.app.env.now())
	if held := (*hold.Held)(nil); errors.As(err, &held) {
		return nil, l.busy(held.By)
	}
	if err != nil {
		return nil, fmt.Errorf("keep other runs away: %w\n%s", err, keepRunsElsewhere)
	}
	return lock, nil
}

// free is the error when somebody applies now: who is to be refused need not read a plan first. Only claim keeps others away.
func (l *localSite) free() error {
	if by, held, _ := hold.HolderOf(l.lockFile()); held {
		return l.busy(by)
	}
	return nil
}

// busy is the error for a store that somebody applies to.
func (l *localSite) busy(by hold.Holder) error {
	who := "another process"
	if by.PID != 0 {
		who = fmt.Sprintf("process %d since %s", by.PID, by.Since.Local().Format(time.RFC3339))
	}
	return fmt.Errorf("a suite that keeps its runs in %s is being applied by %s: nothing may disturb its run\nWait for it to end, or end that process; then run this again.",
		filepath.Dir(l.storeFile()), who)
}

// open opens the store, made when missing.
func (l *localSite) open(ctx context.Context) (*store.Store, error) {
	s, err := store.Open(ctx, l.storeFile(), func(text string) { l.app.err().Printf("%s\n", text) })
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, keepRunsElsewhere)
	}
	return s, nil
}

// history opens the store, if only to read what another user keeps; without one the error says how to get one.
func (l *localSite) history(ctx context.Context) (*store.Store, error) {
	if _, err := os.Stat(l.storeFile()); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no runs are kept in %s\nRun the suite first: netp apply %s; or name its directory: netp runs DIR, netp show -dir=DIR.", filepath.Dir(l.storeFile()), l.dir)
	}
	s, err := l.open(ctx)
	if err == nil {
		return s, nil
	}
	if s, toRead := store.OpenToRead(ctx, l.storeFile(), nil); toRead == nil {
		return s, nil
	}
	return nil, err // what keeps it from being written
}

func (l *localSite) Inventory(_ context.Context, suite *lang.Suite) (inventory, error) {
	return inventory{agents: l.app.localInventory(suite), local: true}, nil
}

func (l *localSite) State(ctx context.Context, suite string) (plan.State, error) {
	if _, err := os.Stat(l.storeFile()); errors.Is(err, fs.ErrNotExist) {
		return plan.State{}, nil
	}
	s, err := l.open(ctx)
	if err != nil {
		return plan.State{}, err
	}
	state, err := s.State(ctx, suite)
	return state, errors.Join(err, s.Close())
}

func (l *localSite) Apply(ctx context.Context, p *plan.Plan, events func(runner.Event)) (report netp.Report, err error) {
	s, err := l.open(ctx)
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	lock, err := l.claim()
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := recordState(ctx, s, p); err != nil {
		return report, err
	}
	a := l.app
	report, err = (&local{version: version, catalogue: a.catalogue, store: s, parallelism: l.parallelism, logger: a.logger()}).run(ctx, p, events)
	if err == nil {
		l.delivered = a.deliver(context.WithoutCancel(ctx), a.suite, s)
	}
	return report, err
}

// recordState notes the plan as applied, so that it cannot be applied twice and
// the next plan shows what changed.
func recordState(ctx context.Context, s *store.Store, p *plan.Plan) error {
	before, err := s.State(ctx, p.Suite.Name)
	if err != nil {
		return err
	}
	if planfile.Check(p, before) != nil { // it did fit when it was planned, or read
		return fmt.Errorf("something else was applied of the suite %s since this command began\nRun it again.", p.Suite.Name)
	}
	return s.Apply(ctx, store.Application{
		Suite: p.Suite.Name, PlanHash: p.Hash, Before: before,
		After: plan.Apply(before, p, uuid.NewString()),
	})
}

func (l *localSite) Destroy(ctx context.Context, suite string) (n int, err error) {
	s, err := l.history(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	lock, err := l.claim()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	before, err := s.State(ctx, suite)
	if err != nil || len(before.Tests) == 0 {
		return 0, err
	}
	after := plan.State{Lineage: before.Lineage, Serial: before.Serial + 1, Tests: map[string]map[string]string{}}
	return len(before.Tests), s.Apply(ctx, store.Application{Suite: suite, PlanHash: uuid.NewString(), Before: before, After: after})
}

// presence is whether a process applied to the store when it was looked at.
type presence struct {
	looked time.Time // zero where that cannot be known
	held   bool
	by     hold.Holder
}

func (l *localSite) presence() presence {
	looked := l.app.env.now()
	by, held, err := hold.HolderOf(l.lockFile())
	if err != nil {
		return presence{}
	}
	return presence{looked, held, by}
}

// state is where a run stands that was read after p: one that has not ended goes on with the process that holds the store since
// before it began, or was killed. It is open for one of before the store had a lock.
func (p presence) state(r store.Run) string {
	began := r.Report.Started
	switch {
	case r.Finished():
		return api.Ended
	case p.looked.IsZero() || began.After(p.looked):
		return ""
	case p.held && !began.Before(p.by.Since):
		return api.Running
	}
	return view.Killed
}

func (l *localSite) Runs(ctx context.Context, suite string, limit int) ([]api.Run, error) {
	there := l.presence()
	return fromHistory(ctx, l, func(s *store.Store) ([]api.Run, error) {
		found, err := s.Runs(ctx, suite, limit)
		out := make([]api.Run, len(found))
		for i, one := range found {
			out[i] = api.Run{Run: one, State: there.state(one)}
		}
		return out, err
	})
}

func (l *localSite) Run(ctx context.Context, id string) (api.Run, error) {
	there := l.presence()
	return fromHistory(ctx, l, func(s *store.Store) (api.Run, error) {
		found, err := l.find(ctx, s, id)
		if err != nil {
			return api.Run{}, err
		}
		records, err := s.Records(ctx, found.Report.Run)
		found.Report = found.With(records)
		return api.Run{Run: found, State: there.state(found)}, err
	})
}

func (l *localSite) History(ctx context.Context, past store.Past) ([]netp.Record, error) {
	return fromHistory(ctx, l, func(s *store.Store) ([]netp.Record, error) { return s.History(ctx, past) })
}

func (l *localSite) Paths(ctx context.Context) ([]store.KnownPath, error) {
	return fromHistory(ctx, l, func(s *store.Store) ([]store.KnownPath, error) { return s.Paths(ctx) })
}

// fromHistory opens the store to read something of it.
func fromHistory[T any](ctx context.Context, l *localSite, read func(*store.Store) (T, error)) (T, error) {
	s, err := l.history(ctx)
	if err != nil {
		var none T
		return none, err
	}
	out, err := read(s)
	return out, errors.Join(err, s.Close())
}

// find gives the run with the id, or the latest one for "".
func (l *localSite) find(ctx context.Context, s *store.Store, id string) (store.Run, error) {
	if id != "" {
		return s.FindRun(ctx, id)
	}
	runs, err := s.Runs(ctx, "", 1)
	if err == nil && len(runs) == 0 {
		err = fmt.Errorf("no runs are kept yet\nRun the suite first: netp apply %s", l.dir)
	}
	if err != nil {
		return store.Run{}, err
	}
	return runs[0], nil
}
