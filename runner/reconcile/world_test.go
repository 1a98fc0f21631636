package reconcile

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/store"
)

// catalogue is one kind without parameters.
func catalogue() netp.Catalogue {
	return netp.Catalogue{{
		Kind: "probe", Agents: true,
		Params: []netp.ParamSpec{
			{Name: "duration", Type: netp.DurationParam, Default: 1.0, Min: 0.01, Max: 3600},
			{Name: "direction", Type: netp.StringParam, Default: "forward", OneOf: []string{"forward"}},
		},
		Metrics: func(netp.Params) []netp.MetricSpec {
			return []netp.MetricSpec{{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket}}
		},
		Demand: func(netp.Params) netp.Demand { return netp.Demand{Duration: time.Second} },
	}}
}

// executor notes what is executed and passes all of it, as the runner would record it.
type executor struct {
	store *store.Store

	mu       sync.Mutex // guards what follows
	executed []runner.Work
	hold     bool  // runs end only when they are cancelled
	fail     error // runs do not begin
}

func (x *executor) Execute(ctx context.Context, w runner.Work, tell func(runner.Event)) (netp.Report, error) {
	x.mu.Lock()
	hold, fail := x.hold, x.fail
	if fail == nil {
		x.executed = append(x.executed, w)
	}
	x.mu.Unlock()
	r := netp.Report{Run: w.Run, Suite: w.Plan.Suite.Name, Started: time.Unix(1, 0).UTC(), Status: netp.Pass}
	if fail != nil {
		return r, fail
	}
	run := store.Run{Report: r, Trigger: w.Trigger, Sessions: len(w.Plan.Sessions)}
	if err := x.store.BeginRun(context.WithoutCancel(ctx), run, w.Plan); err != nil {
		return r, err
	}
	tell(runner.RunStarted{Run: r.Run, Suite: r.Suite})
	if hold {
		<-ctx.Done()
	}
	var records []netp.Record
	for _, s := range w.Plan.Sessions {
		one := netp.Record{Run: r.Run, Suite: r.Suite, Test: s.Test, Session: netp.Session{Addr: s.Addr, Path: s.Path}, Status: netp.Pass}
		if hold {
			one.Status, one.Result.Failure = netp.Errored, &netp.Failure{Kind: netp.FailureCancelled}
		}
		records = append(records, one)
	}
	if err := x.store.SaveRecords(context.WithoutCancel(ctx), records); err != nil {
		return r, err
	}
	run.Report.Ended, run.Report.Cancelled = time.Unix(2, 0).UTC(), hold
	err := x.store.SaveRun(context.WithoutCancel(ctx), run)
	tell(runner.RunDone{Report: run.Report})
	return run.Report, err
}

func (x *executor) Miss(context.Context, runner.Work, netp.Failure) (netp.Report, error) {
	panic("nothing is missed here")
}

func (x *executor) Recover(context.Context, store.Unfinished, func(runner.Event)) (netp.Report, error) {
	panic("nothing is recovered here")
}

// ran are the sessions executed so far, by suite: "s test.a["x->y"]".
func (x *executor) ran() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for _, w := range x.executed {
		for _, s := range w.Plan.Sessions {
			out = append(out, w.Plan.Suite.Name+" "+s.Addr)
		}
	}
	slices.Sort(out)
	return out
}

// calendar notes what is installed.
type calendar struct {
	mu        sync.Mutex // guards installed
	installed map[string]*plan.Plan
}

func (c *calendar) Install(p store.StandingPlan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.installed[p.Suite] = p.Plan
}

func (c *calendar) Remove(suite string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.installed, suite)
}

// sessions are those installed of a suite.
func (c *calendar) sessions(suite string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	if p := c.installed[suite]; p != nil {
		for _, s := range p.Sessions {
			out = append(out, s.Addr)
		}
	}
	slices.Sort(out)
	return out
}

// people are the agents that are there.
type people struct {
	mu   sync.Mutex // guards list
	list []fleet.Member
}

func (p *people) Members() []fleet.Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

func (p *people) are(members ...fleet.Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = members
}

func edge(name netp.AgentID) fleet.Member {
	return fleet.Member{Agent: netp.Agent{Name: name, Tags: map[string]string{"role": "edge"}, Kinds: []netp.Kind{"probe"}, Address: "192.0.2.1:8620"}}
}

