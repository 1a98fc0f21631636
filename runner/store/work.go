package store

import (
	"errors"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
)

// Trigger says what began a run.
type Trigger string

// The triggers. The list only grows.
const (
	ByApply    Trigger = "apply"    // somebody applied a plan
	ByCommit   Trigger = "commit"   // a new revision of a source
	BySchedule Trigger = "schedule" // the turn of a standing test
)

// Terms are how a run executes its plan: what the next controller must know to go on
// with it.
type Terms struct {
	// Start is what the plan's offsets count from.
	Start time.Time `json:"start,omitzero"`
	// Timed keeps sessions from beginning before their planned start, Window is how
	// long after it they may still begin; 0 for any time.
	Timed  bool          `json:"timed,omitempty"`
	Window time.Duration `json:"window,omitempty"`
	// Missed is why none of the sessions is to run; nil for a run that runs.
	Missed *netp.Failure `json:"missed,omitempty"`
}

// Slot is one turn of a standing test: at most one run has it, ever.
type Slot struct {
	Suite string    `json:"suite"`
	Test  string    `json:"test"`
	Start time.Time `json:"start"`
}

// ErrSlotTaken is returned when a run of this slot has begun before.
var ErrSlotTaken = errors.New("this turn of the standing test was run already")

// Attempt is a try at a session that was ordered: it is written before the first
// order, so that a controller that starts again knows what agents may be doing.
type Attempt struct {
	Run     string `json:"run"`
	Session string `json:"session"`
	Attempt int    `json:"attempt"` // from 1
	// Agents play the roles; results of others are not taken.
	Agents map[netp.Role]netp.AgentID `json:"agents"`
	// HardEnd is when the orders end by themselves.
	HardEnd time.Time `json:"hard_end"`
	// Over says that nothing of it goes on and its parts will not come: the session
	// waits for its next attempt, without its claims.
	Over bool `json:"over,omitempty"`
}

// Unfinished is a run that began and has not ended, with the plan that it executes.
type Unfinished struct {
	Run  Run
	Plan *plan.Plan
}

// StandingPlan is what is installed of a suite: the plan whose standing tests run
// again and again.
type StandingPlan struct {
	Suite     string     `json:"suite"`
	Plan      *plan.Plan `json:"plan"`
	Installed time.Time  `json:"installed"`
	// By is who installed it: user@host, or the name of a source.
	By string `json:"by"`
}
