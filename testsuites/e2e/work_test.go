package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// TestRunsShareTheirClaims executes several suites at once that claim the same
// links, and proves over the real times that none disturbed another.
func TestRunsShareTheirClaims(t *testing.T) {
	t.Parallel()
	j := new(journal)
	w := newWorld(t, options{engines: []engine.Engine{scripted{journal: j}}})
	names := []netp.AgentID{"syd", "mel", "per"}
	for _, n := range names {
		w.agent(n, nil)
	}
	var plans []*plan.Plan
	for suite := range 4 {
		var sessions []session
		for i := range 15 {
			claim := schedule.Claim{Resource: schedule.Resource(fmt.Sprint("link.", i%3)), Rate: float64(1 + (i+suite)%4)}
			if (i+suite)%3 == 0 {
				claim = schedule.Claim{Resource: claim.Resource, Exclusive: true}
			}
			sessions = append(sessions, session{from: names[i%3], to: names[(i+1)%3], params: netp.Params{"duration": 0.03}, claims: []schedule.Claim{claim}})
		}
		p := makePlan(sessions...)
		p.Suite.Name = fmt.Sprint("suite", suite)
		for i := range p.Sessions {
			p.Sessions[i].Addr = fmt.Sprint(p.Suite.Name, ".", p.Sessions[i].Addr)
		}
		p.Capacities = map[schedule.Resource]float64{"link.0": 5, "link.1": 6}
		plans = append(plans, p)
	}
	var all sync.WaitGroup
	for _, p := range plans {
		all.Go(func() {
			if report := w.run(t.Context(), p, nil); report.Counts.Passed != len(p.Sessions) {
				t.Errorf("%s: %+v", p.Suite.Name, report.Counts)
			}
		})
	}
	all.Wait()
	keepsClaims(t, j.all(), map[schedule.Resource]float64{"link.0": 5, "link.1": 6}, plans...)
}

// TestTimedRunKeepsItsTimes holds the planned starts of a run that has them, and
// that an earlier session of another run goes first.
func TestTimedRunKeepsItsTimes(t *testing.T) {
	t.Parallel()
	j := new(journal)
	w := newWorld(t, options{engines: []engine.Engine{scripted{journal: j}}})
	w.agent("syd", nil)
	w.agent("mel", nil)
	p := makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 0.01}}, session{from: "mel", to: "syd", params: netp.Params{"duration": 0.01}})
	start := time.Now().Add(500 * time.Millisecond)
	report, err := w.runner.Execute(t.Context(), runner.Work{Plan: p, Trigger: store.BySchedule, Start: start, Timed: true}, nil)
	if err != nil || report.Counts.Passed != 2 {
		t.Fatalf("%+v, %v", report.Counts, err)
	}
	for _, r := range report.Records {
		at := start.Add(sessionOf(p, r.Session.Addr).Start)
		if !r.Scheduled.Equal(at) {
			t.Errorf("%s was scheduled for %v, want %v", r.Session.Addr, r.Scheduled, at)
		}
		for _, s := range j.all() {
			if s.session == r.Session.Addr && s.from.Before(at) {
				t.Errorf("%s began %v before its time", s.session, at.Sub(s.from))
			}
		}
	}
}

func sessionOf(p *plan.Plan, addr string) plan.Session {
	for _, s := range p.Sessions {
		if s.Addr == addr {
			return s
		}
	}
	return plan.Session{}
}

