package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
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

// TestKilledRunIsSwept kills a local run; the next one removes what it left in the
// directory for temporary files.
func TestKilledRunIsSwept(t *testing.T) {
	suite, temp := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(suite, "main.hcl"), []byte(twoLengths), 0o600); err != nil {
		t.Fatal(err)
	}
	netp := func(args ...string) *exec.Cmd {
		c := exec.Command("netp", append(args, suite)...)
		c.Env = append(os.Environ(), "TMPDIR="+temp)
		return c
	}
	killed := netp("apply", "-json")
	out, err := killed.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && !strings.Contains(lines.Text(), `"session_complete"`); {
	}
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.Wait()
	if left, err := os.ReadDir(temp); err != nil || len(left) == 0 {
		t.Fatalf("the killed run left %v, %v: the test needs something to sweep", left, err)
	}
	if out, err := netp("apply", "-target=test.short").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
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
