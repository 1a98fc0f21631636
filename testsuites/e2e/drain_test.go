package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpupper/netp"
)

// drainSuite is one session from syd to mel.
const drainSuite = `
suite "drain" {}
agent "syd" {}
agent "mel" {}
path "p" {
  from = agent.syd
  to   = agent.mel
}
profile "rtt" "probe" {
  interval = "10ms"
  LENGTH
}
test "reach" {
  path    = path.p
  profile = profile.rtt.probe
  assert "alive" { condition = rtt.p50 <= 10 * s }
}
`

func (d *deployment) suite(length string) (dir string) {
	d.t.Helper()
	dir = d.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(strings.Replace(drainSuite, "LENGTH", length, 1)), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return dir
}

// as runs netp with another token.
func (d *deployment) as(token string, args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	c := exec.CommandContext(d.t.Context(), d.binary, args...)
	c.Env = append(os.Environ(), "NETP_CONTROLLER=https://"+d.http, "NETP_TOKEN="+token)
	var out, complaints text
	c.Stdout, c.Stderr = &out, &complaints
	_ = c.Run() // the exit code says it
	return out.String(), complaints.String(), c.ProcessState.ExitCode()
}

// measured reports whether a run had its data: passed, or inconclusive on a machine too busy.
func measured(code int) bool { return code == 0 || code == 75 }

// running waits until an agent runs a session.
func (d *deployment) running(name netp.AgentID) {
	d.t.Helper()
	eventually(d.t, string(name)+" runs a session", func() bool {
		_, a := d.state(name)
		return a.Running == 1
	})
}

// daemonsDrain takes an agent out of service by command, and by the signal.
func daemonsDrain(t *testing.T, d *deployment) {
	mel := d.agent("mel", d.token())
	d.agent("syd", d.token())
	d.await("syd", "ready")
	d.await("mel", "ready")
	operator := strings.TrimSpace(d.must("tokens", "create", "-role", "operator", "-name", "ci"))
	viewer := strings.TrimSpace(d.must("tokens", "create", "-role", "viewer", "-name", "wall", "-ttl", "1h"))
	if _, complaint, code := d.as(viewer, "agents", "drain", "mel"); code != 1 || !strings.Contains(complaint, "needs the role operator") {
		t.Errorf("a viewer drains: %d %s", code, complaint)
	}
	long := d.suite(`duration = "8s"`) // agents tell what they run every few seconds
	ended := make(chan int, 1)
	go func() {
		_, _, code := d.as(operator, "apply", "-auto-approve", long)
		ended <- code
	}()
	d.running("mel")
	if out, complaint, code := d.as(operator, "agents", "drain", "mel"); code != 0 || !strings.Contains(out, "gets no new ones") {
		t.Fatalf("drain: %d %s", code, complaint)
	}
	if code := <-ended; !measured(code) {
		t.Errorf("the session in progress when the agent was drained: exit code %d", code)
	}
	refused := func(when string) {
		t.Helper()
		d.await("syd", "ready")
		d.await("mel", "drained")
		out, complaint, code := d.as(operator, "apply", "-auto-approve", d.suite("count = 20"))
		if code != 1 || !strings.Contains(complaint+out, "mel is drained") {
			t.Errorf("%s: exit code %d, want 1 and a reason\n%s%s", when, code, out, complaint)
		}
	}
	refused("drained")
	if code := mel.terminate(); code != 0 {
		t.Errorf("the stopped agent exits with %d", code)
	}
	mel = d.start(nil, "agent", "-data", d.path("mel"), "-listen", "127.0.0.1:0")
	refused("after a restart of the agent")
	d.controller.kill()
	d.startController()
	refused("after a restart of the controller")
	if _, complaint, code := d.as(operator, "agents", "resume", "mel"); code != 0 {
		t.Fatalf("resume: %d %s", code, complaint)
	}
	d.await("mel", "ready")
	d.await("syd", "ready")
	// The signal drains, too: the session in progress comes to its end, then the agent leaves.
	go func() {
		_, _, code := d.as(operator, "apply", "-auto-approve", long)
		ended <- code
	}()
	d.running("mel")
	if code := mel.terminate(); code != 0 {
		t.Errorf("the agent told to stop during a session exits with %d", code)
	}
	if code := <-ended; !measured(code) {
		t.Errorf("the session in progress when the agent was told to stop: exit code %d", code)
	}
	if list := d.must("tokens", "list"); !strings.Contains(list, "ci") || !strings.Contains(list, "operator") || strings.Contains(list, operator[80:]) {
		t.Errorf("the tokens are\n%s", list)
	}
	d.must("tokens", "revoke", "ci")
	if _, complaint, code := d.as(operator, "agents"); code != 1 || !strings.Contains(complaint, "missing, wrong or expired") {
		t.Errorf("a revoked token: %d %s", code, complaint)
	}
	if table := d.must("agents"); !strings.Contains(table, "health") {
		t.Errorf("the table is\n%s", table)
	}
}
