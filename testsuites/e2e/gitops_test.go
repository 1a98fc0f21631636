package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/api/client"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/store"
	"github.com/netpupper/netp/testsuites/pgtest"
)

// origin is a bare repository and a clone that commits to it.
type origin struct {
	t          *testing.T
	bare, work string
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	o := &origin{t: t, bare: filepath.Join(t.TempDir(), "wan.git"), work: filepath.Join(t.TempDir(), "work")}
	o.run(".", "init", "-q", "--bare", "-b", "main", o.bare)
	o.run(".", "clone", "-q", o.bare, o.work)
	o.git("checkout", "-q", "-B", "main")
	return o
}

func (o *origin) url() string { return "file://" + filepath.ToSlash(o.bare) }

func (o *origin) git(args ...string) string { o.t.Helper(); return o.run(o.work, args...) }

func (o *origin) run(dir string, args ...string) string {
	o.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + o.t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// push commits files, "" removing one, and pushes; it gives the revision.
func (o *origin) push(files map[string]string, more ...string) gitops.Revision {
	o.t.Helper()
	for name, text := range files {
		full := filepath.Join(o.work, name)
		if text == "" {
			if err := os.RemoveAll(full); err != nil {
				o.t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			o.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			o.t.Fatal(err)
		}
	}
	o.git("add", "-A")
	o.git("commit", "-q", "--allow-empty", "-m", "change")
	o.git(append([]string{"push", "-q", "origin", "main"}, more...)...)
	return gitops.Revision("main@sha1:" + o.git("rev-parse", "HEAD"))
}

// writeText writes a file for its owner alone, and gives its name.
func writeText(t *testing.T, file, text string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// meshSuite measures between all agents at the edge; once, or again and again.
func meshSuite(name, schedule, more string) string {
	return `suite "` + name + `" {}
agents "edge" { where = tags.role == "edge" }
path "mesh" { mesh = [agents.edge] }
profile "rtt" "probe" {
  interval = "10ms"
  duration = "300ms"
}
test "reach" {
  path    = path.mesh
  profile = profile.rtt.probe
  ` + schedule + `
  assert "alive" { condition = rtt.p50 <= 10 * s }
}
` + more
}

func (d *deployment) status() api.Status {
	d.t.Helper()
	var s api.Status
	if err := json.Unmarshal([]byte(d.must("status", "-json")), &s); err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *deployment) source(name string) gitops.Status {
	d.t.Helper()
	for _, s := range d.status().Sources {
		if s.Name == name {
			return s
		}
	}
	return gitops.Status{}
}

// ready waits until a revision is applied.
func (d *deployment) ready(source string, r gitops.Revision) {
	d.t.Helper()
	eventually(d.t, "applied "+string(r), func() bool {
		s := d.source(source)
		c := s.Condition(gitops.Ready)
		return c.Status == gitops.True && c.Revision == r && s.LastApplied == r
	})
}

// unready waits until a source is at fault for a reason; what is applied stays.
func (d *deployment) unready(source, reason string, stays gitops.Revision) gitops.Status {
	d.t.Helper()
	var s gitops.Status
	eventually(d.t, "a fault "+reason, func() bool {
		s = d.source(source)
		c := s.Condition(gitops.Ready)
		return c.Status == gitops.False && c.Reason == reason
	})
	if s.LastApplied != stays {
		d.t.Errorf("%s: applied is %s, want %s", reason, s.LastApplied, stays)
	}
	return s
}

// applied is what is applied of a suite.
func (d *deployment) applied(name string) api.SuiteState {
	d.t.Helper()
	c := d.client()
	s, err := c.Suite(d.t.Context(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	return s
}

func (d *deployment) client() *client.Client {
	d.t.Helper()
	admin, err := os.ReadFile(filepath.Join(d.path("controller"), "admin.token"))
	if err != nil {
		d.t.Fatal(err)
	}
	c, err := client.New(client.Options{URL: "https://" + d.http, Token: string(admin), Holder: "the test"})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

// records are those of all runs of a suite, the oldest run first.
func (d *deployment) records(suite string) []netp.Record {
	d.t.Helper()
	var list struct{ Runs []api.Run }
	if err := json.Unmarshal([]byte(d.must("runs", "-json", "-limit", "0")), &list); err != nil {
		d.t.Fatal(err)
	}
	var out []netp.Record
	for _, r := range list.Runs {
		if r.Report.Suite != suite {
			continue
		}
		var report netp.Report
		if err := json.Unmarshal([]byte(d.must("show", "-json", r.Report.Run)), &report); err != nil {
			d.t.Fatal(err)
		}
		out = append(report.Records, out...)
	}
	return out
}

// sessions counts the records of each path.
func sessions(records []netp.Record) map[string]int {
	out := map[string]int{}
	for _, r := range records {
		out[string(r.Session.Path.Source)+"->"+r.Session.Path.Dest]++
	}
	return out
}

// edge starts agents that the mesh suite measures between, and waits for them.
func (d *deployment) edge(names ...string) {
	d.t.Helper()
	for _, name := range names {
		d.agent(name, d.token(), "-tag", "role=edge")
	}
	for _, name := range names {
		d.await(netp.AgentID(name), "ready")
	}
}

// all waits until a suite has this many records, each of another session, and none
// of them bad.
func (d *deployment) all(suite string, want int) {
	d.t.Helper()
	var found []netp.Record
	eventually(d.t, fmt.Sprintf("%d records of %s", want, suite), func() bool {
		found = d.records(suite)
		return len(found) >= want
	})
	seen := sessions(found)
	if len(seen) != want || len(found) != want {
		d.t.Errorf("%d records of %s, want one of each of %d sessions: %v", len(found), suite, want, seen)
	}
	for _, r := range found {
		if r.Status != netp.Pass && r.Status != netp.Inconclusive { // a busy host makes instruments doubtful
			d.t.Errorf("%s of %s: %s, %+v", r.Session.Addr, suite, r.Status, r.Result.Failure)
		}
	}
}

// TestCommits follows a repository with the real program, through the changes that
// a repository goes through.
func TestCommits(t *testing.T) {
	o := newOrigin(t)
	first := o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", "")})
	d := deploy(t, buildNetp(t), "-repo", o.url(), "-interval", "300ms")
	d.edge("a", "b")
	d.ready("wan", first)
	d.all("mesh", 2)
	for _, r := range d.records("mesh") {
		if r.Revision != string(first) {
			t.Errorf("the record is of %q, want %s", r.Revision, first)
		}
	}

	d.edge("c") // an agent that comes is planned for without a commit
	d.all("mesh", 6)

	o.push(map[string]string{"mesh/suite.hcl": "suite {"}) // a bad commit changes nothing
	bad := d.unready("wan", gitops.ReasonLoad, first)
	if len(bad.Diagnostics) == 0 || bad.Diagnostics[0].Range == nil || bad.Diagnostics[0].Range.Filename != "mesh/suite.hcl" {
		t.Errorf("the diagnostics are %+v", bad.Diagnostics)
	}
	if text := d.must("status"); !strings.Contains(text, "STALLED LoadFailed") || !strings.Contains(text, "mesh/suite.hcl") {
		t.Errorf("the status does not tell:\n%s", text)
	}

	second := o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", ""), "more/suite.hcl": meshSuite("more", "", "")})
	d.ready("wan", second)
	d.all("more", 6)
	d.all("mesh", 6) // it did not change: nothing of it runs again

	o.git("reset", "-q", "--hard", "HEAD~1") // a history that is rewritten is refused
	o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", "# rewritten\n")}, "--force")
	d.unready("wan", gitops.ReasonRewritten, second)
	o.git("reset", "-q", "--hard", strings.TrimPrefix(string(second), "main@sha1:"))
	o.git("push", "-q", "--force", "origin", "main")
	d.ready("wan", second)

	d.must("suspend", "wan") // a suspended source waits, also over a restart
	third := o.push(map[string]string{"more": ""})
	d.controller.kill()
	d.startController()
	if s := d.source("wan"); !s.Suspended || s.Good != second {
		t.Errorf("after a restart the suspended source is %+v", s)
	}
	d.must("resume", "wan")
	d.ready("wan", third)
	if got := d.applied("more"); len(got.State.Tests) != 0 {
		t.Errorf("a suite that is gone is still applied: %+v", got.State)
	}
	for _, name := range []netp.AgentID{"a", "b", "c"} {
		d.await(name, "ready")
	}
	d.all("mesh", 6) // nothing ran twice for all that
	d.all("more", 6)

	if _, complaint, err := d.command("destroy", "mesh"); err == nil || !strings.Contains(complaint, "belongs to the source wan") {
		t.Errorf("destroy of a source's suite: %v %s", err, complaint)
	}
	if code := d.controller.terminate(); code != 0 {
		t.Errorf("the stopped controller exits with %d", code)
	}
	d.flags = nil // a source that is followed no more takes its suites along
	d.startController()
	if got := d.applied("mesh"); len(got.State.Tests) != 0 || got.Source != "" {
		t.Errorf("the suite of a source that is gone is still applied: %+v", got)
	}
}

// TestStandingCommit has a repository say what runs again and again: it goes on
// through a restart, without a turn begun twice, until the suite is gone.
func TestStandingCommit(t *testing.T) {
	binary := buildNetp(t)
	t.Run("SQLite", func(t *testing.T) { standingCommit(t, binary) })
	t.Run("PostgreSQL", func(t *testing.T) {
		standingCommit(t, binary, "-store", pgtest.Start(t).URL("postgres", "postgres"), "-retention", "90d")
	})
}

func standingCommit(t *testing.T, binary string, flags ...string) {
	o := newOrigin(t)
	first := o.push(map[string]string{"beat/suite.hcl": meshSuite("beat", `every = "3s"`, ""), "once/suite.hcl": meshSuite("once", "", "")})
	d := deploy(t, binary, append(flags, "-repo", o.url(), "-interval", "300ms")...)
	d.edge("a", "b")
	d.ready("wan", first)
	turns := func() int { return len(d.turns("beat")) }
	eventually(t, "two turns", func() bool { return turns() >= 2 })
	if s := d.status().Standing; len(s) != 1 || s[0].Suite != "beat" || s[0].Test != "test.reach" || s[0].Sessions != 2 || s[0].Next.IsZero() {
		t.Errorf("the standing tests are %+v", s)
	}
	if _, complaint, err := d.command("destroy", "beat"); err == nil || !strings.Contains(complaint, "belongs to the source wan") { // without a question
		t.Errorf("destroy of a source's standing tests: %v %s", err, complaint)
	}
	d.controller.kill()
	d.startController()
	before := turns()
	eventually(t, "more turns after a restart", func() bool { return turns() >= before+2 })
	o.push(map[string]string{"beat": ""})
	eventually(t, "no standing test", func() bool { return len(d.status().Standing) == 0 })
	d.all("once", 2)
	seen := map[string]bool{}
	for _, r := range d.turns("beat") {
		if r.Slot == nil || r.Trigger != store.BySchedule || r.Report.Revision != string(first) {
			t.Fatalf("the turn is %+v", r)
		}
		key := r.Slot.Start.String()
		if seen[key] {
			t.Errorf("the turn of %s was begun twice", key)
		}
		seen[key] = true
	}
	eventually(t, "every turn has ended", func() bool {
		for _, r := range d.turns("beat") {
			if r.State != "ended" {
				return false
			}
		}
		return true
	})
	for _, r := range d.turns("beat") {
		if n := r.Report.Counts.Total(); n != 2 {
			t.Errorf("the turn of %v has %d records, want 2: %+v", r.Slot, n, r.Report.Counts)
		}
	}
}

// turns are the runs of a suite.
func (d *deployment) turns(suite string) []api.Run {
	d.t.Helper()
	runs, err := d.client().Runs(d.t.Context(), suite, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	return runs
}

// TestApplyOutlivesTheController has netp apply wait for a run while its controller is
// killed and started again: the command attaches by itself and gets the whole report.
func TestApplyOutlivesTheController(t *testing.T) {
	d := deploy(t, buildNetp(t))
	d.edge("a", "b")
	suite := t.TempDir()
	text := strings.Replace(meshSuite("long", "", ""), `"300ms"`, `"8s"`, 1)
	writeText(t, filepath.Join(suite, "suite.hcl"), text)
	admin, err := os.ReadFile(filepath.Join(d.path("controller"), "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	d.env = []string{"NETP_CONTROLLER=https://" + d.http, "NETP_TOKEN=" + string(admin)}
	command := d.start(nil, "apply", "-json", "-inconclusive=pass", suite)
	command.awaitOutput(`"session_start"`)
	d.env = nil
	if shown := d.must("show"); !strings.Contains(shown, "RUNNING: 2 sessions in all") {
		t.Errorf("the run that goes on is shown as\n%s", shown)
	}
	d.controller.kill()
	d.startController()
	again := d.commandEventually("apply", "-json", "-inconclusive=pass", suite) // the same command attaches, too
	if code := command.exit(); code != 0 {
		t.Errorf("the command exits with %d:\n%s%s", code, command.out, command.log)
	}
	for _, out := range []string{command.out.String(), again} {
		if n := strings.Count(out, `"type":"session_complete"`); n != 2 {
			t.Errorf("%d sessions are told, want 2:\n%s", n, out)
		}
	}
	if runs := d.turns("long"); len(runs) != 1 || runs[0].State != "ended" || runs[0].Report.Counts.Total() != 2 {
		t.Errorf("the runs are %+v", runs)
	}
}

// commandEventually runs a command that may have to be repeated.
func (d *deployment) commandEventually(args ...string) (stdout string) {
	d.t.Helper()
	eventually(d.t, strings.Join(args, " "), func() bool {
		out, _, err := d.command(args...)
		stdout = out
		return err == nil
	})
	return stdout
}