// world is a reconciler with a real store and applier and everything else made up.
type world struct {
	*Reconciler
	t        *testing.T
	store    *store.Store
	executor *executor
	calendar *calendar
	people   *people
	runs     *runs.Runs
	applier  *apply.Applier
	revoked  map[netp.AgentID]bool
}

func newWorld(t *testing.T, sources ...Source) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, store: s, revoked: map[netp.AgentID]bool{}, people: &people{}}
	w.restart(sources...)
	return w
}

// restart makes everything anew but the store and the agents, as after a kill.
func (w *world) restart(sources ...Source) {
	w.t.Helper()
	w.executor, w.calendar = &executor{store: w.store}, &calendar{installed: map[string]*plan.Plan{}}
	w.runs = runs.New(runs.Config{Executor: w.executor, SpoolDir: w.t.TempDir()})
	w.t.Cleanup(func() { w.runs.Close() })
	var err error
	if w.applier, err = apply.New(apply.Config{Runs: w.runs, Store: w.store, Scheduler: w.calendar}); err != nil {
		w.t.Fatal(err)
	}
	w.Reconciler, err = New(Config{
		Applier: w.applier, Store: w.store, Fleet: w.people, Catalogue: catalogue(), Version: "test",
		Belongs: func(id netp.AgentID) bool { return !w.revoked[id] },
	}, sources)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.Prepare(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.agents.observe(w.people.Members())
}

// wan is a source that is followed and never looked at.
func (w *world) wan() Source {
	w.t.Helper()
	d, err := gitops.OpenDirectory(gitops.DirectoryOptions{Watched: w.t.TempDir(), Dir: w.t.TempDir()})
	if err != nil {
		w.t.Fatal(err)
	}
	return Source{Name: "wan", Source: d}
}

// there says which agents are there, and has it noticed.
func (w *world) there(members ...fleet.Member) {
	w.people.are(members...)
	w.agents.observe(w.people.Members())
}

// suite loads a suite from its text.
func (w *world) suite(name, text string) gitops.Suite {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(`suite "`+name+"\" {}\n"+text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	s, ds := lang.Load(dir, lang.Options{Catalogue: catalogue()})
	if ds.HasErrors() {
		w.t.Fatal(ds.Err())
	}
	return gitops.Suite{Dir: name, Suite: s}
}

// mesh is a suite over all agents at the edge: schedule is of its test.
func (w *world) mesh(name, schedule string) gitops.Suite {
	w.t.Helper()
	return w.suite(name, strings.Replace(meshText, "SCHEDULE", schedule, 1))
}

const meshText = `
agents "edge" { where = tags.role == "edge" }
path "mesh" { mesh = [agents.edge] }
profile "probe" "p" {}
test "a" {
  path    = path.mesh
  profile = profile.probe.p
  SCHEDULE
  assert "loss" { condition = loss.ratio <= 0.5 }
}
`

// TestMain lets the test binary be the child that compiles suites.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == gitops.CompileArgument {
		os.Exit(gitops.CompileMain(catalogue(), os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

func compileOptions() gitops.CompileOptions {
	return gitops.CompileOptions{Lang: lang.Options{Catalogue: catalogue()}}
}

// start runs the reconciler until stop is called.
func (w *world) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// patience bounds every wait; nothing is measured by it.
const patience = 30 * time.Second

func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("never happened: %s", what)
		}
	}
}

// until waits for a status of the only source.
func (w *world) until(what string, holds func(gitops.Status) bool) {
	w.t.Helper()
	w.eventually(what, func() bool { return holds(w.Status()[0]) })
}

// takes has a revision taken and fails the test when it is not.
func (w *world) takes(revision gitops.Revision, suites ...gitops.Suite) {
	w.t.Helper()
	if _, err := w.take(w.t.Context(), "wan", revision, suites); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustRan(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.executor.ran(); !slices.Equal(got, want) {
		w.t.Errorf("ran %q, want %q", got, want)
	}
}

func (w *world) state(suite string) plan.State {
	w.t.Helper()
	s, err := w.store.State(w.t.Context(), suite)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}