// TestSlotRunsOnce begins a turn of a standing test twice, and misses another one.
func TestSlotRunsOnce(t *testing.T) {
	t.Parallel()
	g := new(gauge)
	w := newWorld(t, options{engines: []engine.Engine{scripted{initiators: g}}})
	w.agent("syd", nil)
	w.agent("mel", nil)
	p := makePlan(session{from: "syd", to: "mel", params: netp.Params{}, asserts: lossAtMost("loss.ratio <= 0.1")}, session{from: "mel", to: "syd", params: netp.Params{}})
	turn := func(hour int) runner.Work {
		return runner.Work{Plan: p, Trigger: store.BySchedule, Slot: &store.Slot{Suite: "suite", Test: "test.taa", Start: time.Date(2026, 11, 25, hour, 0, 0, 0, time.UTC)}}
	}
	if report, err := w.runner.Execute(t.Context(), turn(1), nil); err != nil || report.Counts.Passed != 2 {
		t.Fatalf("%+v, %v", report.Counts, err)
	}
	report, err := w.runner.Miss(t.Context(), turn(2), netp.Failure{Detail: "The controller was not running."})
	if err != nil || report.Counts.Errored != 2 || report.Status != netp.Errored {
		t.Fatalf("missed: %+v, %v", report, err)
	}
	for _, r := range report.Records {
		if f := r.Result.Failure; f == nil || f.Kind != netp.FailureMissed || f.Detail != "The controller was not running." || r.Attempts != 0 {
			t.Errorf("%s: %+v after %d attempts", r.Session.Addr, f, r.Attempts)
		}
	}
	for hour := 1; hour <= 2; hour++ {
		if report, err := w.runner.Execute(t.Context(), turn(hour), nil); !errors.Is(err, store.ErrSlotTaken) || report.Run != "" {
			t.Errorf("the turn of %d:00 again: %+v, %v; want ErrSlotTaken", hour, report, err)
		}
	}
	if n := g.started.Load(); n != 2 {
		t.Errorf("%d sessions ran, want those of the first turn", n)
	}
	if runs, err := w.store.Runs(t.Context(), "suite", 0); err != nil || len(runs) != 2 || runs[0].Slot == nil || runs[0].Trigger != store.BySchedule {
		t.Errorf("the store has %+v, %v; want two runs with their slots", runs, err)
	}
}

// interrupted is a run of which the controller was killed while its first session
// was running.
func interrupted(t *testing.T, w *world, work runner.Work) {
	t.Helper()
	touched := func(what string) {
		if what == "parts" {
			w.disk.die()
		}
	}
	w.disk.touched.Store(&touched)
	end := make(chan struct{})
	go func() {
		defer close(end)
		w.runner.Execute(context.Background(), work, nil)
	}()
	select {
	case <-w.disk.struck:
	case <-end:
		t.Fatal("the run ended before its first session")
	}
	w.close()
	<-end
	w.open()
}

// TestRecoveredTimedRunKeepsItsWindow lets the window of two sessions pass while no
// controller runs: they are missed, while the first one is judged.
func TestRecoveredTimedRunKeepsItsWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lasting: true})
	w.agent("syd", nil)
	w.agent("mel", nil)
	link := []schedule.Claim{{Resource: "link.core", Exclusive: true}}
	p := makePlan(
		session{from: "syd", to: "mel", params: netp.Params{"duration": 0.3}, claims: link},
		session{from: "mel", to: "syd", params: netp.Params{}, claims: link},
		session{from: "mel", to: "syd", params: netp.Params{}}) // nothing is in its way
	began := time.Now()
	p.Sessions[1].Start, p.Sessions[2].Start = time.Millisecond, 4*time.Second // the last is due only when the controller is dead
	interrupted(t, w, runner.Work{Plan: p, Trigger: store.BySchedule, Start: began, Timed: true, Window: 3 * time.Second})
	<-time.After(time.Until(began.Add(7500 * time.Millisecond)))
	w.recover(nil)
	runs, err := w.store.Runs(t.Context(), "suite", 0)
	if err != nil || len(runs) != 1 || !runs[0].Finished() {
		t.Fatalf("runs %+v, %v", runs, err)
	}
	records, err := w.store.Records(t.Context(), runs[0].Report.Run)
	if err != nil || len(records) != 3 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if records[0].Status != netp.Pass || failureKind(records[1]) != netp.FailureMissed || failureKind(records[2]) != netp.FailureMissed {
		t.Errorf("got %v, %v and %v, want a pass and two missed", records[0].Result.Failure, records[1].Result.Failure, records[2].Result.Failure)
	}
	if f := records[2].Result.Failure; f != nil && !strings.Contains(f.Detail, "the controller was stopped meanwhile") {
		t.Errorf("the reason is %q", f.Detail)
	}
}

