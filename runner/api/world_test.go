package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/store"
)

// scripted is an executor whose runs do what the test says, and record it as the
// real one does.
type scripted struct {
	store *store.Store
	ids   chan string
	steps chan step
}

// step is one thing that a run does next.
type step struct {
	event runner.Event
	end   bool
}

func (s *scripted) Execute(ctx context.Context, w runner.Work, tell func(runner.Event)) (netp.Report, error) {
	p := w.Plan
	r := netp.Report{FormatVersion: netp.FormatVersion, Run: <-s.ids, Suite: p.Suite.Name, Started: time.Unix(1, 0).UTC()}
	summary := func() error {
		return s.store.SaveRun(context.Background(), store.Run{Report: r, PlanHash: p.Hash, Sessions: len(p.Sessions), Trigger: w.Trigger})
	}
	if err := summary(); err != nil {
		return r, err
	}
	tell(runner.RunStarted{Run: r.Run, Suite: r.Suite, Started: r.Started, Sessions: len(p.Sessions)})
	for more := true; more; {
		select {
		case next := <-s.steps:
			if next.end {
				more = false
				break
			}
			if done, ok := next.event.(runner.SessionDone); ok {
				if err := s.store.SaveRecords(context.Background(), []netp.Record{done.Record}); err != nil {
					return r, err
				}
			}
			tell(next.event)
		case <-ctx.Done():
			r.Cancelled, more = true, false
		}
	}
	r.Ended, r.Status = time.Unix(2, 0).UTC(), netp.Pass
	err := summary()
	tell(runner.RunDone{Report: r})
	return r, err
}

func (s *scripted) Miss(context.Context, runner.Work, netp.Failure) (netp.Report, error) {
	return netp.Report{}, errors.New("nothing is missed here")
}

func (s *scripted) Recover(context.Context, store.Unfinished, func(runner.Event)) (netp.Report, error) {
	return netp.Report{}, errors.New("nothing is recovered here")
}

// unscheduled runs no standing tests.
type unscheduled struct{}

func (unscheduled) Install(store.StandingPlan) {}
func (unscheduled) Remove(string)              {}

type members []fleet.Member

func (m members) Members() []fleet.Member { return m }

// world is an API over HTTP with a scripted executor and a real store.
type world struct {
	t *testing.T
	*scripted
	api     *Server
	runs    *runs.Runs
	applier *apply.Applier
	sources *fakeSources
	http    *httptest.Server
	spool   string // where the events are
}

const kind netp.Kind = "scripted"

func newWorld(t *testing.T) *world {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w := &world{t: t, scripted: &scripted{store: s, ids: make(chan string, 100), steps: make(chan step)}}
	for i := range 20 {
		w.ids <- "000000" + strconv.Itoa(10+i) + "-0000-7000-8000-000000000000"
	}
	w.spool = t.TempDir()
	w.sources = &fakeSources{}
	w.runs = runs.New(runs.Config{Executor: w.scripted, SpoolDir: w.spool})
	if w.applier, err = apply.New(apply.Config{Runs: w.runs, Store: s, Scheduler: unscheduled{}}); err != nil {
		t.Fatal(err)
	}
	w.api, err = New(Config{
		Applier: w.applier, Runs: w.runs, Store: s, Fleet: members{{Agent: netp.Agent{Name: "syd", Drained: true}}, {Agent: netp.Agent{Name: "mel"}}}, Catalogue: netp.Catalogue{{Kind: kind}},
		MaxPlan: 100_000, Version: "test", Sources: w.sources,
		Authorise: func(token string) (Role, bool) {
			r := Role(token)
			return r, r.May(Viewer) || r == "nothing"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.http = httptest.NewServer(w.api.Handler())
	t.Cleanup(w.http.Close)
	t.Cleanup(func() { w.runs.Close() })
	return w
}

// onePlan is a plan of one session of a suite; the serial makes each another one.
func onePlan(suite string, state plan.State) *plan.Plan {
	p := &plan.Plan{
		FormatVersion: netp.FormatVersion, Suite: plan.SuiteInfo{Name: suite}, Lineage: state.Lineage, Serial: state.Serial,
		Tests:    []plan.Test{{Addr: "test.a", Kind: kind, Params: netp.Params{"size": 64.0}, Timeout: time.Minute}},
		Sessions: []plan.Session{{Addr: `test.a["x->y"]`, Test: "test.a", Path: netp.Path{Addr: `path.p["x->y"]`, Source: "x", Dest: "y"}}},
	}
	p.Hash = p.Digest()
	return p
}

// call asks and gives the status and the body.
func (w *world) call(role Role, method, path string, body []byte) (int, []byte) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+string(role))
	}
	r.Header.Set(HolderHeader, "ann@laptop")
	answer, err := w.http.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, data
}

// wants asks as an operator, demands a status and reads the answer.
func wants[T any](w *world, status int, method, path string, body any) T {
	w.t.Helper()
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			w.t.Fatal(err)
		}
	}
	got, answer := w.call(Operator, method, path, data)
	if got != status {
		w.t.Fatalf("%s %s: status %d, want %d: %s", method, path, got, status, answer)
	}
	var out T
	if err := json.Unmarshal(answer, &out); err != nil {
		w.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
	}
	return out
}

func (w *world) state(suite string) plan.State {
	w.t.Helper()
	return wants[SuiteState](w, 200, "GET", "/api/v1/suites/"+suite+"/state", nil).State
}

// record is the record of the plan's session.
func record(run string) netp.Record {
	return netp.Record{
		FormatVersion: netp.FormatVersion, ID: run, Run: run, Suite: "s", Test: "test.a", Status: netp.Pass, Written: time.Unix(2, 0).UTC(),
		Session: netp.Session{Addr: `test.a["x->y"]`, Kind: kind, Path: netp.Path{Addr: `path.p["x->y"]`, Source: "x", Dest: "y"}},
		Result:  netp.Result{Run: run, Metrics: map[string]netp.Measurement{"rtt": netp.Value(1)}},
	}
}
