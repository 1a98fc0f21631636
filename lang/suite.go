package lang

import (
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/lang/diag"
)

// Suite is a directory of HCL, decoded, checked and expanded as far as possible
// without knowing which agents are registered. It holds no HCL type. Modules are
// flattened: their blocks carry the prefix module.NAME in their addresses.
// Slices are sorted by address.
type Suite struct {
	Name        string
	Description string
	Dir         string
	Files       []string // relative to Dir, sorted
	Tags        map[string]string
	Confidence  float64
	// FamilyRun is true when the confidence holds for all assertions of a run together.
	FamilyRun bool

	Settings  Settings
	Agents    []Agent
	AgentSets []AgentSet
	Links     []netp.Link
	Paths     []Path
	Tests     []Test
	Sinks     []Sink
	// Hash is the SHA-256 of the suite's files and variable values (hex).
	Hash string
}

// Settings is the netp block.
type Settings struct {
	RequiredVersion string
	Controller      string
	Plugins         []Plugin
}

// Plugin is a required plugin of the netp block.
type Plugin struct{ Name, Source, Version string }

// Agent is a declared agent. Name is what it registers as.
type Agent struct {
	Addr string // agent.site["mel"]
	netp.Agent
	Range diag.Range
}

// AgentSet stands for all registered agents that match its condition.
type AgentSet struct {
	Addr string // agents.edge
	// Matches evaluates `where` for one agent; a fault in the expression that only
	// shows with real tags (a missing tag is no fault, it does not match) comes as an error.
	Matches func(netp.Agent) (bool, error)
	// Where is the condition as written.
	Where string
	Range diag.Range
}

// End is one side of a path: exactly one field is set.
type End struct {
	Agent    string // address of a declared agent
	AgentSet string // address of an agent set
	Endpoint string // URL, host or host:port as written
}

// Path declares one or many directed pairs. Either Mesh or From and To are set.
type Path struct {
	Addr           string // path.core, path.branch["mel"]
	Mesh           []End
	From, To       []End
	BothDirections bool
	// Except lists pairs to leave out, as keys "syd->mel" (agent names).
	Except []string
	Via    string
	Links  []string
	Tags   map[string]string
	Range  diag.Range
}

// Profile is a kind with its parameters, complete with defaults.
type Profile struct {
	Addr   string // profile.udp.voice
	Kind   netp.Kind
	Params netp.Params
	Range  diag.Range
}

// Test is paths × profile + schedule + assertions.
type Test struct {
	Addr    string // test.voice
	Paths   []PathRef
	Profile Profile
	// Every and Cron are the schedule of a standing test; neither: once, when applied.
	Every    time.Duration
	Cron     string
	TimeZone string
	Slip     time.Duration
	Tags     map[string]string // suite's and test's
	Asserts  []assert.Assertion
	Range    diag.Range
}

// PathRef names a path block, or one pair of it.
type PathRef struct {
	Path string // path.core
	Key  string // "syd->mel", "" for all pairs
	// Range is where the test names it.
	Range diag.Range
}

// Sink is a declared receiver of records. Arguments are JSON; sensitive values
// are not in it but named in Sensitive, and kept in Secrets.
type Sink struct {
	Addr      string // sink.influxdb.noc
	Type      string
	Arguments []byte
	Secrets   map[string]string
	Range     diag.Range
}
