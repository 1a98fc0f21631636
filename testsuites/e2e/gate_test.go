package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gateSuite is a suite whose sessions number agents × (agents - 1).
func gateSuite(agents, packets int, condition string) string {
	return fmt.Sprintf(`suite "gate" {}

agent "a" {
  for_each = toset([for i in range(%d) : tostring(i)])
}

path "p" {
  mesh = [agent.a]
}

profile "rtt" "r" {
  interval = "5ms"
  count    = %d
}

test "reach" {
  path    = path.p
  profile = profile.rtt.r

  assert "limit" { condition = %s }
}
`, agents, packets, condition)
}

// Conditions that a loopback passes, fails, and cannot decide with few packets.
const (
	passes    = "rtt.p50 <= 1 * s"
	fails     = "rtt.max <= 1 * ns"
	undecided = "loss.ratio <= 0.001 * percent"
)

// ciRunner is a forge's way to run a job, with where it finds its settings.
type ciRunner struct {
	name string
	run  func(f *forge, job string) (int, string)
	key  func(variable string) string
	jobs map[string]string // plan, apply
}

func ciRunners() []ciRunner {
	return []ciRunner{
		{"github", (*forge).github, func(v string) string {
			if v == "NETP_CONTROLLER" || v == "NETP_TOKEN" {
				return "secrets." + v
			}
			return "vars." + v
		}, map[string]string{"plan": "plan", "apply": "apply"}},
		{"gitlab", (*forge).gitlab, func(v string) string { return v }, map[string]string{"plan": "netp plan", "apply": "netp apply"}},
	}
}

// summary is what a job leaves for the reader: the step summary, or the file.
func (f *forge) summary(r ciRunner, file string) string {
	if r.name == "github" {
		return f.read(f.bin, "summary.md")
	}
	return f.file(file)
}

// TestGate runs the templates of deploy/ci as the forges do, as far as that goes
// without the forge.
func TestGate(t *testing.T) {
	binary := buildNetp(t)
	for _, r := range ciRunners() {
		t.Run(r.name, func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, string, ciRunner){
				"plan": gatePlan, "verdicts": gateVerdicts, "many sessions": gateMany, "no controller": gateNoController,
			} {
				t.Run(name, func(t *testing.T) { test(t, binary, r) })
			}
		})
	}
	t.Run("controller", func(t *testing.T) { gateController(t, deploy(t, binary)) })
	t.Run("cancelled", func(t *testing.T) { gateCancelled(t, binary) })
}

func (r ciRunner) forge(t *testing.T, binary, suite string, settings ...string) *forge {
	values := map[string]string{"github.token": "t", "github.event.pull_request.number": "7"}
	for _, s := range append(settings, "NETP_SUITE=.", "NETP_VERSION=v0.1.0") {
		name, value, _ := strings.Cut(s, "=")
		values[r.key(name)] = value
	}
	return newForge(t, binary, suite, values)
}

func gatePlan(t *testing.T, binary string, r ciRunner) {
	f := r.forge(t, binary, gateSuite(2, 100, passes), "NETP_COMMENT=true")
	if code, out := r.run(f, r.jobs["plan"]); code != 0 {
		t.Errorf("a plan ends with %d:\n%s", code, out)
	}
	if text := f.summary(r, "netp-plan.md"); !strings.HasPrefix(text, "## netp plan: gate\n") || !strings.Contains(text, "Plan: 1 test to add") {
		t.Errorf("the summary is\n%s", text)
	}
	if calls := f.calls(); !strings.Contains(calls, "go install github.com/netpupper/netp/cmd/netp@v0.1.0\n") {
		t.Errorf("called:\n%s", calls)
	}
	if calls := f.calls(); r.name == "github" && !strings.Contains(calls, "gh pr comment 7 ") {
		t.Errorf("no comment is made:\n%s", calls)
	}
	if _, err := os.Stat(filepath.Join("..", "..", "cmd", "netp", "main.go")); err != nil {
		t.Errorf("what is installed is not where the templates say: %v", err)
	}

	broken := r.forge(t, binary, gateSuite(2, 100, "rtt.p98 <= 1 * s"))
	if code, out := r.run(broken, r.jobs["plan"]); code != 1 || !strings.Contains(out, "suite.hcl line") {
		t.Errorf("a broken suite ends with %d:\n%s", code, out)
	}
	if text := broken.summary(r, "netp-plan.md"); r.name == "github" && (!strings.Contains(text, "There is no plan") || !strings.Contains(text, "rtt.p98")) {
		t.Errorf("the summary of a broken suite is\n%s", text)
	}
	ugly := r.forge(t, binary, strings.ReplaceAll(gateSuite(2, 100, passes), "  ", " "))
	if code, out := r.run(ugly, r.jobs["plan"]); code != 3 {
		t.Errorf("a suite that is not canonical ends with %d:\n%s", code, out)
	}
}

