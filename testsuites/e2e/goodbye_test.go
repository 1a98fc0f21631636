package e2e

import (
	"testing"
)

// TestGoodbyeIsTheLastWord stops agents that have something to announce at that
// moment: one whose Run has returned is never there.
func TestGoodbyeIsTheLastWord(t *testing.T) {
	w := newWorld(t, options{})
	for range 100 {
		s := w.agent("syd", nil)
		s.stop()
		if _, there := w.runner.Fleet().Find("syd"); there {
			t.Fatal("the agent said goodbye and is there again")
		}
	}
}