// TestMissedForTheStore lets the window of a session pass while the store takes nothing:
// its record does not say that the controller was stopped.
func TestMissedForTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lasting: true})
	w.agent("syd", nil)
	w.agent("mel", nil)
	link := []schedule.Claim{{Resource: "link.core", Exclusive: true}}
	p := makePlan(
		session{from: "syd", to: "mel", params: netp.Params{"duration": 0.1}, claims: link},
		session{from: "mel", to: "syd", params: netp.Params{}, claims: link})
	touched := func(what string) {
		if what == "records" {
			w.disk.die()
			w.disk.bury()
		}
	}
	w.disk.touched.Store(&touched)
	began := time.Now()
	const window = 5 * time.Second
	work := runner.Work{Plan: p, Trigger: store.BySchedule, Start: began, Timed: true, Window: window}
	if _, err := w.runner.Execute(t.Context(), work, nil); !errors.Is(err, errDead) {
		t.Fatalf("got %v, want the store's error", err)
	}
	<-time.After(time.Until(began.Add(window + 2*time.Second)))
	w.disk.touched.Store(nil)
	w.disk.revive()
	w.recover(nil)
	runs, err := w.store.Runs(t.Context(), "suite", 0)
	if err != nil || len(runs) != 1 || !runs[0].Finished() {
		t.Fatalf("runs %+v, %v", runs, err)
	}
	records, err := w.store.Records(t.Context(), runs[0].Report.Run)
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if records[0].Status != netp.Pass {
		t.Errorf("the session whose parts came: %v", records[0].Result.Failure)
	}
	if f := records[1].Result.Failure; f == nil || f.Kind != netp.FailureMissed || !strings.Contains(f.Detail, "the controller could not write to its store meanwhile") {
		t.Errorf("the other one: %v", f)
	}
}

// TestRecoveredRunStaysCancelled cancels a run and kills its controller before the
// records are written: the next one begins nothing of it.
func TestRecoveredRunStaysCancelled(t *testing.T) {
	t.Parallel()
	g := new(gauge)
	w := newWorld(t, options{lasting: true, engines: []engine.Engine{scripted{initiators: g}}})
	w.agent("syd", nil)
	w.agent("mel", nil)
	link := []schedule.Claim{{Resource: "link.core", Exclusive: true}}
	p := makePlan(
		session{from: "syd", to: "mel", params: long(nil), timeout: time.Hour, claims: link},
		session{from: "mel", to: "syd", params: netp.Params{}, claims: link})
	touched := func(what string) {
		if what == "records" {
			w.disk.die()
		}
	}
	w.disk.touched.Store(&touched)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var end sync.WaitGroup
	end.Go(func() {
		w.runner.Run(ctx, p, func(e runner.Event) {
			if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
				cancel()
			}
		})
	})
	<-w.disk.struck
	w.close()
	end.Wait()
	w.open()
	w.recover(nil)
	runs, err := w.store.Runs(t.Context(), "suite", 0)
	if err != nil || len(runs) != 1 || !runs[0].Report.Cancelled || runs[0].Report.Counts.Skipped != 2 {
		t.Errorf("runs %+v, %v; want one that was cancelled with two skipped", runs, err)
	}
	if n := g.started.Load(); n > 1 {
		t.Errorf("%d sessions ran", n)
	}
}

// TestPartsAfterARestartOnlyFromTheirAgent forges the missing part of a session
// that an earlier controller began: the next one asks the store who may send it.
func TestPartsAfterARestartOnlyFromTheirAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lasting: true})
	w.agent("syd", nil)
	mel := w.agent("mel", nil)
	p := makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 0.5, "lost": 500.0}, timeout: hardEnd, asserts: lossAtMost("loss.ratio <= 0.1")})
	work := runner.Work{Plan: p, Run: "0199c3a1-0000-7000-8000-000000000002"}
	interrupted(t, w, work)
	mel.line.cut() // what it measured stays in its spool
	w.await("syd")
	impostor := wire.NewAgent(w.connect(), "per", w.public)
	forged := func(attempt int) {
		data, err := wire.EncodePart(netp.Result{Run: work.Run, Session: p.Sessions[0].Addr, Attempt: attempt, Part: netp.Responder, Agent: "per", Completed: true})
		if err == nil {
			err = impostor.Part(data)
		}
		if err != nil {
			t.Error(err)
		}
	}
	w.recover(func(e runner.Event) {
		if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
			forged(1)
			forged(2) // of an attempt that was never begun
			mel.line.mend()
		}
	})
	records, err := w.store.Records(t.Context(), work.Run)
	if err != nil || len(records) != 1 || records[0].Status != netp.Fail {
		t.Errorf("records %+v, %v; want the loss that mel has seen", records, err)
	}
	if parts, err := w.store.Parts(t.Context(), work.Run, p.Sessions[0].Addr); err != nil || len(parts) != 0 {
		t.Errorf("forged parts in the store: %+v, %v", parts, err)
	}
}

