package runner

import (
	"time"

	"github.com/netpupper/netp"
)

// Event is something that happened in a run: RunStarted, SessionState, Progress,
// SessionDone or RunDone, in this order for each session and each run.
type Event interface{ event() }

// State is where a session is on its way.
type State string

// The states. Done is told by SessionDone.
const (
	Waiting    State = "waiting"    // for an agent to come back, before another attempt
	Preparing  State = "preparing"  // the responder opens its port
	Running    State = "running"    // traffic
	Collecting State = "collecting" // one end has delivered, or the end is near
)

// RunStarted is the first event of a run.
type RunStarted struct {
	Run      string
	Suite    string
	Started  time.Time
	Sessions int
	// Makespan is how long the plan takes.
	Makespan time.Duration
}

// SessionState tells that a session has come to a state.
type SessionState struct {
	Run     string
	Session netp.Session
	Test    string
	State   State
	Attempt int // from 1
	At      time.Time
}

// Progress is a sign of life of one end of a running session.
type Progress struct{ netp.Progress }

// SessionDone carries the terminal record of a session; it is in the store.
type SessionDone struct {
	Record netp.Record
	// Before is true in a run that is recovered for a record that was there already.
	Before bool
}

// RunDone is the last event of a run. Its report has no records: they were told.
type RunDone struct{ Report netp.Report }

func (RunStarted) event()   {}
func (SessionState) event() {}
func (Progress) event()     {}
func (SessionDone) event()  {}
func (RunDone) event()      {}
