package apply

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/planfile"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/store"
)

// executor holds every run until it is let go or cancelled.
type executor struct {
	store *store.Store
	let   chan struct{}
	full  atomic.Bool // the store cannot be written
}

func (x *executor) Execute(ctx context.Context, w runner.Work, tell func(runner.Event)) (netp.Report, error) {
	run := store.Run{Report: netp.Report{Run: w.Run, Suite: w.Plan.Suite.Name, Started: time.Unix(1, 0).UTC()}, Trigger: w.Trigger}
	if run.Report.Run == "" {
		run.Report.Run = fmt.Sprintf("%08x-0000-7000-8000-%012x", w.Plan.Suite.Name[0], w.Plan.Serial)
	}
	if err := x.store.BeginRun(context.WithoutCancel(ctx), run, w.Plan); err != nil {
		return run.Report, err
	}
	return x.finish(ctx, run, tell)
}

func (x *executor) finish(ctx context.Context, run store.Run, tell func(runner.Event)) (netp.Report, error) {
	tell(runner.RunStarted{Run: run.Report.Run, Suite: run.Report.Suite})
	select {
	case <-x.let:
	case <-ctx.Done():
		run.Report.Cancelled = true
	}
	if x.full.Load() {
		return run.Report, errors.New("the disk is full")
	}
	run.Report.Ended = time.Unix(2, 0).UTC()
	err := x.store.SaveRun(context.WithoutCancel(ctx), run)
	tell(runner.RunDone{Report: run.Report})
	return run.Report, err
}

func (x *executor) Miss(context.Context, runner.Work, netp.Failure) (netp.Report, error) {
	panic("nothing is missed here")
}

func (x *executor) Recover(ctx context.Context, u store.Unfinished, tell func(runner.Event)) (netp.Report, error) {
	return x.finish(ctx, u.Run, tell)
}

// notes are what the scheduler and the sinks were told.
type notes struct {
	mu        sync.Mutex // guards what follows
	installed map[string]*plan.Plan
	sinks     map[string][]Sink
	fault     error
}

func (n *notes) Install(p store.StandingPlan) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.installed[p.Suite] = p.Plan
}

func (n *notes) Remove(suite string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.installed, suite)
}

func (n *notes) Check(context.Context, string, []Sink) error { return n.fault }

func (n *notes) Set(_ context.Context, suite string, sinks []Sink) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sinks[suite] = sinks
	return nil
}

type world struct {
	*Applier
	told     *notes
	t        *testing.T
	store    *store.Store
	runs     *runs.Runs
	executor *executor
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, store: s}
	w.restart()
	return w
}

// restart makes everything anew but the store.
func (w *world) restart() {
	w.t.Helper()
	w.executor = &executor{store: w.store, let: make(chan struct{})}
	w.runs = runs.New(runs.Config{Executor: w.executor, SpoolDir: w.t.TempDir()})
	w.t.Cleanup(func() { w.runs.Close() })
	w.told = &notes{installed: map[string]*plan.Plan{}, sinks: map[string][]Sink{}}
	var err error
	if w.Applier, err = New(Config{Runs: w.runs, Store: w.store, Scheduler: w.told, Sinks: w.told}); err != nil {
		w.t.Fatal(err)
	}
}

// plan is a plan of one test, which is a standing one with a period.
func (w *world) plan(suite string, every time.Duration, size float64) *plan.Plan {
	w.t.Helper()
	state, err := w.store.State(w.t.Context(), suite)
	if err != nil {
		w.t.Fatal(err)
	}
	attributes := map[string]string{"size": time.Duration(size).String()}
	p := &plan.Plan{
		FormatVersion: netp.FormatVersion, Suite: plan.SuiteInfo{Name: suite}, Lineage: state.Lineage, Serial: state.Serial,
		Tests:    []plan.Test{{Addr: "test.a", Kind: "probe", Params: netp.Params{"size": size}, Timeout: time.Minute, Attributes: attributes}},
		Sessions: []plan.Session{{Addr: `test.a["x->y"]`, Test: "test.a", Path: netp.Path{Addr: `path.p["x->y"]`, Source: "x", Dest: "y"}}},
		Changes:  []plan.Change{{Addr: "test.a", Action: plan.Create}},
		Sinks:    []plan.Sink{{Addr: "sink.influxdb.noc", Type: "influxdb", Arguments: `{}`}},
	}
	if every > 0 {
		p.Tests[0].Standing = &plan.Standing{Every: every}
		attributes["every"] = every.String()
	}
	if applied, ok := state.Tests["test.a"]; ok {
		p.Changes[0].Action = plan.Update
		if applied["size"] == attributes["size"] && applied["every"] == attributes["every"] {
			p.Changes[0].Action = plan.Unchanged
		}
	}
	p.Hash = p.Digest()
	return p
}

func (w *world) apply(p *plan.Plan) (Started, error) {
	return w.Apply(w.t.Context(), Request{Plan: p, Holder: "ann@laptop", Secrets: map[string]map[string]string{"sink.influxdb.noc": {"token": "sesame"}}})
}

