package reconcile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
)

const (
	xy = `test.a["x->y"]`
	yx = `test.a["y->x"]`
)

// One-shot sessions run when they are new or their test has changed, whatever else
// comes; standing ones are installed and do not run.
func TestOneShotsRunOnce(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"), edge("y"))
	w.takes("main@sha1:1", w.mesh("once", ""), w.mesh("beat", `every = "5m"`))
	w.mustRan("once "+xy, "once "+yx)
	if got := w.calendar.sessions("beat"); !slices.Equal(got, []string{xy, yx}) {
		t.Errorf("installed %v", got)
	}
	w.takes("main@sha1:1", w.mesh("once", ""), w.mesh("beat", `every = "5m"`)) // on demand
	w.takes("main@sha1:2", w.mesh("once", ""), w.mesh("beat", `every = "5m"`)) // another commit
	w.mustRan("once "+xy, "once "+yx)
	if got := w.calendar.installed["beat"].Suite.Revision; got != "main@sha1:2" {
		t.Errorf("the standing tests are of %s, want main@sha1:2", got)
	}

	w.restart(w.wan())
	w.takes("main@sha1:2", w.mesh("once", ""), w.mesh("beat", `every = "5m"`))
	w.mustRan()
	changed := w.mesh("once", `tags = { owner = "ops" }`)
	w.takes("main@sha1:3", changed, w.mesh("beat", `every = "5m"`))
	w.mustRan("once "+xy, "once "+yx)
	w.takes("main@sha1:4", w.mesh("beat", `every = "5m"`)) // the suite goes and comes back
	w.takes("main@sha1:5", changed, w.mesh("beat", `every = "5m"`))
	w.mustRan("once "+xy, "once "+yx, "once "+xy, "once "+yx)
}

// A run that never began, because the controller was killed between its note and
// its beginning, or because it could not begin, is made up for.
func TestOneShotsSurviveKills(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"), edge("y"))
	suite := w.mesh("once", "")
	w.executor.fail = errors.New("the disk is full")
	if _, err := w.take(t.Context(), "wan", "main@sha1:1", []gitops.Suite{suite}); err == nil {
		t.Error("a run that did not begin is no error")
	}
	w.executor.fail = nil
	w.takes("main@sha1:1", suite)
	w.mustRan("once "+xy, "once "+yx)

	w.restart(w.wan())
	lost := once{Starting: "01a214b1-a2aa-7ebe-b70f-7b7176523999", Ran: map[string]ran{
		xy: {What: "as it was", Run: "01a214b1-a2aa-7ebe-b70f-7b7176523999"}, yx: {What: "as it was", Run: "another"}}}
	if err := w.settle(t.Context(), &lost); err != nil {
		t.Fatal(err)
	}
	if _, left := lost.Ran[xy]; left || lost.Starting != "" || len(lost.Ran) != 1 {
		t.Errorf("after a run that never began: %+v", lost)
	}
}

// What the end of the controller cancelled runs again; what a user cancelled does not.
func TestOneShotsAfterAStop(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"), edge("y"))
	w.executor.hold = true
	w.takes("main@sha1:1", w.mesh("stopped", ""), w.mesh("cancelled", ""))
	for _, work := range w.executor.executed {
		if work.Plan.Suite.Name == "cancelled" {
			done, _ := w.runs.Find(work.Run)
			w.runs.Cancel(work.Run)
			<-done
		}
	}
	if err := w.Again(t.Context(), w.runs.Close()); err != nil {
		t.Fatal(err)
	}
	w.restart(w.wan())
	w.takes("main@sha1:1", w.mesh("stopped", ""), w.mesh("cancelled", ""))
	w.mustRan("stopped "+xy, "stopped "+yx)
}

// Agents that come are planned for; one that is away keeps its place for the grace,
// and one that comes back runs nothing again.
func TestAgentsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.store.Close()
		defer w.runs.Close()
		suites := []gitops.Suite{w.mesh("once", ""), w.mesh("beat", `every = "5m"`)}
		w.there(edge("x"), edge("y"))
		w.takes("main@sha1:1", suites...)
		w.there(edge("x"), edge("y"), edge("z"))
		w.takes("main@sha1:1", suites...)
		if got := w.executor.ran(); len(got) != 6 {
			t.Errorf("ran %q, want each of 6 sessions once", got)
		}
		w.there(edge("x"), edge("y"))
		time.Sleep(w.cfg.Grace - time.Second)
		w.takes("main@sha1:1", suites...)
		if got := w.calendar.sessions("beat"); len(got) != 6 {
			t.Errorf("within the grace %d sessions are installed, want 6", len(got))
		}
		time.Sleep(time.Second)
		w.takes("main@sha1:1", suites...)
		if got := w.calendar.sessions("beat"); !slices.Equal(got, []string{xy, yx}) {
			t.Errorf("after the grace %q are installed", got)
		}
		draining := edge("y")
		draining.Draining = true
		w.there(edge("x"), draining, edge("z"))
		w.takes("main@sha1:1", suites...)
		if got := w.calendar.sessions("beat"); len(got) != 6 {
			t.Errorf("with z back and y draining %d sessions are installed, want 6", len(got))
		}
		w.revoked["y"] = true
		w.there(edge("x"), edge("z"))
		w.takes("main@sha1:1", suites...)
		if got := w.calendar.sessions("beat"); !slices.Equal(got, []string{`test.a["x->z"]`, `test.a["z->x"]`}) {
			t.Errorf("without the revoked agent %q are installed", got)
		}
		if got := w.executor.ran(); len(got) != 6 {
			t.Errorf("in the end ran %q, want each of 6 sessions once", got)
		}
	})
}

