package e2e

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/api/client"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/store"
)

// remoteSuite matches agents by their tags; duration is of each session.
const remoteSuite = `
suite "remote" {}
agents "edge" { where = tags.role == "edge" }
agents "core" { where = tags.role == "core" }
path "up" {
  from = agents.edge
  to   = agents.core
}
profile "rtt" "probe" {
  interval = "10ms"
  duration = "DURATION"
}
test "reach" {
  path    = path.up
  profile = profile.rtt.probe
  assert "alive" { condition = rtt.p50 <= 10 * s }
}
`

// remote is a controller with its API, two agents at the edge and one in the core.
func remote(t *testing.T) (*world, *client.Client) {
	w := newWorld(t, options{engines: agent.Engines()})
	for name, role := range map[netp.AgentID]string{"a": "edge", "b": "edge", "c": "core"} {
		w.agent(name, func(c *agent.Config) { c.Tags = map[string]string{"role": role} })
	}
	running := runs.New(runs.Config{Executor: w.runner, SpoolDir: t.TempDir(), Logger: w.logger})
	applier, err := apply.New(apply.Config{Runs: running, Store: w.store, Scheduler: unscheduled{}, Logger: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	server, err := api.New(api.Config{
		Applier: applier, Runs: running, Store: w.store, Fleet: w.runner.Fleet(), Catalogue: w.catalogue(), Logger: w.logger,
		Authorise: func(token string) (api.Role, bool) { return api.Operator, token == "secret" },
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server.Handler())
	t.Cleanup(web.Close)
	t.Cleanup(func() { running.Close() })
	c, err := client.New(client.Options{URL: web.URL, Token: "secret", Holder: "ann@laptop", HTTP: web.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return w, c
}

// unscheduled runs no standing tests.
type unscheduled struct{}

func (unscheduled) Install(store.StandingPlan) {}
func (unscheduled) Remove(string)              {}

// build plans the suite as the command does, against the controller's state.
func (w *world) build(c *client.Client, duration string) *plan.Plan {
	w.t.Helper()
	dir := w.t.TempDir()
	text := strings.Replace(remoteSuite, "DURATION", duration, 1)
	if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	suite, diags := lang.Load(dir, lang.Options{Catalogue: w.catalogue()})
	if diags.HasErrors() {
		w.t.Fatal(diags.Err())
	}
	state, err := c.State(w.t.Context(), suite.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	p, faults := plan.Build(plan.Input{Suite: suite, Catalogue: w.catalogue(), Inventory: w.runner.Fleet().Agents(), State: state, Now: time.Now()})
	if faults.HasErrors() {
		w.t.Fatal(faults.Err())
	}
	return p
}

// A plan that goes over the wire is accepted as it was made, runs on the agents
// that registered, and two watchers hear the same.
func TestRemoteApply(t *testing.T) {
	w, c := remote(t)
	p := w.build(c, "200ms")
	started, err := c.Apply(t.Context(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	var done [2][]string
	for i := range done {
		group.Go(func() {
			if err := c.Follow(t.Context(), started.Run, func(e runner.Event) {
				if d, ok := e.(runner.SessionDone); ok {
					done[i] = append(done[i], d.Record.Session.Addr)
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if len(done[0]) != 2 || strings.Join(done[0], " ") != strings.Join(done[1], " ") {
		t.Errorf("the watchers heard %v and %v", done[0], done[1])
	}
	ended, err := c.Run(t.Context(), started.Run)
	report := ended.Report
	if err != nil {
		t.Fatal(err)
	}
	// How it is judged depends on how busy this machine is; that it is measured does not.
	if report.Status == netp.Errored || len(report.Records) != 2 || report.Counts.Total() != 2 || report.Counts.Errored != 0 {
		t.Errorf("the report is %s with %+v and %d records", report.Status, report.Counts, len(report.Records))
	}
	for _, r := range report.Records {
		if len(r.Result.Metrics) == 0 || r.PlanHash != p.Hash {
			t.Errorf("%s has %d metrics and is of plan %s", r.Session.Addr, len(r.Result.Metrics), r.PlanHash)
		}
	}
}

// A watcher that leaves stops nothing; cancelling ends every session in a record.
func TestRemoteCancel(t *testing.T) {
	w, c := remote(t)
	started, err := c.Apply(t.Context(), w.build(c, "10m"), nil)
	if err != nil {
		t.Fatal(err)
	}
	running := func(leave context.CancelFunc) func(runner.Event) {
		return func(e runner.Event) {
			if s, ok := e.(runner.SessionState); ok && s.State == runner.Running {
				leave()
			}
		}
	}
	watching, leave := context.WithTimeout(t.Context(), patience)
	defer leave()
	if err := c.Follow(watching, started.Run, running(leave)); err == nil {
		t.Fatal("the run ended by itself")
	}
	again, err := c.Apply(t.Context(), w.build(c, "10m"), nil) // the same command once more
	if err != nil || !again.Attached || again.Run != started.Run || again.Lock.Holder != "ann@laptop" {
		t.Fatalf("attached: %+v, %v", again, err)
	}
	if err := c.Cancel(t.Context(), started.Run); err != nil {
		t.Fatal(err)
	}
	ending, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	if err := c.Follow(ending, started.Run, func(runner.Event) {}); err != nil {
		t.Fatal(err)
	}
	ended, err := c.Run(t.Context(), started.Run)
	report := ended.Report
	if err != nil || !report.Cancelled || len(report.Records) != 2 || report.Counts.Skipped != 2 {
		t.Errorf("the report is %+v, %v", report, err)
	}
}
