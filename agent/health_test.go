package agent

import (
	"runtime"
	"testing"
	"time"

	"github.com/netpupper/netp"
)

func TestHealthChecks(t *testing.T) {
	cores := float64(runtime.NumCPU())
	for name, c := range map[string]struct {
		check netp.Check
		ok    bool
	}{
		"clock in order":         {clockCheck(netp.ClockState{Known: true, Synchronised: true, MaxError: time.Millisecond}), true},
		"clock not synchronised": {clockCheck(netp.ClockState{Known: true}), false},
		"clock not known":        {clockCheck(netp.ClockState{}), false},
		"large buffer":           {bufferCheck(LeastReceiveBuffer), true},
		"small buffer":           {bufferCheck(212992), false},
		"idle":                   {loadCheck(0), true},
		"busy":                   {loadCheck(cores + 0.1), false},
	} {
		if c.check.OK != c.ok || c.check.OK != (c.check.Reason == "") || c.check.Name == "" {
			t.Errorf("%s: %+v", name, c.check)
		}
	}
	spool := reopen(t, t.TempDir())
	defer spool.close()
	d := &daemon{spool: spool}
	seen := map[string]bool{}
	for _, c := range d.health(netp.ClockState{}) {
		seen[c.Name] = true
	}
	if !seen["clock"] || !seen["spool"] || runtime.GOOS == "linux" && (!seen["receive buffer"] || !seen["load"]) {
		t.Errorf("checks are %v", seen)
	}
}
