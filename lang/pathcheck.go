package lang

import (
	"maps"
	"slices"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/suggest"
)

// factsOf gathers what is known of the pairs of a path.
func (l *loader) factsOf(p *Path) *pathFacts {
	f := &pathFacts{Path: p}
	for _, e := range p.Mesh {
		l.fact(f, e, true, true)
	}
	for _, e := range p.From {
		l.fact(f, e, true, p.BothDirections)
	}
	for _, e := range p.To {
		l.fact(f, e, p.BothDirections && e.Endpoint == "", true)
	}
	for _, names := range []*[]string{&f.sources, &f.dests} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return f
}

func (l *loader) fact(f *pathFacts, e End, source, dest bool) {
	name := e.Endpoint
	if e.Agent != "" {
		name = string(l.agentNames[e.Agent])
	}
	if source {
		f.openSources = f.openSources || e.AgentSet != ""
		if e.AgentSet == "" {
			f.sources = append(f.sources, name)
		}
	}
	if dest {
		f.openDests = f.openDests || e.AgentSet != ""
		if e.AgentSet == "" {
			f.dests = append(f.dests, name)
		}
		f.agents = f.agents || e.Endpoint == ""
	}
	if e.Endpoint != "" {
		f.endpoints = append(f.endpoints, e.Endpoint)
	}
}

// checkEmpty finds paths that cannot have a pair, whoever registers.
func (in *instance) checkEmpty(a *arguments, f *pathFacts) {
	if f.openSources && f.openDests {
		return
	}
	switch {
	case a.has("mesh") && !f.openSources && len(f.sources) < 2:
		a.fail("mesh", sumEmptyPath, "A mesh needs at least two agents, and this one has %d: there is no pair.", len(f.sources))
	case a.has("mesh"):
	case len(f.sources) == 0 && !f.openSources:
		a.fail("from", sumEmptyPath, "from holds no agent, so that the path has no pair.")
	case len(f.dests) == 0 && !f.openDests:
		a.fail("to", sumEmptyPath, "to holds no destination, so that the path has no pair.")
	case !f.openSources && !f.openDests && len(f.sources) == 1 && slices.Equal(f.sources, f.dests):
		a.fail("to", sumEmptyPath, "from and to are the same agent, and an agent does not measure to itself.")
	}
}

// checkVia finds interfaces that no end has.
func (in *instance) checkVia(a *arguments, p *Path) {
	if p.Via == "" {
		return
	}
	l := in.scope.loader
	var have, lacking []string
	known := map[string]bool{}
	open := false
	for _, e := range slices.Concat(p.Mesh, p.From, p.To) {
		open = open || e.AgentSet != ""
		if e.Agent == "" {
			continue
		}
		agent := l.interfaces[e.Agent]
		for _, i := range agent {
			known[i.Name] = true
		}
		switch {
		case slices.ContainsFunc(agent, func(i netp.Interface) bool { return i.Name == p.Via }):
			have = append(have, e.Agent)
		case len(agent) > 0:
			lacking = append(lacking, e.Agent)
		}
	}
	names := slices.Collect(maps.Keys(known))
	switch {
	case len(have) > 0 && len(lacking) > 0:
		l.warn(a.rng("via"), sumUnknownInterface, "%s declares interfaces, but none named %q; its default address will be used.", listed(lacking), p.Via)
	case len(have) > 0:
	case len(lacking) > 0 && !open:
		a.fail("via", sumUnknownInterface, "No end of this path has an interface %q.%s The ends declare: %s.", p.Via, suggest.Sentence(p.Via, names), listed(names))
	case len(lacking) > 0:
		l.warn(a.rng("via"), sumUnknownInterface, "No declared end of this path has an interface %q.%s The ends declare: %s.", p.Via, suggest.Sentence(p.Via, names), listed(names))
	case !open:
		l.warn(a.rng("via"), sumUnknownInterface, "No end of this path has an interface %q, so that default addresses will be used at every end.", p.Via)
	}
}

// except reads the pairs to leave out and checks that they exist.
func (in *instance) except(a *arguments, f *pathFacts) {
	f.Except = a.texts("except")
	for _, key := range f.Except {
		if why := f.misses(key); why != "" {
			a.fail("except", sumUnknownPair, "%s", why)
		}
	}
}

// misses says why a path cannot have a pair, "" when it may.
func (f *pathFacts) misses(key string) string {
	source, dest, ok := strings.Cut(key, "->")
	if !ok {
		return "A pair is written as \"source->destination\", with the names of the agents; this is \"" + key + "\"."
	}
	if _, ok := slices.BinarySearch(f.sources, source); !ok && !f.openSources {
		return f.Addr + " has no pair \"" + key + "\": \"" + source + "\" is none of its sources." + suggest.Sentence(source, f.sources)
	}
	if _, ok := slices.BinarySearch(f.dests, dest); !ok && !f.openDests {
		return f.Addr + " has no pair \"" + key + "\": \"" + dest + "\" is none of its destinations." + suggest.Sentence(dest, f.dests)
	}
	if source == dest {
		return "An agent does not measure to itself, so that there is no pair \"" + key + "\"."
	}
	return ""
}