// TestControllerLostSaysWhatIsKept kills the controller in the last attempt that a
// session has, with one of its agents: the record has the part there is.
func TestControllerLostSaysWhatIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lasting: true, lease: shortLease, engines: []engine.Engine{scripted{hung: new(atomic.Bool)}}})
	w.agent("syd", nil)
	mel := w.agent("mel", nil)
	p := makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 1.0}, timeout: 3 * time.Second, asserts: lossAtMost("loss.ratio <= 0.1")})
	work := runner.Work{Plan: p, Run: "0199c3a1-0000-7000-8000-000000000003", Timed: true, Window: 3 * time.Second}
	var end sync.WaitGroup
	end.Go(func() {
		w.runner.Execute(context.Background(), work, func(e runner.Event) {
			if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
				w.disk.die()
			}
		})
	})
	<-w.disk.struck
	w.close()
	end.Wait()
	mel.kill()
	w.open()
	w.recover(nil)
	records, err := w.store.Records(t.Context(), work.Run)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	r := records[0]
	if failureKind(r) != netp.FailureController || r.Status != netp.Errored || r.Attempts != 1 || !strings.Contains(r.Result.Failure.Detail, "controller was stopped") {
		t.Errorf("got %s, %+v after %d attempts", r.Status, r.Result.Failure, r.Attempts)
	}
}

// TestClaimsOfUnreachableAgentsStayTaken loses both agents of an exclusive session,
// which goes on between them: nobody else gets its link before its hard end.
func TestClaimsOfUnreachableAgentsStayTaken(t *testing.T) {
	t.Parallel()
	j := new(journal)
	w := newWorld(t, options{lease: shortLease, engines: []engine.Engine{scripted{journal: j}}})
	syd, mel := w.agent("syd", nil), w.agent("mel", nil)
	w.agent("per", nil)
	w.agent("bne", nil)
	link := []schedule.Claim{{Resource: "link.core", Exclusive: true}}
	p := makePlan(
		session{from: "syd", to: "mel", params: netp.Params{"duration": 13.0}, timeout: 17 * time.Second, claims: link},
		session{from: "per", to: "bne", params: netp.Params{"duration": 0.01}, claims: link})
	report := w.run(t.Context(), p, func(e runner.Event) {
		if s, ok := e.(runner.SessionState); ok && s.State == runner.Running && s.Session.Path.Source == "syd" {
			syd.line.cut()
			mel.line.cut()
		}
	})
	if c := report.Counts; c.Errored != 1 || c.Passed != 1 {
		t.Errorf("%+v, want the first lost and the second passed", c)
	}
	eventually(t, "the session between the lost agents has ended", func() bool { return len(j.all()) == 2 })
	keepsClaims(t, j.all(), nil, p)
}

// TestAttemptIsStoppedBeforeTheNext loses both agents for a while: when they are back
// they still carry out the first attempt, which must not run beside the second.
func TestAttemptIsStoppedBeforeTheNext(t *testing.T) {
	t.Parallel()
	j := new(journal)
	w := newWorld(t, options{lease: shortLease, engines: []engine.Engine{scripted{journal: j}}})
	syd, mel := w.agent("syd", nil), w.agent("mel", nil)
	p := makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 15.0}, claims: []schedule.Claim{{Resource: "link.core", Exclusive: true}}})
	var once sync.Once
	report := w.run(t.Context(), p, func(e runner.Event) {
		s, ok := e.(runner.SessionState)
		switch {
		case ok && s.State == runner.Running:
			once.Do(func() {
				syd.line.cut()
				mel.line.cut()
			})
		case ok && s.State == runner.Waiting: // for the agents, before the second attempt
			syd.line.mend()
			mel.line.mend()
		}
	})
	if r := only(t, report); r.Status != netp.Pass || r.Attempts != 2 {
		t.Errorf("%s after %d attempts, %v; want a pass after two", r.Status, r.Attempts, r.Result.Failure)
	}
	if spans := j.all(); len(spans) != 2 {
		t.Errorf("the session ran %d times", len(spans))
	}
	keepsClaims(t, j.all(), nil, p)
}

