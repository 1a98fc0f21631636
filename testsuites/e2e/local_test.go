package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner"
)

// long is a session that ends only when it is made to.
func long(more netp.Params) netp.Params {
	p := netp.Params{"duration": 3600.0}
	maps.Copy(p, more)
	return p
}

func TestRunJudgesEveryEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", nil)
	w.agent("mel", nil)
	for _, c := range []struct {
		name   string
		s      session
		status netp.Status
		kind   netp.FailureKind
		tries  int
	}{
		{"pass", session{asserts: lossAtMost("loss.ratio <= 0.1")}, netp.Pass, "", 1},
		{"fail", session{params: netp.Params{"lost": 500.0}, asserts: lossAtMost("loss.ratio <= 0.1")}, netp.Fail, "", 1},
		{"undecided", session{params: netp.Params{"lost": 100.0}, asserts: lossAtMost("loss.ratio <= 0.1")}, netp.Inconclusive, "", 1},
		{"no assertion", session{}, netp.Pass, "", 1},
		{"sick instrument", session{params: netp.Params{"act": "sick", "lost": 500.0}, asserts: lossAtMost("loss.ratio <= 0.1")}, netp.Inconclusive, "", 1},
		{"unreachable", session{params: netp.Params{"act": "unreachable"}, asserts: lossAtMost("loss.ratio <= 0.1")}, netp.Errored, netp.FailureUnreachable, 1},
		{"panic", session{params: netp.Params{"act": "panic"}}, netp.Errored, netp.FailureInternal, 3},
		{"no number", session{params: netp.Params{"act": "nan"}}, netp.Errored, netp.FailureInternal, 3},
		{"hard end", session{params: long(nil), timeout: 5 * time.Second}, netp.Errored, netp.FailureTimeout, 1},
	} {
		c.s.from, c.s.to = "syd", "mel"
		if c.s.params == nil {
			c.s.params = netp.Params{}
		}
		report := w.run(t.Context(), makePlan(c.s), nil)
		r := only(t, report)
		if r.Status != c.status || failureKind(r) != c.kind || r.Attempts != c.tries || report.Status != c.status {
			t.Errorf("%s: got %s, failure %v, %d attempts, run %s; want %s, %q, %d",
				c.name, r.Status, r.Result.Failure, r.Attempts, report.Status, c.status, c.kind, c.tries)
		}
		if len(r.Judgements) != len(c.s.asserts) {
			t.Errorf("%s: %d judgements of %d assertions", c.name, len(r.Judgements), len(c.s.asserts))
		}
	}
}

func TestEventsComeInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", nil)
	w.agent("mel", nil)
	var got []string
	progress := false
	w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 2.0}}), func(e runner.Event) {
		switch e := e.(type) {
		case runner.Progress:
			progress = true
		case runner.SessionState:
			if n := len(got); n == 0 || got[n-1] != string(e.State) {
				got = append(got, string(e.State))
			}
		default:
			got = append(got, fmt.Sprintf("%T", e))
		}
	})
	want := "runner.RunStarted preparing running collecting runner.SessionDone runner.RunDone"
	if strings.Join(got, " ") != want || !progress {
		t.Errorf("got %v, progress %v; want %s", got, progress, want)
	}
}

func TestRefusedByLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", func(c *agent.Config) {
		c.Limits = netp.Limits{Rate: 10e6, Duration: 2 * time.Second, BytesPerDay: 1000}
	})
	w.agent("mel", nil)
	for _, c := range []struct {
		params netp.Params
		want   string
	}{
		{netp.Params{"duration": 3.0}, "no session longer than 2 s; this one asks for 3 s"},
		{netp.Params{"rate": 20e6}, "at most 10 Mbit/s in a session; this one asks for 20 Mbit/s"},
		{netp.Params{"exclusive": true}, "seeks the capacity of the path"},
		{netp.Params{"bytes": 2000.0}, "may send 1000 more bytes today; this session asks for 2000"},
	} {
		r := only(t, w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: c.params}), nil))
		f := r.Result.Failure
		if r.Status != netp.Errored || f == nil || f.Kind != netp.FailureRefused || !strings.Contains(f.Detail, c.want) || f.Agent != "syd" || r.Attempts != 1 {
			t.Errorf("%v: %s, %+v after %d attempts; want refused by syd with %q", c.params, r.Status, f, r.Attempts, c.want)
		}
	}
}

