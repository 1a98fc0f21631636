package netp

import "time"

// Agent is what is known of one agent: declared in a suite, announced by the
// agent itself, or both.
type Agent struct {
	Name       AgentID           `json:"name"`
	Tags       map[string]string `json:"tags,omitempty"`
	Interfaces []Interface       `json:"interfaces,omitempty"`
	Address    string            `json:"address,omitempty"` // of the data port by default; empty until it registered
	Netns      string            `json:"netns,omitempty"`   // a local agent works in; empty for the process's own
	Kinds      []Kind            `json:"kinds,omitempty"`   // it can run; nil for an agent not yet registered
	Limits     Limits            `json:"limits,omitzero"`
	Clock      ClockState        `json:"clock,omitzero"`
	Drained    bool              `json:"drained,omitempty"` // the controller gives it no new sessions
	NAT        bool              `json:"nat,omitempty"`     // peers cannot dial it: it is behind NAT
	Version    string            `json:"version,omitempty"`
	// Host identifies the kernel the agent runs on: two agents with the same
	// Host read the same clock.
	Host string `json:"host,omitempty"`
}

// Interface looks up an interface by name.
func (a Agent) Interface(name string) (Interface, bool) {
	for _, i := range a.Interfaces {
		if i.Name == name {
			return i, true
		}
	}
	return Interface{}, false
}

// Interface is a named way out of an agent: a carrier, a VRF, a source address.
type Interface struct {
	Name    string `json:"name"`
	Address string `json:"address,omitempty"` // IP address to send from
	Device  string `json:"device,omitempty"`  // network device to bind to
	Netns   string `json:"netns,omitempty"`
	// Capacity is the rate the interface carries in each direction [bit/s]; 0 when not declared.
	Capacity float64 `json:"capacity,omitempty"`
}

// Limits are an agent's own bounds; a controller can never raise them. Zero means no bound.
type Limits struct {
	Rate        float64       `json:"rate,omitempty"`     // per session [bit/s]
	Duration    time.Duration `json:"duration,omitempty"` // per session [ns]
	Sessions    int           `json:"sessions,omitempty"` // at the same time
	BytesPerDay uint64        `json:"bytes_per_day,omitempty"`
}

// ClockState is what an agent's kernel says of its wall clock.
type ClockState struct {
	Known        bool          `json:"known"`
	Synchronised bool          `json:"synchronised"`
	MaxError     time.Duration `json:"max_error,omitempty"` // bound of |clock − UTC| [ns]
	Source       string        `json:"source,omitempty"`    // "adjtimex", "chrony", ...
}

// Link is a declared piece of network that several paths share.
type Link struct {
	Addr string `json:"addr"` // link.telco-a-core
	// Capacity is the rate the link carries in each direction [bit/s]; 0 when not declared.
	Capacity float64           `json:"capacity,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// Path is one directed pair: a source agent and an agent or endpoint as destination.
type Path struct {
	Addr   string  `json:"addr"` // path.core["syd->mel"]
	Source AgentID `json:"source"`
	Dest   string  `json:"dest"` // agent name or endpoint text
	// Endpoint is true when Dest is no agent but a URL, host or address.
	Endpoint bool `json:"endpoint,omitempty"`
	// SourceInterface and DestInterface are the named interfaces used at each
	// end; empty for the agent's default address.
	SourceInterface string            `json:"source_interface,omitempty"`
	DestInterface   string            `json:"dest_interface,omitempty"`
	Via             string            `json:"via,omitempty"`
	Links           []string          `json:"links,omitempty"`
	Tags            map[string]string `json:"tags,omitempty"`
}

// Key is the part of the address that tells the pair within its block: "syd->mel".
func (p Path) Key() string { return string(p.Source) + "->" + p.Dest }