// TestClaimsAreHeldOverARestart kills the controller while an exclusive session
// runs: neither the rest of its run nor another run, begun before anybody recovers
// anything, gets the link before the session is over.
func TestClaimsAreHeldOverARestart(t *testing.T) {
	t.Parallel()
	j := new(journal)
	w := newWorld(t, options{lasting: true, engines: []engine.Engine{scripted{journal: j}}})
	for _, n := range []netp.AgentID{"syd", "mel", "per", "bne"} {
		w.agent(n, nil)
	}
	link := []schedule.Claim{{Resource: "link.core", Exclusive: true}}
	p := makePlan(
		session{from: "syd", to: "mel", params: netp.Params{"duration": 6.0}, claims: link},
		session{from: "per", to: "bne", params: netp.Params{"duration": 0.01}, claims: link})
	other := makePlan(session{from: "bne", to: "per", params: netp.Params{"duration": 0.01}, claims: link})
	var end sync.WaitGroup
	end.Go(func() {
		w.runner.Run(context.Background(), p, func(e runner.Event) {
			if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
				w.disk.die()
			}
		})
	})
	<-w.disk.struck
	w.open()
	end.Wait()
	began := make(chan struct{})
	end.Go(func() {
		report, err := w.runner.Execute(t.Context(), runner.Work{Plan: other, Start: time.Unix(1, 0)}, func(e runner.Event) {
			if _, ok := e.(runner.RunStarted); ok {
				close(began)
			}
		})
		if err != nil || report.Counts.Passed != 1 {
			t.Errorf("the other run: %+v, %v", report.Counts, err)
		}
	})
	<-began
	w.recover(nil)
	end.Wait()
	if spans := j.all(); len(spans) != 3 {
		t.Errorf("%d sessions ran, want each once", len(spans))
	}
	keepsClaims(t, j.all(), nil, p, other)
}

// TestControllerThatIsBehind has a store that stands still for longer than parts are
// waited for. They were in time, so the session passes; and no other begins meanwhile.
func TestControllerThatIsBehind(t *testing.T) {
	t.Parallel()
	initiators := new(gauge)
	w := newWorld(t, options{engines: []engine.Engine{scripted{initiators: initiators}}})
	w.agent("syd", nil)
	w.agent("mel", nil)
	came, mayGo := make(chan struct{}), make(chan struct{})
	once, goOn := sync.OnceFunc(func() { close(came) }), sync.OnceFunc(func() { close(mayGo) })
	t.Cleanup(goOn)
	touched := func(what string) {
		if what == "parts" {
			once()
			<-mayGo
		}
	}
	w.disk.touched.Store(&touched)
	one := func() *plan.Plan {
		return makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 0.01}, timeout: 2 * time.Second})
	}
	var all sync.WaitGroup
	pass := func() {
		report := w.run(t.Context(), one(), nil)
		if report.Counts.Passed != 1 || report.Records[0].Attempts != 1 {
			t.Errorf("%+v after %d attempts: %+v", report.Counts, report.Records[0].Attempts, report.Records[0].Result.Failure)
		}
	}
	all.Go(pass)
	<-came
	behind := func(by time.Duration) {
		eventually(t, fmt.Sprint("behind by ", by), func() bool { return w.queues.Behind() > by })
	}
	behind(3 * time.Second)
	all.Go(pass)
	behind(10 * time.Second) // longer than its orders and the grace after them
	if n := initiators.started.Load(); n != 1 {
		t.Errorf("%d sessions have begun, want only the first", n)
	}
	goOn()
	all.Wait()
}
