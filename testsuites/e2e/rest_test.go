package e2e

import (
	"testing"
	"time"

	"github.com/netpupper/netp/agent"
)

// TestRest looks that an agent without sessions tells of each announcement.
func TestRest(t *testing.T) {
	told := make(chan int)
	w := newWorld(t, options{lease: 300 * time.Millisecond})
	w.agent("syd", func(c *agent.Config) {
		c.Rest = func(announcements int) {
			select {
			case told <- announcements:
			case <-t.Context().Done():
			}
		}
	})
	for want := 1; want <= 3; want++ {
		select {
		case got := <-told:
			if got != want {
				t.Errorf("told of %d announcements, want %d", got, want)
			}
		case <-time.After(patience):
			t.Fatalf("not told of announcement %d", want)
		}
	}
}
