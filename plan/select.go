package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
)

// choose keeps the sessions that targets and excludes ask for.
func (b *builder) choose() {
	if len(b.in.Targets) == 0 && len(b.in.Excludes) == 0 {
		for _, t := range b.tests {
			t.selected = t.all
		}
		return
	}
	hit := map[string]bool{}
	for _, t := range b.tests {
		for _, s := range t.all {
			wanted := b.matches(b.in.Targets, t, s, hit) || len(b.in.Targets) == 0
			if excluded := b.matches(b.in.Excludes, t, s, hit); wanted && !excluded {
				t.selected = append(t.selected, s)
			}
		}
	}
	for _, addr := range slices.Concat(b.in.Targets, b.in.Excludes) {
		if !hit[addr] {
			b.fault(diag.Error, "Nothing has this address", fmt.Sprintf("No session of the suite belongs to %q, so it would select nothing. "+
				"Write the address of a test, session, path, profile, agent or module: %s.", addr, b.examples()), addr, nil)
		}
	}
}

// matches reports whether any of the addresses covers the session, and notes
// all that do.
func (b *builder) matches(addrs []string, t *draft, s Session, hit map[string]bool) bool {
	found := false
	for _, addr := range addrs {
		for _, name := range b.names(t, s) {
			if below(name, addr) {
				hit[addr] = true
				found = true
			}
		}
	}
	return found
}

// names are the addresses that a session belongs to.
func (b *builder) names(t *draft, s Session) []string {
	names := []string{s.Addr, s.Path.Addr, t.Profile.Addr}
	for _, m := range b.ends(s.Path) {
		names = append(names, "agent."+string(m.Name))
		if m.declared != nil {
			names = append(names, m.declared.Addr)
		}
	}
	return names
}

// below reports whether an address is the other or lies below it:
// test.voice["a->b"] below test.voice, module.x.test.y below module.x.
func below(addr, top string) bool {
	rest, ok := strings.CutPrefix(addr, top)
	return ok && (rest == "" || rest[0] == '[' || rest[0] == '.')
}

// examples lists some addresses that would do.
func (b *builder) examples() string {
	var addrs []string
	for _, t := range b.tests {
		addrs = append(addrs, t.Addr)
	}
	if len(b.tests) > 0 && len(b.tests[0].all) > 0 {
		addrs = append(addrs, b.tests[0].all[0].Addr)
	}
	return list(addrs)
}

// checkNAT warns of pairs of agents of which neither can open the path to the other.
func (b *builder) checkNAT() {
	for _, t := range b.tests {
		stuck := map[string]bool{}
		for _, s := range t.selected {
			if ends := b.ends(s.Path); len(ends) == 2 && ends[0].NAT && ends[1].NAT {
				stuck[s.Path.Key()] = true
			}
		}
		if len(stuck) > 0 {
			b.fault(diag.Warning, "Both ends behind NAT", fmt.Sprintf("On these pairs of %s both agents are behind NAT, so neither can open the path to the other, unless they are behind the same one: %s. "+
				"Forward the data port of one of them to it and give that agent -address.", t.Addr, list(sorted(stuck))), t.Addr, &t.Range)
		}
	}
}

// checkAgents finds sessions whose agents never registered, or are drained.
func (b *builder) checkAgents() {
	missing := map[netp.AgentID]map[string]bool{} // tests by agent
	for _, t := range b.tests {
		for _, s := range t.selected {
			for _, m := range b.ends(s.Path) {
				if m.registered && !m.Drained {
					continue
				}
				if missing[m.Name] == nil {
					missing[m.Name] = map[string]bool{}
				}
				missing[m.Name][t.Addr] = true
			}
		}
	}
	for _, m := range b.fleet.members {
		tests := sorted(missing[m.Name])
		if m.registered {
			if len(tests) > 0 {
				b.fault(diag.Warning, "Agent drained", fmt.Sprintf("Agent %s is drained: the controller gives it no new sessions, and those of %s with it are recorded as missed. "+
					"To let it work again: netp agents resume %s.", m.Name, list(tests), m.Name), "agent."+string(m.Name), nil)
			}
			continue
		}
		if len(tests) > 0 {
			b.fault(diag.Error, "Agent not registered", fmt.Sprintf("No agent named %s is connected to the controller; %s cannot run without it. "+
				"Start netp agent there under this name, or take it out of the suite; -exclude=%s leaves it out of one plan or run.", m.Name, list(tests), m.declared.Addr), m.declared.Addr, &m.declared.Range)
		} else {
			b.fault(diag.Warning, "Agent not registered", fmt.Sprintf("No agent named %s is connected to the controller. No session of this plan needs it.", m.Name), m.declared.Addr, &m.declared.Range)
		}
	}
}
