package config

import (
	"net/netip"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// Agent is what an agent's file says.
type Agent struct {
	Name string
	Tags map[string]string
	// Data is the directory for the agent's key and undelivered results.
	Data string
	// Listen is [ADDRESS]:PORT of the data port; see ParseListen.
	Listen string
	// Address is the IP address that peers dial; "" for the host's own.
	Address string
	// NAT says that peers cannot open a path to this agent.
	NAT bool
	// Join is a join token, JoinFile a file that holds one; at most one is set.
	Join, JoinFile string
	// Drain is how long sessions may go on after the agent was told to stop.
	Drain      time.Duration
	Interfaces []netp.Interface
	Limits     Limits
}

// Limits are what an agent grants; no controller can raise them. Zero means no
// bound, but for Endpoints.
type Limits struct {
	netp.Limits
	// Peers are the networks other agents must be in; none means anywhere.
	Peers []netip.Prefix
	// Endpoints are patterns of destinations that are no agents; none means no such
	// destination.
	Endpoints []string
	// Kinds are the kinds of traffic that are run; none means all.
	Kinds []string
}

func agentShape() lang.Shape {
	return lang.Shape{
		Args: []string{"name", "tags", "data", "listen", "address", "nat", "join", "join_file", "drain"},
		Blocks: map[string]lang.Shape{
			"interface": {Labels: []string{"name"}, Args: []string{"address", "device", "netns", "capacity"}},
			"limits":    {Args: []string{"rate", "duration", "sessions", "bytes_per_day", "peers", "endpoints", "kinds"}},
		},
	}
}

// ReadAgent reads an agent's file. What the file does not say is as in defaults.
// When there is an error among the diagnostics the value must not be used.
func ReadAgent(file string, defaults Agent, o Options) (Agent, diag.List) {
	return read(file, "an agent's file", agentShape(), o, func(d *lang.Document) Agent {
		a := defaults
		text(d.Block, "name", &a.Name, d.AgentName)
		text(d.Block, "data", &a.Data, d.Path)
		text(d.Block, "address", &a.Address, d.Text)
		text(d.Block, "listen", &a.Listen, d.Text)
		if d.Has("tags") {
			a.Tags = d.Tags("tags")
		}
		if d.Has("nat") {
			a.NAT = d.Flag("nat")
		}
		if d.Has("join") || d.Has("join_file") {
			a.Join, a.JoinFile = d.Text("join"), d.Path("join_file")
		}
		a.Drain = d.Duration("drain", a.Drain)
		if all := d.Interfaces(); len(all) > 0 {
			a.Interfaces = all
		}
		checkAgent(d, a)
		limits, _ := d.One("limits")
		a.Limits = readLimits(limits, a.Limits, o)
		return a
	})
}

// text overwrites a value when the argument is written.
func text(b lang.Block, name string, value *string, read func(string) string) {
	if b.Has(name) {
		*value = read(name)
	}
}

func checkAgent(d *lang.Document, a Agent) {
	if d.Has("join") && d.Has("join_file") {
		d.Conflict("join_file", "join and join_file both give a join token. Leave one of them out.")
	}
	if d.Has("listen") {
		if _, _, err := ParseListen(a.Listen); err != nil {
			d.Invalid("listen", "The data port cannot listen on %q: %v.", a.Listen, err)
		}
	}
	if d.Has("address") {
		if _, err := netip.ParseAddr(a.Address); err != nil {
			d.Invalid("address", "%q is not an IP address. Write the one that peers dial, without a port.", a.Address)
		}
	}
}

func readLimits(b lang.Block, l Limits, o Options) Limits {
	l.Rate = b.BitRate("rate", l.Rate)
	l.Duration = b.Duration("duration", l.Duration)
	l.Sessions = b.Count("sessions", l.Sessions)
	l.BytesPerDay = b.Size("bytes_per_day", l.BytesPerDay)
	if b.Has("peers") {
		l.Peers = networks(b, "peers")
	}
	if b.Has("endpoints") {
		l.Endpoints = b.Texts("endpoints")
		for _, pattern := range l.Endpoints {
			if o.CheckEndpoint == nil {
				continue
			}
			if err := o.CheckEndpoint(pattern); err != nil {
				b.Invalid("endpoints", "An endpoint is not understood: %v.", err)
			}
		}
	}
	if b.Has("kinds") {
		if l.Kinds = b.Choices("kinds", o.Kinds); len(l.Kinds) == 0 {
			b.Invalid("kinds", "kinds is empty, and an agent that runs no kind of traffic is of no use. List some, or leave kinds out to run all.")
		}
	}
	return l
}

// networks reads a list of networks. An empty one would mean anywhere, and that is
// not what it looks like.
func networks(b lang.Block, name string) []netip.Prefix {
	all := []netip.Prefix{}
	texts := b.Texts(name)
	for _, text := range texts {
		p, err := ParseNetwork(text)
		if err != nil {
			b.Invalid(name, "%q is no network: %v.", text, err)
		}
		all = append(all, p)
	}
	if len(texts) == 0 {
		b.Invalid(name, "%s is empty. Leave it out to allow agents anywhere, or list the networks they are in.", name)
	}
	return all
}