// A restarted controller knows its agents before they have come back.
func TestAgentsOutliveARestart(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"), edge("y"))
	if err := w.agents.save(t.Context(), w.store); err != nil {
		t.Fatal(err)
	}
	beat := w.mesh("beat", `every = "5m"`)
	w.takes("main@sha1:1", beat)
	w.people.are()
	w.restart(w.wan())
	w.takes("main@sha1:1", beat)
	if serial := w.state("beat").Serial; serial != 1 {
		t.Errorf("the suite was applied %d times, want 1: nothing has changed", serial)
	}
}

const declared = `
agent "x" {}
agent "y" {}
path "pair" {
  from = agent.x
  to   = agent.y
}
profile "probe" "p" {}
test "a" {
  path    = path.pair
  profile = profile.probe.p
  every   = "5m"
  assert "loss" { condition = loss.ratio <= 0.5 }
}
`

// A declared agent that never joined is a fault; one that is away stays planned for
// as long as it belongs to the controller.
func TestDeclaredAgents(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"))
	suites := []gitops.Suite{w.mesh("other", ""), w.suite("pair", declared)}
	suites[0].Suite = w.suite("other", strings.ReplaceAll(declared, `every   = "5m"`, "")).Suite
	var f *gitops.Fault
	_, err := w.take(t.Context(), "wan", "main@sha1:1", suites)
	if !errors.As(err, &f) || f.Reason != gitops.ReasonPlan || !f.Diagnostics.HasErrors() {
		t.Fatalf("without y: %v, want a fault of the plan", err)
	}
	if where := f.Diagnostics[0].Range; where == nil || where.Filename != "other/suite.hcl" {
		t.Errorf("the fault is at %+v, want a place from the source's root", where)
	}
	if len(w.state("other").Tests)+len(w.state("pair").Tests)+len(w.executor.ran()) > 0 {
		t.Error("a part of a revision with a fault was applied")
	}
	w.there(edge("x"), edge("y"))
	w.takes("main@sha1:1", suites...)
	w.there()
	w.cfg.Now = func() time.Time { return time.Now().Add(24 * time.Hour) }
	w.agents.cfg.Now = w.cfg.Now
	w.takes("main@sha1:2", suites...)
	if got := w.calendar.sessions("pair"); !slices.Equal(got, []string{xy}) {
		t.Errorf("with both away for a day %q are installed", got)
	}
}

