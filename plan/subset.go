package plan

import (
	"cmp"
	"maps"
	"slices"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan/schedule"
)

// Subset is the plan reduced to some of its sessions: it changes nothing, and the
// first of them starts at once. It is for running, not for applying.
func (p *Plan) Subset(keep func(Test, Session) bool) *Plan {
	out := *p
	out.Changes, out.Sinks, out.Power, out.Warnings = []Change{}, nil, nil, nil
	out.Tests, out.Sessions = []Test{}, []Session{}
	tests, kept := p.byAddr(), map[string]bool{}
	for _, s := range p.Sessions {
		if t, ok := tests[s.Test]; ok && keep(t, s) {
			out.Sessions = append(out.Sessions, s)
			kept[s.Test] = true
		}
	}
	for _, t := range p.Tests {
		if kept[t.Addr] {
			out.Tests = append(out.Tests, t)
		}
	}
	out.advance()
	out.Hash = out.Digest()
	return &out
}

// advance lets the first session start at once.
func (p *Plan) advance() {
	p.Makespan = 0
	if len(p.Sessions) == 0 {
		return
	}
	first := p.Sessions[0].Start // they are sorted
	for i := range p.Sessions {
		p.Sessions[i].Start -= first
		p.Makespan = max(p.Makespan, p.Sessions[i].Start+p.Sessions[i].Slot)
	}
}

func (p *Plan) byAddr() map[string]Test {
	out := make(map[string]Test, len(p.Tests))
	for _, t := range p.Tests {
		out[t.Addr] = t
	}
	return out
}

// Install gives the plan of the standing tests that are installed after p was
// applied over those installed before (nil for none); nil when none is left. A plan
// of the whole suite replaces them all; a plan with targets or excludes replaces
// those tests of which it has every session, and leaves the others.
func Install(installed, p *Plan) *Plan {
	out := p.Subset(func(t Test, _ Session) bool { return t.Standing != nil && !t.Partial })
	if installed != nil && len(p.Targets)+len(p.Excludes) > 0 {
		out.take(installed, p)
	}
	if len(out.Tests) == 0 {
		return nil
	}
	out.Targets, out.Excludes = nil, nil
	out.Hash = out.Digest()
	return out
}

// take adds what was installed of the tests that a partial plan says nothing of.
func (p *Plan) take(installed, partial *Plan) {
	replaced := map[string]bool{}
	for _, t := range partial.Tests {
		replaced[t.Addr] = !t.Partial
	}
	for _, t := range installed.Tests {
		if !replaced[t.Addr] {
			p.Tests = append(p.Tests, t)
		}
	}
	for _, s := range installed.Sessions {
		if !replaced[s.Test] {
			p.Sessions = append(p.Sessions, s)
		}
	}
	slices.SortFunc(p.Tests, func(a, b Test) int { return cmp.Compare(a.Addr, b.Addr) })
	slices.SortFunc(p.Sessions, bySlot)
	for _, s := range p.Sessions {
		p.Makespan = max(p.Makespan, s.Start+s.Slot)
	}
	p.Agents = union(p.Agents, installed.Agents, func(a netp.Agent) string { return string(a.Name) })
	p.Links = union(p.Links, installed.Links, func(l netp.Link) string { return l.Addr })
	p.Cost.Places = union(p.Cost.Places, installed.Cost.Places, func(c PlaceCost) string { return string(c.Place) })
	capacities := map[schedule.Resource]float64{}
	maps.Copy(capacities, installed.Capacities)
	maps.Copy(capacities, p.Capacities)
	p.Capacities = capacities
}

// union is the first list and what only the second one has, sorted by name.
func union[T any](first, second []T, name func(T) string) []T {
	all := map[string]T{}
	for _, v := range second {
		all[name(v)] = v
	}
	for _, v := range first {
		all[name(v)] = v
	}
	var out []T
	for _, key := range sorted(all) {
		out = append(out, all[key])
	}
	return out
}

// Changed reports whether applying the plan would change any test.
func (p *Plan) Changed() bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool { return c.Action != Unchanged })
}

// ChangesStanding reports whether applying the plan over a state would change
// what runs again and again.
func (p *Plan) ChangesStanding(before State) bool {
	tests := p.byAddr()
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		applied := before.Tests[c.Addr]
		was := applied["every"] != "" || applied["cron"] != ""
		return c.Action != Unchanged && (was || tests[c.Addr].Standing != nil)
	})
}
