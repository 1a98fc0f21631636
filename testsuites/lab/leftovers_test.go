//go:build linux

package lab_test

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
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/testsuites/lab"
)

// victim makes a lab with names and a program in it, tells of them, and waits to be killed.
const victim = "NETP_LAB_TEST_VICTIM"

// TestVictim is not a test but the process that TestNothingIsLeft kills.
func TestVictim(t *testing.T) {
	prefix := os.Getenv(victim)
	if prefix == "" {
		return
	}
	l := must(lab.New(lab.Options{Prefix: prefix}))(t)
	must(l.Build(wan()))(t)
	host := must(l.Node("extra"))(t)
	program := exec.Command("sleep", "1000")
	check(t, host.Start(program))
	fmt.Printf("made %d %d\n", l.Emulator.PID(), program.Process.Pid)
	os.Stdout.Sync()
	select {}
}

// TestNothingIsLeft kills the owner of a lab: its emulator, the programs in it and the names of its namespaces go, too.
func TestNothingIsLeft(t *testing.T) {
	if !mayName() {
		t.Log("only root names namespaces: without names")
	}
	prefix := fmt.Sprintf("netp-lab-test%d", os.Getpid())
	owner := exec.Command("/proc/self/exe", "-test.run=^TestVictim$")
	owner.Args[0] = os.Args[0] // an insider stays one
	owner.Env = append(os.Environ(), victim+"="+prefix)
	if !mayName() {
		check(t, lab.OwnRun())
	}
	out := must(owner.StdoutPipe())(t)
	owner.Stderr = os.Stderr
	check(t, owner.Start())
	t.Cleanup(func() { owner.Process.Kill(); owner.Wait() })
	var emulator, program int
	lines := bufio.NewScanner(out)
	for emulator == 0 && lines.Scan() {
		fmt.Sscanf(lines.Text(), "made %d %d", &emulator, &program)
	}
	if emulator == 0 {
		t.Fatal("the lab was not made")
	}
	if found := named(t, prefix); found < 8 {
		t.Fatalf("%d named namespaces; want those of five sites and two carriers, and one more", found)
	}
	check(t, owner.Process.Signal(syscall.SIGKILL))
	for end := time.Now().Add(patience); ; {
		left := named(t, prefix)
		if left == 0 && gone(emulator) && gone(program) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%v after the owner was killed: %d names, emulator gone %v, program gone %v", patience, left, gone(emulator), gone(program))
		}
		<-time.After(5 * time.Millisecond)
	}
}

func mayName() bool {
	return unix.Access("/run/netns", unix.W_OK) == nil || unix.Access("/run", unix.W_OK) == nil
}

func named(t *testing.T, prefix string) int {
	t.Helper()
	found := must(filepath.Glob("/run/netns/" + prefix + "-*"))(t)
	return len(found)
}

// gone says whether a process has ended; a zombie has.
func gone(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return true
	}
	_, rest, _ := strings.Cut(string(status), ") ")
	return strings.HasPrefix(rest, "Z")
}

// TestWithoutRoot runs tests of this package as a user without rights, in a user namespace.
func TestWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 || lab.IsInside() {
		return // they run so anyway
	}
	c := exec.Command("/proc/self/exe", "-test.run=^(TestCountersAreTheTruth|TestSickness|TestWAN|TestEqualCost|TestNAT|TestNothingIsLeft)$")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	c.Env = append(os.Environ(), "NETP_REQUIRE_LAB=1", "HOME=/")
	c.Dir = "/"
	out, err := c.CombinedOutput()
	if err != nil && strings.Contains(string(out), lab.ErrPrivilege.Error()) {
		t.Log("this system lets no user make user namespaces")
		return
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
