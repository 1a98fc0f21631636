package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPluginLock pins a suite's plugin with netp init: the program that was pinned
// runs, another one does not, and nothing is pinned by accident.
func TestPluginLock(t *testing.T) {
	binary := buildNetp(t)
	plugins, suite := t.TempDir(), t.TempDir()
	buildPlugin(t, plugins, "jsonl")
	text := meshSuite("locked", "", sinkBlock("noc", "out.jsonl")) + "\nagent \"a\" { tags = { role = \"edge\" } }\nagent \"b\" { tags = { role = \"edge\" } }\n"
	writeText(t, filepath.Join(suite, "suite.hcl"), text)
	netp := func(args ...string) (string, error) {
		c := exec.CommandContext(t.Context(), binary, args...)
		c.Env = append(os.Environ(), "NETP_PLUGIN_DIR="+plugins, "NETP_CONTROLLER=")
		out, err := c.CombinedOutput()
		return strings.Join(strings.Fields(string(out)), " "), err // lines are folded
	}
	if out, err := netp("plan", suite); err != nil {
		t.Fatalf("without a lock: %v\n%s", err, out)
	}
	for range 2 { // the second time nothing changes
		if out, err := netp("init", suite); err != nil || !strings.Contains(out, "Plugin jsonl") || !strings.Contains(out, "sha256:") {
			t.Fatalf("init: %v\n%s", err, out)
		}
	}
	lock := filepath.Join(suite, ".netp.lock.hcl")
	pinned, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := netp("plan", suite); err != nil {
		t.Errorf("with the pinned plugin: %v\n%s", err, out)
	}
	program := filepath.Join(plugins, "netp-sink-jsonl")
	honest, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, append(honest, 0), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"plan", "init"} {
		if out, err := netp(command, suite); err == nil || !strings.Contains(out, "not the program that was locked") {
			t.Errorf("%s with another program: %v\n%s", command, err, out)
		}
	}
	if after, err := os.ReadFile(lock); err != nil || string(after) != string(pinned) {
		t.Errorf("the lock has changed: %v\n%s", err, after)
	}
	writeText(t, lock, "plugin \"jsonl\" {}\n")
	if out, err := netp("plan", suite); err == nil || !strings.Contains(out, ".netp.lock.hcl") {
		t.Errorf("with a broken lock: %v\n%s", err, out)
	}
	writeText(t, lock, "")
	if out, err := netp("plan", suite); err == nil || !strings.Contains(out, "not in the lock file") {
		t.Errorf("with an empty lock: %v\n%s", err, out)
	}
}