func TestSessionsOfAnAgentAreCountedNotRefused(t *testing.T) {
	t.Parallel()
	g := new(gauge)
	w := newWorld(t, options{engines: []engine.Engine{scripted{initiators: g}}})
	w.agent("syd", func(c *agent.Config) { c.Limits.Sessions = 2 })
	w.agent("mel", nil)
	var sessions []session
	for range 10 {
		sessions = append(sessions, session{from: "syd", to: "mel", params: netp.Params{"duration": 0.05}})
	}
	report := w.run(t.Context(), makePlan(sessions...), nil)
	if report.Counts.Passed != 10 || g.most.Load() != 2 {
		t.Errorf("counts %+v, at most %d at a time; want 10 passed, 2 at a time", report.Counts, g.most.Load())
	}
}

func TestAgentVanishesDuringTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lease: shortLease})
	w.agent("syd", nil)
	mel := w.agent("mel", nil)
	var once sync.Once
	report := w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: long(nil), timeout: time.Hour, asserts: lossAtMost("loss.ratio <= 0.1")}), func(e runner.Event) {
		if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
			once.Do(func() { go mel.kill() })
		}
	})
	r := only(t, report)
	if r.Status != netp.Errored || failureKind(r) != netp.FailureAgentLost || r.Result.Failure.Agent != "mel" {
		t.Errorf("got %s, %+v; want an error: agent mel lost", r.Status, r.Result.Failure)
	}
	if r.Judgements[0].Status == netp.Pass || r.Judgements[0].Status == netp.Fail {
		t.Errorf("the assertion was judged: %+v", r.Judgements[0])
	}
}

func TestSessionIsTriedAgainWhenItsAgentComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lease: shortLease, engines: []engine.Engine{scripted{hung: new(atomic.Bool)}}})
	w.agent("syd", nil)
	spool := t.TempDir()
	mel := w.start("mel", spool, nil)
	w.await("mel")
	var once sync.Once
	report := w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 0.1}, asserts: lossAtMost("loss.ratio <= 0.1")}), func(e runner.Event) {
		if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
			once.Do(func() {
				mel.kill()
				w.start("mel", spool, nil)
			})
		}
	})
	r := only(t, report)
	if r.Status != netp.Pass || r.Attempts < 2 {
		t.Errorf("got %s after %d attempts, %+v; want a pass, but not at once", r.Status, r.Attempts, r.Result.Failure)
	}
}

func TestShortPartitionCostsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", nil)
	mel := w.agent("mel", nil)
	cut := false
	report := w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: netp.Params{"duration": 1.0}, asserts: lossAtMost("loss.ratio <= 0.1")}), func(e runner.Event) {
		s, ok := e.(runner.SessionState)
		switch {
		case ok && s.State == runner.Running && !cut:
			cut = true
			mel.line.cut()
		case ok && s.State == runner.Collecting: // syd has delivered; mel spools
			mel.line.mend()
		}
	})
	if r := only(t, report); r.Status != netp.Pass || r.Attempts != 1 {
		t.Errorf("got %s after %d attempts, %+v; want a pass at once", r.Status, r.Attempts, r.Result.Failure)
	}
}

func TestStoppedAgentDeliversWhatItMeasured(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", nil)
	mel := w.agent("mel", nil)
	var once sync.Once
	report := w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: long(nil), timeout: time.Hour}), func(e runner.Event) {
		if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
			once.Do(func() { go mel.stop() })
		}
	})
	r := only(t, report)
	if failureKind(r) != netp.FailureAgentLost || len(r.Result.Metrics) != 1 {
		t.Errorf("got %+v with metrics %v; want agent lost with the part it had measured", r.Result.Failure, r.Result.Metrics)
	}
	if f := r.Result.Failure; f != nil && !strings.Contains(f.Detail, "1 000 packets were measured before; they are kept in the record, and no assertion was judged.") {
		t.Errorf("the reason is %q", f.Detail)
	}
}

func TestCancelEndsEverySession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", nil)
	w.agent("mel", nil)
	exclusive := []schedule.Claim{{Resource: "link", Exclusive: true}}
	p := makePlan(
		session{from: "syd", to: "mel", params: long(nil), timeout: time.Hour, claims: exclusive},
		session{from: "mel", to: "syd", params: long(nil), timeout: time.Hour, claims: exclusive},
	)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked time.Time
	report := w.run(ctx, p, func(e runner.Event) {
		if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
			asked = time.Now()
			cancel()
		}
	})
	if !report.Cancelled || report.Counts.Skipped != 2 || report.Status != netp.Errored {
		t.Errorf("got %+v, cancelled %v, %s; want 2 skipped", report.Counts, report.Cancelled, report.Status)
	}
	for _, r := range report.Records {
		if failureKind(r) != netp.FailureCancelled {
			t.Errorf("%s: %+v, want cancelled", r.Session.Addr, r.Result.Failure)
		}
		if end := r.Result.Ended; !end.IsZero() && end.Sub(asked) > patience {
			t.Errorf("%s went on for %v after the cancel", r.Session.Addr, end.Sub(asked))
		}
	}
}

func TestSecondAgentWithTheNameIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.agent("syd", nil)
	w.agent("mel", nil)
	second, err := agent.New(w.config("mel", t.TempDir(), &line{world: w}, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var refused *wire.Refused
	if err := second.Run(ctx); !errors.As(err, &refused) || !strings.Contains(err.Error(), `another agent with the name "mel" is there`) {
		t.Errorf("the second agent ended with %v", err)
	}
	if r := only(t, w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: netp.Params{}}), nil)); r.Status != netp.Pass {
		t.Errorf("the first agent does not work any more: %+v", r.Result.Failure)
	}
}

func TestTwoAgentsCannotShareASpool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	spool := t.TempDir()
	w.start("syd", spool, nil)
	w.await("syd")
	second, err := agent.New(w.config("mel", spool, &line{world: w}, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), spool) {
		t.Errorf("the second agent ended with %v, want an error that names the spool", err)
	}
}

func TestAgentThatNeverComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{lease: shortLease})
	w.agent("syd", nil)
	r := only(t, w.run(t.Context(), makePlan(session{from: "syd", to: "mel", params: netp.Params{}}), nil))
	if r.Status != netp.Errored || failureKind(r) != netp.FailureAgentLost || r.Result.Failure.Agent != "mel" {
		t.Errorf("got %s, %+v; want an error: agent mel lost", r.Status, r.Result.Failure)
	} else if d := r.Result.Failure.Detail; !strings.Contains(d, ": mel.") || strings.Contains(d, "syd") {
		t.Errorf("it says %q; want mel named, who is absent, and not syd", d)
	}
}

func TestMissedWindowSaysWhoWasInTheWay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{window: 3 * time.Second})
	w.agent("syd", nil)
	w.agent("mel", nil)
	exclusive := []schedule.Claim{{Resource: "link.core", Exclusive: true}}
	p := makePlan(
		session{from: "syd", to: "mel", params: netp.Params{"duration": 6.0}, claims: exclusive},
		session{from: "mel", to: "syd", params: netp.Params{}, claims: exclusive},
	)
	p.Sessions[1].Start = time.Millisecond
	report := w.run(t.Context(), p, nil)
	var missed *netp.Failure
	for _, r := range report.Records {
		if r.Session.Path.Source == "mel" {
			missed = r.Result.Failure
		}
	}
	if missed == nil || missed.Kind != netp.FailureMissed || !strings.Contains(missed.Detail, "link.core was in use by "+p.Sessions[0].Addr) {
		t.Errorf("got %+v, want missed because of the first session", missed)
	}
}

func TestImpossibleClaimDoesNotHangTheRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{parallelism: 3})
	w.agent("syd", nil)
	w.agent("mel", nil)
	p := makePlan(
		session{from: "syd", to: "mel", params: netp.Params{}, claims: []schedule.Claim{{Resource: allRuns, Rate: 4}}},
		session{from: "mel", to: "syd", params: netp.Params{}},
	)
	report := w.run(t.Context(), p, nil)
	if report.Counts.Passed != 1 || report.Counts.Errored != 1 {
		t.Errorf("counts %+v, want one passed and one in error", report.Counts)
	}
}

// allRuns is the resource by which the runner bounds sessions.
const allRuns = "run sessions"

func TestManySessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	names := []netp.AgentID{"syd", "mel", "per"}
	for _, n := range names {
		w.agent(n, nil)
	}
	var sessions []session
	for i := range 200 {
		from, to := names[i%3], names[(i+1+i/3%2)%3]
		s := session{from: from, to: to, params: netp.Params{"duration": 0.01}, asserts: lossAtMost("loss.ratio <= 0.1"),
			timeout: 10 * patience} // they share what the machine has left
		if i%10 == 0 {
			s.claims = []schedule.Claim{{Resource: "link", Exclusive: true}}
		}
		sessions = append(sessions, s)
	}
	report := w.run(t.Context(), makePlan(sessions...), nil)
	for _, r := range report.Records {
		if r.Status != netp.Pass {
			t.Errorf("%s: %s, %v; want 200 passed", r.Session.Addr, r.Status, r.Result.Failure)
		}
	}
}
