package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/netpupper/netp/testsuites/lab"
)

// TestLab tells the story of a lab. It needs root, or it would be told in a user namespace, without the part of lab up.
func TestLab(t *testing.T) {
	if !lab.Privileged() {
		if os.Getenv("NETP_REQUIRE_LAB") != "" {
			t.Fatal(lab.ErrPrivilege)
		}
		t.Skip(lab.ErrPrivilege)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/lab", UpdateScripts: *update, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "crash": crash},
		Setup: func(e *testscript.Env) error {
			name := fmt.Sprintf("t%d", os.Getpid())
			e.Setenv("LAB", name)
			e.Setenv("NETP_VAR_lab", name)
			e.Defer(func() { endKeeper(name) })
			text := fmt.Sprintf(labText, name)
			return os.WriteFile(filepath.Join(e.WorkDir, "lab.hcl"), []byte(text), 0o644)
		},
	})
}

// labText is a lab whose site per loses every tenth packet of voice that comes to it.
const labText = `name = %q
carrier "telco-a" { delay = "2ms" }
carrier "telco-b" {}
carrier "noisy" { corrupt = 10 * percent }
site "syd" {
  dns { names = { "per.example" = "10.1.3.10" } }
}
site "mel" {
  dns { fail = "servfail" }
}
site "per" {
  line "telco-a" {
    down { loss_every = 10 }
  }
}
site "adl" {
  block { protocol = "udp" }
}
site "drw" { nat = true }
site "hba" {}
site "cbr" {}
`

// endKeeper ends the keeper that a failed script has left.
func endKeeper(name string) {
	if checkNotUp(name) == nil {
		return
	}
	text, err := os.ReadFile(labFile(name))
	if err != nil {
		return
	}
	if keeper, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
		syscall.Kill(keeper, syscall.SIGTERM)
	}
}

// crash kills a lab's keeper and its emulator, so that nobody tidies up.
func crash(ts *testscript.TestScript, _ bool, args []string) {
	text, err := os.ReadFile(labFile(args[0]))
	ts.Check(err)
	keeper, err := strconv.Atoi(strings.TrimSpace(string(text)))
	ts.Check(err)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", keeper, keeper))
	ts.Check(err)
	all := []int{}
	for f := range strings.FieldsSeq(string(children)) {
		child, err := strconv.Atoi(f)
		ts.Check(err)
		all = append(all, child)
	}
	for _, pid := range append(all, keeper) {
		ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	}
	for end := time.Now().Add(30 * time.Second); checkNotUp(args[0]) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			ts.Fatalf("the keeper holds its lock although it was killed")
		}
	}
}