// A suite is of one source, or of somebody who applied it by hand.
func TestOwners(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"), edge("y"))
	w.takes("main@sha1:1", w.mesh("ours", ""))
	var owned *apply.Owned
	if _, err := w.take(t.Context(), "lan", "main@sha1:9", []gitops.Suite{w.mesh("ours", "")}); !errors.As(err, &owned) || owned.Owner.Source != "wan" {
		t.Errorf("a second source: %v", err)
	}
	if _, err := w.applier.Destroy(t.Context(), "ours", "ann"); !errors.As(err, &owned) {
		t.Errorf("destroy by hand: %v", err)
	}
	p, _, err := w.plan(t.Context(), "", w.mesh("ours", `every = "1m"`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.applier.Apply(t.Context(), apply.Request{Plan: p, Holder: "ann"}); !errors.As(err, &owned) || !strings.Contains(err.Error(), "netp reconcile wan") {
		t.Errorf("another plan by hand: %v", err)
	}
	if p, _, err = w.plan(t.Context(), "", w.mesh("ours", "")); err != nil {
		t.Fatal(err)
	}
	started, err := w.applier.Apply(t.Context(), apply.Request{Plan: p, Holder: "ann"})
	if err != nil {
		t.Fatalf("the same plan by hand: %v", err)
	}
	if done, running := w.runs.Find(started.Run); running {
		<-done
	}
	w.mustRan("ours "+xy, "ours "+yx, "ours "+xy, "ours "+yx)

	w.byHand("hers")
	if _, err := w.take(t.Context(), "wan", "main@sha1:2", []gitops.Suite{w.mesh("hers", "")}); !errors.As(err, &owned) || !strings.Contains(err.Error(), "netp destroy hers") {
		t.Errorf("a suite applied by hand: %v", err)
	}
	if _, err := w.applier.Destroy(t.Context(), "hers", "ann"); err != nil {
		t.Fatal(err)
	}
	w.takes("main@sha1:2", w.mesh("hers", ""))
}

// byHand applies a suite as netp apply does.
func (w *world) byHand(name string) {
	w.t.Helper()
	p, _, err := w.plan(w.t.Context(), "", w.mesh(name, `every = "5m"`))
	if err != nil {
		w.t.Fatal(err)
	}
	started, err := w.applier.Apply(w.t.Context(), apply.Request{Plan: p, Holder: "ann@laptop"})
	if err != nil {
		w.t.Fatal(err)
	}
	if done, running := w.runs.Find(started.Run); running {
		<-done
	}
}

// A suite that a revision no longer has ends: its standing tests, its runs, its state.
func TestSuiteGoes(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"), edge("y"))
	w.executor.hold = true
	w.takes("main@sha1:1", w.mesh("stays", `every = "5m"`), w.mesh("goes", `every = "5m"`), w.mesh("once", ""))
	run := w.executor.executed[0].Run
	done, _ := w.runs.Find(run)
	w.takes("main@sha1:2", w.mesh("stays", `every = "5m"`))
	<-done // the one-shot run was cancelled
	if len(w.state("goes").Tests) > 0 || len(w.calendar.sessions("goes")) > 0 || len(w.calendar.sessions("stays")) != 2 {
		t.Errorf("left of the suite: %v, %v", w.state("goes"), w.calendar.sessions("goes"))
	}
	left, err := w.store.StandingPlans(t.Context())
	if err != nil || len(left) != 1 || left[0].Suite != "stays" {
		t.Errorf("installed in the store: %d, %v", len(left), err)
	}
	if owned, err := w.applier.Owned(t.Context(), "wan"); err != nil || !slices.Equal(owned, []string{"stays"}) {
		t.Errorf("the source owns %v, %v", owned, err)
	}
	w.restart() // and the source goes, too
	if len(w.state("stays").Tests) > 0 {
		t.Error("a suite of a source that is followed no more is still applied")
	}
}

// The whole loop: a directory, agents that come, suspend and resume over a restart.
func TestRunFollows(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t)
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := func(schedule string) string {
		return "suite \"mesh\" {}\n" + strings.Replace(meshText, "SCHEDULE", schedule, 1)
	}
	write(text(""))
	source := func() Source {
		d, err := gitops.OpenDirectory(gitops.DirectoryOptions{Watched: dir, Dir: t.TempDir(), Settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return Source{Name: "here", Source: d, Interval: 20 * time.Millisecond, Compile: compileOptions()}
	}
	w.restart(source())
	w.cfg.Quiet = time.Millisecond
	stop := w.start()
	w.until("a fault of the plan", func(s gitops.Status) bool { return s.Condition(gitops.Ready).Reason == gitops.ReasonPlan })
	w.people.are(edge("x"), edge("y"))
	w.until("applied", func(s gitops.Status) bool { return s.Condition(gitops.Ready).Status == gitops.True })
	w.mustRan("mesh "+xy, "mesh "+yx)
	w.people.are(edge("x"), edge("y"), edge("z"))
	w.eventually("six sessions", func() bool { return len(w.executor.ran()) == 6 })
	if err := w.Suspend(t.Context(), "here"); err != nil {
		t.Fatal(err)
	}
	before := w.Status()[0].LastApplied
	stop()
	write(text(`every = "1m"`))
	w.restart(source())
	stop = w.start()
	if s := w.Status()[0]; !s.Suspended || s.Good != before {
		t.Errorf("after a restart the source is %+v", s)
	}
	if err := w.Resume(t.Context(), "here"); err != nil {
		t.Fatal(err)
	}
	w.until("the next revision", func(s gitops.Status) bool { return s.LastApplied != "" && s.LastApplied != before })
	if got := w.calendar.sessions("mesh"); len(got) != 6 {
		t.Errorf("%d sessions are installed, want 6", len(got))
	}
	stop()
	for _, do := range []func(context.Context, string) error{w.Suspend, w.Resume, w.Reconcile} {
		if err := do(t.Context(), "there"); !errors.Is(err, ErrNoSource) {
			t.Errorf("an unknown source: %v", err)
		}
	}
}

func TestNewRefusesTwoOfAName(t *testing.T) {
	w := newWorld(t)
	if _, err := New(w.cfg, []Source{{Name: "a"}, {Name: "a"}}); err == nil {
		t.Error("two sources have one name")
	}
	if _, err := New(Config{}, nil); err == nil {
		t.Error("a reconciler without anything")
	}
}

// Clocks change nothing, tags do.
func TestEssence(t *testing.T) {
	w := newWorld(t)
	w.there(edge("x"))
	first := w.agents.essence()
	drifting := edge("x")
	drifting.Agent.Clock.MaxError = time.Second
	drifting.Running, drifting.Seen = 3, time.Now()
	w.there(drifting)
	if w.agents.essence() != first {
		t.Error("a clock changes the plan")
	}
	tagged := edge("x")
	tagged.Agent.Tags = map[string]string{"role": "core"}
	for name, members := range map[string][]fleet.Member{"tags": {tagged}, "another agent": {edge("x"), edge("y")}} {
		w.there(members...)
		if w.agents.essence() == first {
			t.Errorf("%s: no change is seen", name)
		}
	}
}
