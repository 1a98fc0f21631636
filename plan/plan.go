// Package plan decides what will run: it turns a suite, an inventory of agents
// and the applied state into a Plan. It is pure: no I/O, no clock, no randomness;
// the same input gives the same bytes. Start with Build.
package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan/schedule"
)

// Plan is what a run will do and what applying it would change. It is complete:
// executing it needs neither the suite's files nor the language.
type Plan struct {
	FormatVersion string    `json:"format_version"`
	NetpVersion   string    `json:"netp_version"`
	Created       time.Time `json:"created"`
	Suite         SuiteInfo `json:"suite"`
	// Lineage and Serial are those of the state the plan was made against.
	Lineage string `json:"lineage"`
	Serial  uint64 `json:"serial"`
	// Hash identifies the plan's content (hex SHA-256 over all but itself, Created,
	// Home and Warnings); "" for a draft.
	Hash string `json:"hash"`
	// Home is the whole path of the suite's directory where the plan was saved; "" for one that was not.
	Home string `json:"home,omitempty"`

	Agents   []netp.Agent `json:"agents"` // those that sessions use, sorted by name
	Links    []netp.Link  `json:"links,omitempty"`
	Tests    []Test       `json:"tests"`
	Sessions []Session    `json:"sessions"` // sorted by start, then address
	Changes  []Change     `json:"changes"`
	Sinks    []Sink       `json:"sinks,omitempty"`

	// Capacities are those of the resources that sessions claim, as far as they
	// have one: with them a schedule.Ledger follows the plan.
	Capacities map[schedule.Resource]float64 `json:"capacities,omitempty"`

	Makespan time.Duration `json:"makespan"`
	Cost     Cost          `json:"cost"`
	Power    []Power       `json:"power,omitempty"`
	Warnings diag.List     `json:"warnings,omitempty"`
	// Targets and Excludes as given; a partial plan removes nothing.
	Targets  []string `json:"targets,omitempty"`
	Excludes []string `json:"excludes,omitempty"`
}

// NAT says whether nobody can dial an agent, by its declaration or by its own word.
func (p *Plan) NAT(id netp.AgentID) bool {
	i, found := slices.BinarySearchFunc(p.Agents, id, func(a netp.Agent, id netp.AgentID) int { return cmp.Compare(a.Name, id) })
	return found && p.Agents[i].NAT
}

// SuiteInfo says which suite a plan is of.
type SuiteInfo struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Dir         string            `json:"dir,omitempty"`
	Files       int               `json:"files"`
	Hash        string            `json:"hash"`
	Revision    string            `json:"revision,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
}

// Test is what its sessions share.
type Test struct {
	Addr       string             `json:"addr"`
	Profile    string             `json:"profile"` // profile.udp.voice
	Kind       netp.Kind          `json:"kind"`
	Params     netp.Params        `json:"params"`
	Demand     netp.Demand        `json:"demand"`
	Tags       map[string]string  `json:"tags,omitempty"`
	Assertions []assert.Assertion `json:"assertions"`
	Standing   *Standing          `json:"standing,omitempty"`
	// Timeout is the hard end of each session, set-up and collection included.
	Timeout time.Duration `json:"timeout"`
	// Attributes are what the test is made of, as text: what State compares.
	Attributes map[string]string `json:"attributes"`
	// Partial is true when targets or excludes left out some of its sessions.
	Partial bool `json:"partial,omitempty"`
}

// Session is one test on one path with its place in the schedule.
type Session struct {
	Addr string    `json:"addr"` // test.voice["syd->mel"]
	Test string    `json:"test"`
	Path netp.Path `json:"path"`
	// Start is when it may start at the earliest by the schedule, after the run started.
	Start time.Duration `json:"start"`
	// Slot is how long the schedule keeps its claims: traffic and margins.
	Slot   time.Duration    `json:"slot"`
	Round  int              `json:"round"` // from 1: the how-manieth distinct start time
	Claims []schedule.Claim `json:"claims"`
}

// Item is the session as the schedule and its ledger see it.
func (s Session) Item() schedule.Item {
	return schedule.Item{ID: s.Addr, Duration: s.Slot, Claims: s.Claims}
}

// Action is what applying does to a test.
type Action string

// The actions.
const (
	Create    Action = "create"
	Update    Action = "update"
	Destroy   Action = "destroy"
	Unchanged Action = "no-op"
)

// Change is the difference of one test against the applied state.
type Change struct {
	Addr   string `json:"addr"`
	Action Action `json:"action"`
	// Attributes lists what differs, sorted by name; for Update only.
	Attributes []AttributeChange `json:"attributes,omitempty"`
	Sessions   int               `json:"sessions"`
	Summary    string            `json:"summary"`  // "udp 50 pps × 200 B, dscp ef, 60 s"
	Schedule   string            `json:"schedule"` // "every 5m", "once, exclusive"
}

// AttributeChange is one changed attribute as text: "interval" 100ms → 50ms.
type AttributeChange struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Cost is what the sessions of a plan take from the network when each runs once.
type Cost struct {
	Bytes uint64 `json:"bytes"` // on the IP layer, all sessions
	// Estimated is true when some session has no bound but the path's capacity.
	Estimated bool `json:"estimated"`
	// AssumedRate [bit/s] is what such a session was taken to reach where no
	// capacity is declared; 0 when that was never needed.
	AssumedRate float64     `json:"assumed_rate,omitempty"`
	Places      []PlaceCost `json:"places"` // busiest first
	Paths       []PathCost  `json:"paths"`
	// Standing is what the standing tests take all the time; busiest first.
	Standing []PlaceShare `json:"standing,omitempty"`
}

// PlaceCost is the traffic over one interface direction or link. Of a link the bytes are those of both directions, and
// the peak is the most that either of them may bear.
type PlaceCost struct {
	Place    schedule.Resource `json:"place"`
	Bytes    uint64            `json:"bytes"`
	PeakRate float64           `json:"peak_rate"`          // [bit/s]
	Capacity float64           `json:"capacity,omitempty"` // [bit/s], 0 when not declared
}

// PathCost is the traffic of one path.
type PathCost struct {
	Path  string `json:"path"`
	Bytes uint64 `json:"bytes"`
}

// Power says how small a fault an assertion could detect, or what it lacks to be decided.
type Power struct {
	Test      string `json:"test"`
	Assertion string `json:"assertion"`
	Metric    string `json:"metric"`
	Samples   uint64 `json:"samples"`
	// Needed is the number of samples with which a faultless path would pass; 0 when Samples suffice.
	Needed uint64 `json:"needed,omitempty"`
	// Detects is the smallest true value that would very probably (90 %) be judged a
	// fail; NaN is not representable in JSON, so 0 means not computed.
	Detects float64 `json:"detects,omitempty"`
	Text    string  `json:"text"` // the sentence people read
}

// Sink is a declared receiver; its secrets never enter a plan.
type Sink struct {
	Addr      string `json:"addr"`
	Type      string `json:"type"`
	Arguments string `json:"arguments"` // JSON
}

// State is what has been applied, as far as planning must know.
type State struct {
	Lineage string `json:"lineage"` // "" before the first apply
	Serial  uint64 `json:"serial"`  // grows with each apply
	// Plan is the hash of the plan applied last.
	Plan string `json:"plan,omitempty"`
	// Tests holds the applied tests by address, each with its attributes as text.
	Tests map[string]map[string]string `json:"tests"`
}
