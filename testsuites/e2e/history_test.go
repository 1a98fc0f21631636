package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpupper/netp"
)

const historySuite = `
suite "wan" {}
agent "syd" {}
agent "mel" {}
path "core" { mesh = [agent.syd, agent.mel] }
profile "rtt" "r" {
  interval = "10ms"
  count    = 100
}
test "reach" {
  path    = path.core
  profile = profile.rtt.r
  assert "latency" { condition = rtt.p50 <= 1 * s }
}
`

// daemonsHistory reads from the controller what was measured on a path.
func daemonsHistory(t *testing.T, d *deployment) {
	d.agent("syd", d.token())
	d.agent("mel", d.token())
	d.await("syd", "ready")
	d.await("mel", "ready")
	suite := t.TempDir()
	if err := os.WriteFile(filepath.Join(suite, "suite.hcl"), []byte(historySuite), 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("apply", "-inconclusive=pass", suite) // how well it went does not matter here
	if list := d.must("history"); !strings.Contains(list, `path.core["syd->mel"]`) || !strings.Contains(list, `path.core["mel->syd"]`) {
		t.Errorf("the paths are\n%s", list)
	}
	table := d.must("history", "syd->mel", "-since=1d", "-test=reach", "-suite=wan")
	if strings.Count(table, "syd → mel") != 1 || strings.Contains(table, "mel → syd") {
		t.Errorf("the history of one path is\n%s", table)
	}
	var listed struct{ Records []netp.Record }
	if err := json.Unmarshal([]byte(d.must("history", "-json", "path.core", "-limit=2")), &listed); err != nil || len(listed.Records) != 2 || len(listed.Records[0].Result.Metrics) == 0 {
		t.Errorf("%d records, %v; want 2 with their metrics", len(listed.Records), err)
	}
	if _, complaint, err := d.command("history", "syd->bne"); err == nil || !strings.Contains(complaint, `path.core["mel->syd"]`) {
		t.Errorf("an unknown path: %v\n%s", err, complaint)
	}
	if table := d.must("runs", "-suite=wan"); !strings.Contains(table, "wan") {
		t.Errorf("the runs are\n%s", table)
	}
	if table := d.must("runs", "-suite=lan"); !strings.Contains(table, "No runs") {
		t.Errorf("the runs of another suite are\n%s", table)
	}
}