func gateVerdicts(t *testing.T, binary string, r ciRunner) {
	for _, c := range []struct {
		name, suite, inconclusive, says string
		code, skipped                   int
	}{
		{"pass", gateSuite(2, 100, passes), "", "PASS", 0, 0},
		{"fail", gateSuite(2, 100, fails), "", "FAIL", 99, 0},
		{"inconclusive", gateSuite(2, 20, undecided), "", "INCONCLUSIVE", 75, 2},
		{"inconclusive passes", gateSuite(2, 20, undecided), "pass", "INCONCLUSIVE", 0, 2},
		{"inconclusive fails", gateSuite(2, 20, undecided), "fail", "INCONCLUSIVE", 99, 2},
	} {
		var f *forge
		code, out := 0, ""
		for range 5 { // on a busy machine netp may distrust itself
			f = r.forge(t, binary, c.suite, "NETP_LOCAL=true", "NETP_INCONCLUSIVE="+c.inconclusive)
			if code, out = r.run(f, r.jobs["apply"]); code != 75 || c.code == 75 {
				break
			}
		}
		if code != c.code {
			t.Errorf("%s: exit code %d, want %d:\n%s", c.name, code, c.code, out)
		}
		if text := f.summary(r, "netp-report.md"); !strings.Contains(text, c.says) {
			t.Errorf("%s: the summary is\n%s", c.name, text)
		}
		f.junit(2, c.skipped)
	}
	if r.name == "gitlab" {
		var any struct{}
		j := gitlabJobs(t, &any)["netp apply"]
		if j.AllowFailure.ExitCodes != 75 || j.Artifacts.When != "always" || !slices.Contains(j.Artifacts.Paths, j.Artifacts.Reports.JUnit) {
			t.Errorf("the job is %+v", j)
		}
	}
}

// junit checks the JUnit file with another reader.
func (f *forge) junit(cases, skipped int) {
	f.t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		f.t.Skip("needs xmllint: apt-get install libxml2-utils")
	}
	const query = `concat(count(//testcase), " ", /testsuites/@tests, " ", count(//testcase/skipped))`
	out, err := exec.Command("xmllint", "--xpath", query, filepath.Join(f.dir, "netp-junit.xml")).CombinedOutput()
	if want := fmt.Sprintf("%d %d %d", cases, cases, skipped); err != nil || strings.TrimSpace(string(out)) != want {
		f.t.Errorf("JUnit has cases, tests, skipped %s, %v; want %s", out, err, want)
	}
}

