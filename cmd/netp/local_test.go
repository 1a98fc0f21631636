package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netpupper/netp/runner"
)

const twoLengths = `
suite "s" {}
agent "a" {}
agent "b" {}
path "p" {
  from = agent.a
  to   = agent.b
}
profile "rtt" "short" { count = 1 }
profile "rtt" "long" { duration = "1h" }
test "short" {
  path    = path.p
  profile = profile.rtt.short
}
test "long" {
  path    = path.p
  profile = profile.rtt.long
}
`

// place is a suite of two tests and what its runs see of the world.
type place struct {
	t           *testing.T
	suite, temp string
}

func newPlace(t *testing.T) place {
	temp, err := os.MkdirTemp("", "np") // short: plugins have sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(temp) })
	p := place{t, t.TempDir(), temp}
	if err := os.WriteFile(filepath.Join(p.suite, "main.hcl"), []byte(twoLengths), 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// netp makes a command that has the suite as its working directory.
func (p place) netp(args ...string) *exec.Cmd {
	c := exec.Command("netp", args...)
	c.Dir, c.Env = p.suite, append(os.Environ(), "TMPDIR="+p.temp)
	return c
}

// must gives what a command prints that has to end with the exit code.
func (p place) must(code int, args ...string) string {
	p.t.Helper()
	c := p.netp(args...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() != code {
		p.t.Fatalf("netp %v: %v, want exit %d\n%s", args, err, code, out)
	}
	return string(out)
}

// begin starts a run that only a signal ends, and waits until its short session is over.
func (p place) begin() *exec.Cmd {
	c := p.netp("apply", "-json")
	out, err := c.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		p.t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), `"session_complete"`); {
	}
	return c
}

func (p place) kill(c *exec.Cmd) {
	p.t.Helper()
	if err := c.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = c.Wait() // killed
}

// TestKilledRunIsSwept kills a local run; the next one removes what it left in the
// directory for temporary files.
func TestKilledRunIsSwept(t *testing.T) {
	p := newPlace(t)
	p.kill(p.begin())
	if left, err := os.ReadDir(p.temp); err != nil || len(left) == 0 {
		t.Fatalf("the killed run left %v, %v: the test needs something to sweep", left, err)
	}
	p.must(exitPass, "apply", "-target=test.short")
	if left, err := os.ReadDir(p.temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestOneLocalRunAtATime: who applies meanwhile is told of the run, and the lock ends with its process.
func TestOneLocalRunAtATime(t *testing.T) {
	p := newPlace(t)
	p.must(exitPass, "plan", "-target=test.short", "-out=saved.plan")
	first := p.begin()
	for _, args := range [][]string{{"apply"}, {"apply", "-target=test.short"}, {"apply", "saved.plan"}, {"destroy", "s"}} {
		out := p.must(exitError, args...)
		who := fmt.Sprintf("a suite that keeps its runs in .netp is being applied by process %d since 20", first.Process.Pid)
		if !strings.Contains(out, who) || !strings.Contains(out, "Wait for it to end, or end that process") {
			t.Errorf("netp %v: want %q\n%s", args, who, out)
		}
		if strings.Contains(out, "Schedule") {
			t.Errorf("netp %v: a plan that will not run is shown\n%s", args, out)
		}
	}
	for command, want := range map[string]string{"show": "RUNNING: 2 sessions in all", "runs": "running", "runs -json": `"state": "running"`} {
		if out := p.must(exitPass, strings.Fields(command)...); !strings.Contains(out, want) {
			t.Errorf("netp %s of a run in progress: want %q\n%s", command, want, out)
		}
	}
	p.kill(first)
	for command, want := range map[string]string{"show": "DID NOT END: its process was killed", "runs": "did not end", "runs -json": `"state": "killed"`} {
		if out := p.must(exitPass, strings.Fields(command)...); !strings.Contains(out, want) {
			t.Errorf("netp %s of a killed run: want %q\n%s", command, want, out)
		}
	}
	p.must(exitPass, "apply", "-target=test.short")
	if out := p.must(exitPass, "destroy", "s"); !strings.HasSuffix(out, "Forgot the applied tests of suite s, 2 in all. Its runs are kept: netp runs\n") {
		t.Errorf("netp destroy after the runs:\n%s", out)
	}

	second := p.begin()
	if out := p.must(exitPass, "runs"); strings.Count(out, "running") != 1 || strings.Count(out, "did not end") != 1 {
		t.Errorf("want one run in progress and one killed\n%s", out)
	}
	p.kill(second)
}

// TestDeliveryBelongsToTheRun: what is applied stays as it is until the sinks have the records of its run. They are those of the plan,
// whatever the suite says without the plan's variables.
func TestDeliveryBelongsToTheRun(t *testing.T) {
	p, plugins := newPlace(t), t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(plugins, "netp-sink-webhook"), "github.com/netpupper/netp/plugins/webhook")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	meanwhile := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		out, _ := p.netp("destroy", "s").CombinedOutput()
		meanwhile <- string(out)
	}))
	defer receiver.Close()
	sink := "variable \"to\" { default = \"http://127.0.0.1:1\" }\nsink \"webhook\" \"w\" { url = var.to }\n"
	if err := os.WriteFile(filepath.Join(p.suite, "sink.hcl"), []byte(sink), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NETP_PLUGIN_DIR", plugins)
	p.must(exitPass, "plan", "-target=test.short", "-var=to="+receiver.URL, "-out=saved.plan")
	if out := p.must(exitPass, "apply", "saved.plan"); !strings.Contains(out, "1 records delivered") {
		t.Fatalf("nothing was delivered\n%s", out)
	}
	if out := <-meanwhile; !strings.Contains(out, "is being applied by process") {
		t.Errorf("netp destroy during the delivery:\n%s", out)
	}
	p.must(exitPass, "destroy", "s")
}

