package e2e

import (
	"testing"
	"time"
)

// TestGoodbyeIsTheLastWord stops agents that have something to announce at that
// moment: one whose Run has returned does not come back. No lease ends meanwhile.
func TestGoodbyeIsTheLastWord(t *testing.T) {
	w := newWorld(t, options{lease: time.Hour})
	there := func() bool { _, there := w.runner.Fleet().Find("syd"); return there }
	for range 100 {
		s := w.agent("syd", nil)
		s.stop()
		if there() { // the agent waits a second for the controller, and not longer
			eventually(t, "the agent that said goodbye is away", func() bool { return !there() })
		}
	}
	if there() {
		t.Error("the agent said goodbye and is there again")
	}
}