// gateMany holds the report to the size of a comment.
func gateMany(t *testing.T, binary string, r ciRunner) {
	const agents = 21
	f := r.forge(t, binary, gateSuite(agents, 3, fails+" || "+undecided), "NETP_LOCAL=true")
	code, out := r.run(f, r.jobs["apply"])
	if f.file("netp-report.md") == "" { // whatever the verdict on so many at once
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	text := f.summary(r, "netp-report.md")
	if n := len([]rune(text)); n > 65_000 || n < 20_000 {
		t.Errorf("the report of %d sessions has %d characters", agents*(agents-1), n)
	}
	if n := strings.Count(text, "```"); n%2 != 0 {
		t.Errorf("%d fences: one is open", n)
	}
	if open, closed := strings.Count(text, "<details>"), strings.Count(text, "</details>"); open == 0 || open != closed {
		t.Errorf("%d details are opened, %d closed", open, closed)
	}
	if !regexp.MustCompile(`… and \d+ sessions more; see`).MatchString(text) {
		t.Errorf("what is left out is not counted:\n%.300s", text)
	}
	for i, line := range strings.Split(text, "\n") { // a table's rows have as many cells as its head
		if strings.HasPrefix(line, "|") && strings.Count(line, "|") != strings.Count(firstWith(text, "|"), "|") {
			t.Fatalf("line %d is no row of the table: %s", i+1, line)
		}
	}
	if cases := f.file("netp-junit.xml"); strings.Count(cases, "<testcase ") != agents*(agents-1) {
		t.Errorf("JUnit has %d cases", strings.Count(cases, "<testcase "))
	}
}

func firstWith(text, prefix string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
	return ""
}

// gateNoController: a job without its secrets must not pass by testing itself.
func gateNoController(t *testing.T, binary string, r ciRunner) {
	f := r.forge(t, binary, gateSuite(2, 100, passes))
	if code, out := r.run(f, r.jobs["apply"]); code != 1 || !strings.Contains(out, "There is no controller") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if f.file("netp-junit.xml") != "" {
		t.Error("there is a report")
	}
}

// gateController applies to a real controller, with the secrets as settings.
func gateController(t *testing.T, d *deployment) {
	for _, name := range []string{"a-0", "a-1"} {
		d.agent(name, d.token())
	}
	d.await("a-0", "ready")
	d.await("a-1", "ready")
	token, err := os.ReadFile(d.path("controller/admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range ciRunners() {
		f := r.forge(t, d.binary, gateSuite(2, 100, fails), "NETP_CONTROLLER=https://"+d.http, "NETP_TOKEN="+string(token), "NETP_INCONCLUSIVE=fail")
		if code, out := r.run(f, r.jobs["plan"]); code != 0 {
			t.Errorf("%s: the plan ends with %d:\n%s", r.name, code, out)
		}
		if code, out := r.run(f, r.jobs["apply"]); code != 99 || strings.Contains(out, strings.TrimSpace(string(token))) {
			t.Errorf("%s: exit code %d, or the token is printed:\n%s", r.name, code, out)
		}
	}
	if runs := d.must("runs"); strings.Count(runs, "gate") != 2 {
		t.Errorf("the controller's runs are\n%s", runs)
	}
}

// gateCancelled interrupts the job's shell, as GitHub does: netp has its place.
func gateCancelled(t *testing.T, binary string) {
	r := ciRunners()[0]
	f := r.forge(t, binary, strings.Replace(gateSuite(2, 100, passes), `"5ms"`, `"1s"`, 1))
	var w workflow
	readYAML(t, "github/netp.yml", &w)
	script := ""
	for _, s := range w.Jobs["apply"].Steps {
		if s.Name == "Apply" {
			script = s.Run
		}
	}
	file := filepath.Join(f.bin, "apply.sh")
	f.write(file, script, 0o600)
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	cmd.Dir = f.dir
	out := new(text)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "PATH="+f.bin+":"+os.Getenv("PATH"), "NETP_LOCAL=true", "NETP_CONTROLLER=", "NETP_SUITE=.")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its exit code is looked at
		close(ended)
	}()
	defer func() { _ = cmd.Process.Kill() }()
	eventually(t, "the run has begun", func() bool { return f.file(".netp/netp.db") != "" })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("the job goes on:\n%s", out)
	}
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130:\n%s", code, out)
	}
}