// TestHistoryThatCannotBeWritten reads runs where SQLite cannot make its log. A directory in its place keeps root from that, too.
func TestHistoryThatCannotBeWritten(t *testing.T) {
	p := newPlace(t)
	p.must(exitPass, "apply", "-target=test.short")
	if err := os.Mkdir(filepath.Join(p.suite, ".netp", "netp.db-wal"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"show", "runs", "history"} {
		p.must(exitPass, command)
	}
	p.must(exitError, "apply", "-target=test.short")
	p.must(exitError, "destroy", "s")
}

// TestAppliedSincePlanned: somebody who made no plan is not told to make a new one.
func TestAppliedSincePlanned(t *testing.T) {
	p := newPlace(t)
	a := newApp(environment{
		stdout: io.Discard, stderr: io.Discard, now: time.Now,
		lookup: func(string) (string, bool) { return "", false },
	})
	made, b, err := a.plan(t.Context(), p.suite, planning{targets: []string{"test.short"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Apply(t.Context(), made, func(runner.Event) {}); err != nil {
		t.Fatal(err)
	}
	want := "something else was applied of the suite s since this command began\nRun it again."
	if _, err := b.Apply(t.Context(), made, func(runner.Event) {}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestMendable: who has no room for the files of a run is told where to put them, and nobody else.
func TestMendable(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		path string
		told bool
	}{
		"an agent's file": {filepath.Join(dir, "agent-0", "installation.new"), true},
		"another file":    {filepath.Join(t.TempDir(), "agent-0", "netp.db"), false},
	} {
		full := &fs.PathError{Op: "write", Path: c.path, Err: syscall.ENOSPC}
		if got := mendable(fmt.Errorf("agent a: %w", full), dir); !errors.Is(got, full) || strings.Contains(got.Error(), "set TMPDIR") != c.told {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := mendable(nil, dir); err != nil {
		t.Error(err)
	}
}
