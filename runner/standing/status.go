package standing

import (
	"cmp"
	"slices"
	"time"

	"github.com/netpupper/netp"
)

// Status is how a standing test is doing.
type Status struct {
	Suite    string `json:"suite"`
	Test     string `json:"test"`
	Schedule string `json:"schedule"` // "every 5m"
	Sessions int    `json:"sessions"` // of a turn
	// Next is when the next turn starts; zero when there is none.
	Next time.Time `json:"next,omitzero"`
	// Last is the start of the newest turn that was begun or missed.
	Last time.Time `json:"last,omitzero"`
	// Verdict is that of the newest turn that ended since the controller started.
	Verdict netp.Status `json:"verdict,omitempty"`
	Running int         `json:"running"` // turns in progress
	// Missed counts sessions that were missed since the controller started.
	Missed uint64 `json:"missed"`
	// Fault says why no turn can begin, "" when all is well.
	Fault string `json:"fault,omitempty"`
}

// Status tells of all installed standing tests, by suite and address.
func (s *Scheduler) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Status{}
	for _, tests := range s.suites {
		for _, f := range tests {
			out = append(out, s.status(f))
		}
	}
	slices.SortFunc(out, func(a, b Status) int { return cmp.Or(cmp.Compare(a.Suite, b.Suite), cmp.Compare(a.Test, b.Test)) })
	return out
}

func (s *Scheduler) status(f *follower) Status {
	d := f.test
	out := Status{
		Suite: d.suite, Test: d.test, Schedule: d.standing().String(), Sessions: len(d.turn.Sessions),
		Last: f.last, Verdict: f.verdict, Running: f.running, Missed: f.missed, Fault: f.fault,
	}
	if d.fault != nil {
		out.Fault = d.fault.Error()
		return out
	}
	from := s.cfg.Now()
	if f.settled.After(from) {
		from = f.settled
	}
	out.Next = d.table.next(from)
	return out
}