func (w *world) end(run string) {
	w.t.Helper()
	done, ok := w.runs.Find(run)
	if !ok {
		w.t.Fatalf("the run %s is not in progress", run)
	}
	w.executor.let <- struct{}{}
	<-done
}

func TestApply(t *testing.T) {
	w := newWorld(t)
	p := w.plan("s", time.Minute, 1)
	started, err := w.apply(p)
	if err != nil {
		t.Fatal(err)
	}
	if lock := w.Lock("s"); lock == nil || lock.Run != started.Run || lock.Holder != "ann@laptop" {
		t.Errorf("the lock is %+v", lock)
	}
	if w.told.installed["s"] == nil || len(w.told.sinks["s"]) != 1 || w.told.sinks["s"][0].Secrets["token"] != "sesame" {
		t.Errorf("installed %v, sinks %+v", w.told.installed["s"], w.told.sinks["s"])
	}
	var locked *Locked
	if _, err := w.apply(w.plan("s", time.Minute, 2)); !errors.As(err, &locked) || locked.Lock.Run != started.Run {
		t.Errorf("another plan meanwhile: %v", err)
	}
	if again, err := w.apply(w.plan("s", time.Minute, 1)); err != nil || !again.Attached || again.Run != started.Run {
		t.Errorf("the same work meanwhile: %+v, %v", again, err)
	}
	w.end(started.Run)
	if w.Lock("s") != nil || len(w.Locks()) != 0 {
		t.Error("the suite is locked after the end")
	}
	if _, err := w.apply(p); !errors.Is(err, planfile.ErrApplied) || w.Lock("s") != nil {
		t.Errorf("the same plan again: %v", err)
	}
	if n, err := w.Destroy(t.Context(), "s", "ann"); n != 1 || err != nil {
		t.Errorf("destroyed %d, %v", n, err)
	}
	left, err := w.store.StandingPlans(t.Context())
	if len(left) > 0 || err != nil || w.told.installed["s"] != nil || len(w.told.sinks["s"]) > 0 {
		t.Errorf("left after destroy: %v, %v, %v, %v", left, err, w.told.installed["s"], w.told.sinks["s"])
	}
	if n, err := w.Destroy(t.Context(), "s", "ann"); n != 0 || err != nil {
		t.Errorf("destroyed again: %d, %v", n, err)
	}
}

// A fault of a sink is told before anything is changed.
func TestApplyChecksSinksFirst(t *testing.T) {
	w := newWorld(t)
	w.told.fault = errors.New("sink.influxdb.noc: no url")
	var fault *SinkFault
	if _, err := w.apply(w.plan("s", 0, 1)); !errors.As(err, &fault) || !strings.Contains(err.Error(), "no url") {
		t.Errorf("a bad sink: %v", err)
	}
	p := w.plan("s", 0, 1)
	if _, err := w.Install(t.Context(), Installation{Plan: p, Source: "wan", Sinks: []Sink{{Addr: "sink.influxdb.noc"}}}); !errors.As(err, &fault) {
		t.Errorf("a bad sink of a source: %v", err)
	}
	if state, err := w.store.State(t.Context(), "s"); state.Serial != 0 || err != nil || w.Lock("s") != nil {
		t.Errorf("after that the state is %+v, %v", state, err)
	}
}

// A plan with targets leaves the other standing tests installed.
func TestApplyOfAPart(t *testing.T) {
	w := newWorld(t)
	started, err := w.apply(w.plan("s", time.Minute, 1))
	if err != nil {
		t.Fatal(err)
	}
	w.end(started.Run)
	part := w.plan("s", 0, 1)
	part.Targets, part.Tests[0].Addr, part.Sessions[0].Test, part.Sessions[0].Addr = []string{"test.b"}, "test.b", "test.b", `test.b["x->y"]`
	part.Hash = part.Digest()
	if started, err = w.apply(part); err != nil {
		t.Fatal(err)
	}
	w.end(started.Run)
	if p := w.told.installed["s"]; p == nil || len(p.Tests) != 1 || p.Tests[0].Addr != "test.a" {
		t.Errorf("installed after a plan for test.b: %+v", p)
	}
}

// A controller that starts goes on with the runs it finds; the command attaches to
// its own again, and the suite is locked until then.
func TestResume(t *testing.T) {
	w := newWorld(t)
	p := w.plan("s", 0, 1)
	started, err := w.apply(p)
	if err != nil {
		t.Fatal(err)
	}
	left := w.runs // of the killed controller: it never gets to its end
	w.restart()
	defer left.Close()
	if err := w.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lock := w.Lock("s"); lock == nil || lock.Run != started.Run || lock.Holder != restarted {
		t.Errorf("after a restart the lock is %+v", lock)
	}
	if _, ok := w.runs.Feed(started.Run); !ok {
		t.Error("nobody can follow the run")
	}
	if again, err := w.apply(w.plan("s", 0, 1)); err != nil || !again.Attached || again.Run != started.Run {
		t.Errorf("the same command: %+v, %v", again, err)
	}
	w.end(started.Run)
	if w.Lock("s") != nil {
		t.Error("the suite is locked after the end")
	}
	if found, err := w.store.FindRun(t.Context(), started.Run); err != nil || !found.Finished() {
		t.Errorf("the run is %+v, %v", found, err)
	}
}

