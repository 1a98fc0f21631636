package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/netpupper/netp"
)

const killedSuite = `
suite "killed" {}
agent "syd" {}
agent "mel" {}
path "pair" {
  mesh = [agent.syd, agent.mel]
}
profile "rtt" "probe" {
  interval = "20ms"
  duration = "4s"
}
profile "tcp" "bulk" { duration = "1s" }
test "reach" {
  path    = path.pair
  profile = profile.rtt.probe
  assert "latency" { condition = rtt.max <= 5 * s }
}
test "bulk" {
  path    = path.pair
  profile = profile.tcp.bulk
}
`

// TestControllerProcessKilled kills the controller's process while agents measure
// for it. They go on, and whoever takes its place judges what they measured then, and
// runs what was left.
func TestControllerProcessKilled(t *testing.T) {
	d := deploy(t, buildNetp(t))
	for _, name := range []string{"syd", "mel"} {
		d.agent(name, d.token(), "-max-rate", "0")
		d.await(netp.AgentID(name), "ready")
	}
	suite := d.path("suite")
	if err := os.MkdirAll(suite, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(suite, "main.hcl"), []byte(killedSuite), 0o600); err != nil {
		t.Fatal(err)
	}
	applied := make(chan struct{})
	go func() { // it loses its controller
		defer close(applied)
		d.command("apply", "-auto-approve", suite)
	}()
	eventually(t, "an agent runs a session", func() bool {
		_, syd := d.state("syd")
		_, mel := d.state("mel")
		return syd.Running+mel.Running > 0
	})
	t.Cleanup(func() { <-applied })
	d.controller.kill()
	w := d.takeOver()
	runs, err := w.store.Runs(t.Context(), "killed", 0)
	if err != nil || len(runs) != 1 || runs[0].Finished() {
		t.Fatalf("runs %+v, %v; want one that is not finished", runs, err)
	}
	w.recover(nil)
	run, err := w.store.FindRun(t.Context(), runs[0].Report.Run)
	if err != nil || !run.Finished() || run.Report.Counts.Total() != 4 {
		t.Errorf("the run is %+v, %v; want 4 sessions", run, err)
	}
	records, err := w.store.Records(t.Context(), run.Report.Run)
	if err != nil || len(records) != 4 {
		t.Errorf("%d records, %v; want one of each session", len(records), err)
	}
	for _, r := range records {
		if !r.Result.Completed || len(r.Result.Metrics) == 0 || r.Attempts > 2 {
			t.Errorf("%s: %s after %d attempts, %v", r.Session.Addr, r.Status, r.Attempts, r.Result.Failure)
		}
	}
}
