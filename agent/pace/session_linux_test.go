package pace

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const preferring = "NETP_TEST_PREFERS"

// TestMain lets the test's own program be the process that asks.
func TestMain(m *testing.M) {
	if os.Getenv(preferring) != "" {
		granted := PreferSession()
		group, _ := os.ReadFile("/proc/self/autogroup")
		fmt.Print(granted, " ", string(group))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestOnlyALeaderPrefersItsSession: root's session of its own is preferred, where the kernel knows sessions, and one that others started
// is left alone.
func TestOnlyALeaderPrefersItsSession(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("only root may prefer a session")
	}
	ours, unknown := os.ReadFile("/proc/self/autogroup")
	_, nice, _ := strings.Cut(string(ours), " ") // "/autogroup-25 nice 0"
	for _, leads := range []bool{true, false} {
		want, nice := leads && unknown == nil, nice
		if want {
			nice = fmt.Sprintf("nice %d\n", raised)
		}
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), preferring+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: leads}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if granted := strings.HasPrefix(string(out), "true"); granted != want || !strings.HasSuffix(string(out), nice) {
			t.Errorf("leader of its session %v: %q; want it granted %v, and %q", leads, out, want, nice)
		}
	}
}