// Two runs of the same work are left when the first could not go on, say because the
// disk was full, and somebody applied the suite again: the controller starts all the same.
func TestResumeTwoRunsOfTheSameWork(t *testing.T) {
	w := newWorld(t)
	first := w.plan("s", 0, 1)
	if _, err := w.apply(first); err != nil {
		t.Fatal(err)
	}
	again := w.plan("s", 0, 1)
	run := store.Run{Report: netp.Report{Run: "00000073-0000-7000-8000-00000000beef", Suite: "s", Started: time.Unix(3, 0).UTC()}, Trigger: store.ByApply}
	if err := w.store.BeginRun(t.Context(), run, again); err != nil {
		t.Fatal(err)
	}
	left := w.runs // of the killed controller: it never gets to its end
	w.restart()
	defer left.Close()
	if err := w.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.executor.let <- struct{}{}
	}
	w.runs.Close()
	if open, err := w.store.Unfinished(t.Context()); len(open) > 0 || err != nil {
		t.Errorf("left unfinished: %+v, %v", open, err)
	}
}

// A run that could not go on because the store could not be written goes on when it
// can, without a restart; so does the turn of a standing test.
func TestRetake(t *testing.T) {
	w := newWorld(t)
	w.cfg.RetakeEvery = time.Millisecond
	w.executor.full.Store(true)
	started, err := w.apply(w.plan("s", 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	w.end(started.Run)
	turn := runner.Work{Plan: w.plan("t", 0, 1), Trigger: store.BySchedule}
	go func() { w.executor.let <- struct{}{} }()
	if _, err := w.runs.Execute(t.Context(), turn, nil); err == nil {
		t.Error("a turn on a full disk has no error")
	}
	w.executor.full.Store(false)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Retake(ctx) }()
	w.executor.let <- struct{}{}
	w.executor.let <- struct{}{}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	w.runs.Close()
	left, err := w.store.Unfinished(t.Context())
	if len(left) > 0 || err != nil || len(w.runs.TakeStuck()) > 0 || w.Lock("s") != nil {
		t.Errorf("left unfinished: %+v, %v", left, err)
	}
	if found, err := w.store.FindRun(t.Context(), started.Run); err != nil || found.Report.Cancelled {
		t.Errorf("the run is %+v, %v", found, err)
	}
}

// lossy is a store whose next commit succeeds and is answered with an error.
type lossy struct {
	*store.Store
	next bool
}

func (l *lossy) Apply(ctx context.Context, a store.Application) error {
	err := l.Store.Apply(ctx, a)
	if l.next && err == nil {
		l.next, err = false, errors.New("no answer")
	}
	return err
}

// The standing tests of a commit run also when the store has it and says that it has not.
func TestInstallAfterALostAnswer(t *testing.T) {
	w := newWorld(t)
	l := &lossy{Store: w.store, next: true}
	w.cfg.Store = l
	if _, err := w.Install(t.Context(), Installation{Plan: w.plan("s", time.Minute, 1), Source: "wan"}); err == nil {
		t.Fatal("no error")
	}
	if changed, err := w.Install(t.Context(), Installation{Plan: w.plan("s", time.Minute, 1), Source: "wan"}); err != nil || !changed || w.told.installed["s"] == nil {
		t.Errorf("the next look: changed %v, %v, installed %v", changed, err, w.told.installed["s"])
	}
	if changed, err := w.Install(t.Context(), Installation{Plan: w.plan("s", time.Minute, 1), Source: "wan"}); err != nil || changed {
		t.Errorf("the look after that: changed %v, %v", changed, err)
	}
}

func TestInstallIsIdempotent(t *testing.T) {
	w := newWorld(t)
	install := func(every time.Duration) bool {
		t.Helper()
		changed, err := w.Install(t.Context(), Installation{Plan: w.plan("s", every, 1), Source: "wan"})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if !install(time.Minute) || install(time.Minute) || !install(time.Hour) || install(time.Hour) || !install(0) || w.told.installed["s"] != nil {
		t.Error("what is installed is not what it should be")
	}
	if err := w.Remove(t.Context(), "s", "other"); err != nil {
		t.Fatal(err)
	}
	if owner, err := w.Owner(t.Context(), "s"); owner.Source != "wan" || err != nil {
		t.Errorf("removed by another source: %+v, %v", owner, err)
	}
	if err := w.Remove(t.Context(), "s", "wan"); err != nil {
		t.Fatal(err)
	}
	if owners, err := w.Owners(t.Context()); len(owners) > 0 || err != nil {
		t.Errorf("the owners are %v, %v", owners, err)
	}
}
