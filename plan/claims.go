package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/quantity"
)

// Host is the resource that all agents in one process share: its CPU and
// loopback. In a local run two sessions that seek the capacity would measure
// each other there, so each has the host alone.
const Host schedule.Resource = "this host"

// claims says what a session takes while it runs.
//
// A session that seeks the capacity claims both directions of both interfaces
// exclusively, whichever way its data goes: acknowledgements come back, and another
// session that fills their way delays them, and has less of it. (Two transfers at
// once over a line of 10 Mbit/s down and 1 Mbit/s up measured 9.0 and 0.72 Mbit/s,
// which are 9.6 and 0.95.) Any other session claims its rate in both directions.
//
// A link has its capacity in each direction, and nobody declares which of them a
// path's forward traffic takes: the former claim all of it, the latter the larger of
// their two rates, of which the sum is the most that either direction bears. Nor is
// it known which interface a path without via takes at an agent that has several: it
// may be any of them. Besides, each session counts against the agents' own limits of
// sessions.
func (b *builder) claims(p netp.Path, d netp.Demand) []schedule.Claim {
	c := claiming{b: b, exclusive: d.Forward.Exclusive || d.Reverse.Exclusive}
	if c.takes(d.Forward) || !c.takes(d.Reverse) {
		c.side(p, true, "tx", d.Forward.Rate)
		c.side(p, false, "rx", d.Forward.Rate)
	}
	if c.takes(d.Reverse) {
		c.side(p, false, "tx", d.Reverse.Rate)
		c.side(p, true, "rx", d.Reverse.Rate)
	}
	for _, l := range p.Links {
		c.add(b.link(l), max(d.Forward.Rate, d.Reverse.Rate))
	}
	if b.onHost(p) {
		c.add(Host, 0)
	}
	c.sessions(p)
	return c.list
}

type claiming struct {
	b         *builder
	exclusive bool
	list      []schedule.Claim
}

// takes reports whether a direction is claimed.
func (c *claiming) takes(l netp.Load) bool {
	return c.exclusive || l.Packets > 0 || l.Bytes > 0 || l.Rate > 0
}

// side claims one direction at one end of a path.
func (c *claiming) side(p netp.Path, source bool, direction string, rate float64) {
	c.add(c.b.side(p, source, direction), rate)
	m, via := c.b.end(p, source)
	if m == nil || via != "" {
		return
	}
	if _, known := m.way(via); known {
		return
	}
	for _, i := range m.Interfaces {
		bears := rate
		if i.Capacity > 0 {
			bears = min(rate, i.Capacity) // what needs more has another way
		}
		c.add(c.b.sideOf(m, i.Name, direction), bears)
	}
}

func (c *claiming) add(r schedule.Resource, rate float64) {
	claim := schedule.Claim{Resource: r, Exclusive: c.exclusive}
	if !c.exclusive && r != Host {
		claim.Rate = rate
	}
	c.list = append(c.list, claim)
}

// sessions claims one of the sessions that each agent allows at the same time.
func (c *claiming) sessions(p netp.Path) {
	for _, m := range c.b.ends(p) {
		if m.Limits.Sessions > 0 {
			r := AgentSessions(m.Name)
			c.b.capacities[r] = float64(m.Limits.Sessions)
			c.list = append(c.list, schedule.Claim{Resource: r, Rate: 1})
		}
	}
}

// AgentSessions is the resource of which an agent has as many as it runs sessions
// at a time; each session claims one.
func AgentSessions(id netp.AgentID) schedule.Resource {
	return schedule.Resource(fmt.Sprintf("agent.%s sessions", id))
}

// side names one direction of the interface at one end of a path, and notes its
// capacity. Endpoints have sides too: two sessions never fill one at once.
func (b *builder) side(p netp.Path, source bool, direction string) schedule.Resource {
	m, via := b.end(p, source)
	if m == nil {
		return schedule.Resource("endpoint." + p.Dest + " " + direction)
	}
	return b.sideOf(m, via, direction)
}

func (b *builder) sideOf(m *member, via, direction string) schedule.Resource {
	s := m.sidesOf(via)
	r := s.tx
	if direction == "rx" {
		r = s.rx
	}
	if s.capacity > 0 {
		b.capacities[r] = s.capacity
	}
	return r
}

// end is the agent at one end of a path, nil for an endpoint, and the interface
// that the path names there, "" for none.
func (b *builder) end(p netp.Path, source bool) (m *member, via string) {
	switch {
	case source:
		return b.fleet.byName[p.Source], p.SourceInterface
	case p.Endpoint:
		return nil, ""
	}
	return b.fleet.byName[netp.AgentID(p.Dest)], p.DestInterface
}

func (b *builder) link(addr string) schedule.Resource {
	if l := b.links[addr]; l != nil && l.Capacity > 0 {
		b.capacities[schedule.Resource(addr)] = l.Capacity
	}
	return schedule.Resource(addr)
}

// ends are the agents of a path.
func (b *builder) ends(p netp.Path) []*member {
	out := make([]*member, 0, 2)
	for _, source := range []bool{true, false} {
		if m, _ := b.end(p, source); m != nil {
			out = append(out, m)
		}
	}
	return out
}

// onHost reports whether an end of the path is an agent that the controller runs
// itself, outside any network namespace.
func (b *builder) onHost(p netp.Path) bool {
	if !b.in.Local {
		return false
	}
	return slices.ContainsFunc(b.ends(p), func(m *member) bool { return m.declared != nil && m.Netns == "" })
}

// place schedules the sessions and sorts them by start.
func (b *builder) place(p *Plan) {
	items := make([]schedule.Item, len(p.Sessions))
	for i, s := range p.Sessions {
		items[i] = s.Item()
	}
	placement, conflicts := schedule.Place(items, b.capacities)
	for _, c := range conflicts {
		b.refuse(p, c)
	}
	for i, slot := range placement.Slots {
		p.Sessions[i].Start, p.Sessions[i].Round = slot.Start, slot.Round
	}
	slices.SortFunc(p.Sessions, bySlot)
	p.Makespan = placement.Makespan
	p.Capacities = map[schedule.Resource]float64{}
	for _, s := range p.Sessions {
		for _, c := range s.Claims {
			if capacity := b.capacities[c.Resource]; capacity > 0 {
				p.Capacities[c.Resource] = capacity
			}
		}
	}
}

// refuse reports a session that can never be placed. The sessions of a test ask
// for the same rate, so a test is reported once per resource.
func (b *builder) refuse(p *Plan, c schedule.Conflict) {
	at := slices.IndexFunc(p.Sessions, func(s Session) bool { return s.Addr == c.Item })
	s := p.Sessions[at]
	key := s.Test + " " + string(c.Resource)
	if b.refused[key] {
		return
	}
	b.refused[key] = true
	t := b.test(s.Test)
	b.fault(diag.Error, "Session cannot be placed", fmt.Sprintf("%s sends %s over %s, which has %s. Lower the rate in %s, or correct the capacity.",
		c.Item, quantity.Format(c.Wanted, "bit/s"), strings.TrimPrefix(string(c.Resource), "agent."), quantity.Format(c.Capacity, "bit/s"), t.Profile.Addr), s.Test, &t.Range)
}

func (b *builder) test(addr string) *draft {
	at := slices.IndexFunc(b.tests, func(t *draft) bool { return t.Addr == addr })
	return b.tests[at]
}
