package plan

import (
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// Input is all that a plan depends on: the same Input gives the same bytes.
type Input struct {
	Suite     *lang.Suite
	Catalogue netp.Catalogue
	// Inventory holds the registered agents, in any order.
	Inventory []netp.Agent
	State     State
	// Now is kept as Plan.Created; nothing else depends on it.
	Now         time.Time
	NetpVersion string
	// Revision of the suite's source, "" when it is not from git.
	Revision string
	// Targets and Excludes are addresses of tests, sessions, paths, profiles,
	// agents or modules; a target takes along all that lies below it.
	Targets  []string
	Excludes []string
	// Local says that the controller runs every declared agent itself: each counts
	// as registered, and those without a network namespace share this host.
	Local  bool
	Limits Limits
	// Draft is for a plan that is only looked at: without its hash, which takes an eighth of the time, nobody applies it.
	Draft bool
}

// Limits bound what a plan may become.
type Limits struct {
	Sessions int // 0 means DefaultSessions
}

// DefaultSessions is how many sessions a plan may have unless Limits says otherwise.
const DefaultSessions = 100_000

// Build makes the plan of a suite. The plan is nil when the diagnostics have
// errors; warnings are also kept in Plan.Warnings.
func Build(in Input) (*Plan, diag.List) {
	b := newBuilder(in)
	return b.build()
}
