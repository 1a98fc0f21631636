package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan/schedule"
)

// member is an agent as the plan sees it: what the suite declares of it laid over
// what it announced itself.
type member struct {
	netp.Agent
	declared   *lang.Agent // nil for an agent that only registered
	registered bool        // or run by the controller itself
	sides      map[string]sides
}

// sides are the two directions of the interface that a session uses at an agent.
type sides struct {
	tx, rx   schedule.Resource
	capacity float64 // [bit/s], 0 when not declared
}

// sidesOf gives the sides of the way that name stands for, see way.
func (m *member) sidesOf(name string) sides {
	s, ok := m.sides[name]
	if !ok {
		label := "default"
		way, declared := m.way(name)
		if declared {
			label = way.Name
		}
		of := func(direction string) schedule.Resource {
			return schedule.Resource(fmt.Sprintf("agent.%s/%s %s", m.Name, label, direction))
		}
		s = sides{of("tx"), of("rx"), way.Capacity}
		if m.sides == nil {
			m.sides = map[string]sides{}
		}
		m.sides[name] = s
	}
	return s
}

// fleet is all agents, sorted by name.
type fleet struct {
	members []*member
	byName  map[netp.AgentID]*member
	byAddr  map[string]*member
}

func newFleet(in Input) fleet {
	f := fleet{byName: map[netp.AgentID]*member{}, byAddr: map[string]*member{}}
	for _, a := range in.Inventory {
		f.byName[a.Name] = &member{Agent: a, registered: true}
	}
	for i := range in.Suite.Agents {
		declared := &in.Suite.Agents[i]
		m := f.byName[declared.Name]
		if m == nil {
			m = &member{Agent: declared.Agent}
			f.byName[declared.Name] = m
		} else {
			m.Agent = overlay(m.Agent, declared.Agent)
		}
		m.declared = declared
		m.registered = m.registered || in.Local
		f.byAddr[declared.Addr] = m
	}
	for _, m := range f.byName {
		f.members = append(f.members, m)
	}
	slices.SortFunc(f.members, func(a, b *member) int { return cmp.Compare(a.Name, b.Name) })
	return f
}

// overlay lays the declaration over what the agent announced: the declaration
// wins where it says something.
func overlay(announced, declared netp.Agent) netp.Agent {
	out := announced
	out.Tags = maps.Clone(announced.Tags)
	if out.Tags == nil && len(declared.Tags) > 0 {
		out.Tags = map[string]string{}
	}
	maps.Copy(out.Tags, declared.Tags)
	out.Address = cmp.Or(declared.Address, announced.Address)
	out.Netns = cmp.Or(declared.Netns, announced.Netns)
	out.NAT = declared.NAT || announced.NAT
	out.Interfaces = slices.Clone(announced.Interfaces)
	for _, d := range declared.Interfaces {
		at := slices.IndexFunc(out.Interfaces, func(i netp.Interface) bool { return i.Name == d.Name })
		if at < 0 {
			out.Interfaces = append(out.Interfaces, d)
			continue
		}
		a := out.Interfaces[at]
		out.Interfaces[at] = netp.Interface{
			Name: d.Name, Address: cmp.Or(d.Address, a.Address), Device: cmp.Or(d.Device, a.Device),
			Netns: cmp.Or(d.Netns, a.Netns), Capacity: cmp.Or(d.Capacity, a.Capacity),
		}
	}
	slices.SortFunc(out.Interfaces, func(a, b netp.Interface) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// way is the interface that a session uses at an agent: the named one, or for ""
// the one that has the agent's default address, if one is declared with it.
func (m *member) way(name string) (netp.Interface, bool) {
	if name != "" {
		return m.Interface(name)
	}
	address := hostOf(m.Address)
	for _, i := range m.Interfaces {
		if address != "" && hostOf(i.Address) == address {
			return i, true
		}
	}
	return netp.Interface{}, false
}

// hostOf is the IP address of "address" or "address:port", "" when there is none.
func hostOf(s string) string {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().Unmap().String()
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().String()
	}
	return ""
}

// matching lists the registered agents that an agent set stands for: without the
// drained ones, unless those are all.
func (b *builder) matching(set *lang.AgentSet) []*member {
	var out, drained []*member
	for _, m := range b.fleet.members {
		if !m.registered {
			continue
		}
		ok, err := set.Matches(m.Agent)
		if err != nil {
			b.fault(diag.Error, "Invalid agent condition", fmt.Sprintf("The condition of %s, %s, cannot be evaluated for the agent %s: %v. "+
				"Make it hold for every agent, for example with try(…, false).", set.Addr, set.Where, m.Name, err), set.Addr, &set.Range)
			return nil
		}
		switch {
		case ok && m.Drained:
			drained = append(drained, m)
		case ok:
			out = append(out, m)
		}
	}
	switch {
	case len(drained) == 0:
	case len(out) == 0: // better sessions that are recorded as missed than a path without any
		return drained
	default:
		var names []string
		for _, m := range drained {
			names = append(names, string(m.Name))
		}
		b.fault(diag.Warning, "Agent drained", fmt.Sprintf("%s leaves out %s, which the controller gives no new sessions: drained by netp agents drain, until netp agents resume.",
			set.Addr, list(names)), set.Addr, &set.Range)
	}
	if len(out) == 0 {
		b.fault(diag.Warning, "No agent matches", fmt.Sprintf("None of the %d registered agents matches %s, which wants %s. "+
			"Check the condition against the tags that the agents register with.", b.registered(), set.Addr, set.Where), set.Addr, &set.Range)
	}
	return out
}

func (b *builder) registered() int {
	n := 0
	for _, m := range b.fleet.members {
		if m.registered {
			n++
		}
	}
	return n
}
