package runner

import (
	"time"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

// Work is a plan to execute, and on what terms.
type Work struct {
	Plan *plan.Plan
	// Run is the id of the run; "" for a new one.
	Run string
	// Trigger says what began the run.
	Trigger store.Trigger
	// Slot is the turn of a standing test that this run is; nil for other runs.
	Slot *store.Slot
	// Start is what the plan's offsets count from; zero for now.
	Start time.Time
	// Timed keeps sessions from beginning before their planned start. Without it
	// each begins as soon as its claims are free.
	Timed bool
	// Window is how long after its planned start a session may still begin; later it
	// is recorded as missed. 0 for any time.
	Window time.Duration
}
