package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// end is one side of a pair: an agent, or an endpoint as written.
type end struct {
	agent    *member
	endpoint string
}

func (e end) name() string {
	if e.agent != nil {
		return string(e.agent.Name)
	}
	return e.endpoint
}

// block is a path block with its sides flattened: each agent once per side.
type block struct {
	*lang.Path
	from, to []end
	pairs    []netp.Path // sorted by key; set by expand
}

// newBlock flattens the sides of a path block. A mesh has the same agents on both.
func (b *builder) newBlock(p *lang.Path) *block {
	out := &block{Path: p}
	if len(p.Mesh) > 0 {
		out.from = b.flatten(p, p.Mesh)
		out.to = out.from
	} else {
		out.from, out.to = b.flatten(p, p.From), b.flatten(p, p.To)
	}
	for _, e := range out.from {
		if e.agent == nil {
			b.fault(diag.Error, "Endpoint cannot send", fmt.Sprintf("%s starts at %q, which is no agent: only agents send and answer test traffic. Put it in \"to\".", p.Addr, e.endpoint), p.Addr, &p.Range)
		}
	}
	b.checkNames(out)
	return out
}

// checkNames finds endpoints that have the name of an agent of the same path: the
// key of a pair would not say which of the two is meant.
func (b *builder) checkNames(k *block) {
	if !slices.ContainsFunc(k.to, func(e end) bool { return e.agent == nil }) {
		return
	}
	agents := map[string]bool{}
	for _, e := range slices.Concat(k.from, k.to) {
		agents[e.name()] = agents[e.name()] || e.agent != nil
	}
	for _, e := range k.to {
		if e.agent == nil && agents[e.endpoint] {
			b.fault(diag.Error, "Endpoint named like an agent", fmt.Sprintf("%s leads to the host %q, and an agent of this path has that name, so that its pairs could not be told apart. "+
				"If the agent is meant, write its reference without quotes; else write the host's full name or address.", k.Addr, e.endpoint), k.Addr, &k.Range)
		}
	}
}

func (b *builder) flatten(p *lang.Path, ends []lang.End) []end {
	var out []end
	seen := map[end]bool{}
	add := func(e end) {
		if !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	for _, e := range ends {
		switch {
		case e.Endpoint != "":
			add(end{endpoint: e.Endpoint})
		case e.Agent != "":
			m := b.fleet.byAddr[e.Agent]
			if m == nil {
				b.fault(diag.Error, "Unknown agent", fmt.Sprintf("%s names %s, which the suite does not declare.", p.Addr, e.Agent), p.Addr, &p.Range)
				continue
			}
			add(end{agent: m})
		default:
			for _, m := range b.set(e.AgentSet) {
				add(end{agent: m})
			}
		}
	}
	return out
}

// set gives the members of an agent set, matched once per plan.
func (b *builder) set(addr string) []*member {
	members, ok := b.sets[addr]
	if !ok {
		for i := range b.in.Suite.AgentSets {
			if s := &b.in.Suite.AgentSets[i]; s.Addr == addr {
				members = b.matching(s)
			}
		}
		b.sets[addr] = members
	}
	return members
}

// count is the number of pairs by arithmetic, exceptions not taken off.
func (k *block) count() float64 {
	in := map[string]bool{}
	for _, e := range k.from {
		in[e.name()] = true
	}
	agents, common := 0.0, 0.0
	for _, e := range k.to {
		if e.agent != nil {
			agents++
		}
		if in[e.name()] {
			common++
		}
	}
	n := float64(len(k.from))*float64(len(k.to)) - common
	if k.BothDirections {
		// The reverse adds what is not there forward: all but the pairs among the common agents.
		n += float64(len(k.from))*agents - common*common
	}
	return n
}

// expand makes the pairs of all blocks that tests use, and the tests' sessions.
func (b *builder) expand() {
	for _, t := range b.tests {
		several := map[string]bool{}
		for _, ref := range t.Paths {
			several[ref.Path] = true
		}
		seen := map[string]bool{}
		for _, ref := range t.Paths {
			for _, path := range b.refer(t, ref) {
				if seen[path.Addr] {
					continue
				}
				seen[path.Addr] = true
				t.all = append(t.all, b.session(t, path, ref.Path, len(several) > 1))
			}
		}
		slices.SortFunc(t.all, func(x, y Session) int { return cmp.Compare(x.Addr, y.Addr) })
	}
}

// refer gives the pairs that one reference of a test means.
func (b *builder) refer(t *draft, ref lang.PathRef) []netp.Path {
	k := b.paths[ref.Path]
	if k.pairs == nil {
		b.pair(k)
	}
	if ref.Key == "" {
		return k.pairs
	}
	at, ok := slices.BinarySearchFunc(k.pairs, ref.Key, func(p netp.Path, key string) int { return cmp.Compare(p.Key(), key) })
	if !ok {
		var keys []string
		for _, p := range k.pairs {
			keys = append(keys, p.Key())
		}
		b.fault(diag.Error, "Unknown path", fmt.Sprintf("%s has no pair %q. It has: %s.", ref.Path, ref.Key, list(keys)), t.Addr, &ref.Range)
		return nil
	}
	return k.pairs[at : at+1]
}

// pair makes the pairs of a block, sorted by key.
func (b *builder) pair(k *block) {
	except := map[string]bool{}
	for _, key := range k.Except {
		except[key] = true
	}
	seen := map[string]bool{}
	k.pairs = []netp.Path{}
	add := func(from, to end) {
		if from.name() == to.name() || from.agent == nil {
			return
		}
		p := k.path(from, to)
		if key := p.Key(); !seen[key] && !except[key] {
			seen[key] = true
			k.pairs = append(k.pairs, p)
		}
	}
	for _, from := range k.from {
		for _, to := range k.to {
			add(from, to)
			if k.BothDirections {
				add(to, from)
			}
		}
	}
	slices.SortFunc(k.pairs, func(x, y netp.Path) int { return cmp.Compare(x.Key(), y.Key()) })
	if len(k.pairs) == 0 {
		b.fault(diag.Error, "Empty path", fmt.Sprintf("%s has no pair of agents: %s. A test on it would measure nothing and could not fail.", k.Addr, k.emptiness()), k.Addr, &k.Range)
	}
	b.checkVia(k)
}

func (k *block) emptiness() string {
	switch {
	case len(k.from) == 0 && len(k.to) == 0:
		return "no agent belongs to it"
	case len(k.from) == 0:
		return "no agent belongs to \"from\""
	case len(k.to) == 0:
		return "nothing belongs to \"to\""
	case len(k.from) == 1 && len(k.to) == 1 && k.from[0].name() == k.to[0].name():
		return k.from[0].name() + " is its only agent, and a path needs two ends"
	}
	return "\"except\" takes all of them away"
}

func (k *block) path(from, to end) netp.Path {
	p := netp.Path{
		Source: from.agent.Name, Dest: to.name(), Endpoint: to.agent == nil,
		Via: k.Via, Links: slices.Clone(k.Links), Tags: k.Tags,
	}
	slices.Sort(p.Links)
	p.Links = slices.Compact(p.Links)
	if _, ok := from.agent.Interface(k.Via); ok {
		p.SourceInterface = k.Via
	}
	if to.agent != nil {
		if _, ok := to.agent.Interface(k.Via); ok {
			p.DestInterface = k.Via
		}
	}
	p.Addr = k.Addr + "[" + quote(p.Key()) + "]"
	return p
}

// checkVia finds pairs that are to go via an interface that neither end has.
func (b *builder) checkVia(k *block) {
	if k.Via == "" || len(k.pairs) == 0 {
		return
	}
	var without []string
	for _, p := range k.pairs {
		if p.SourceInterface == "" && p.DestInterface == "" {
			without = append(without, p.Key())
		}
	}
	switch {
	case len(without) == len(k.pairs):
		names := map[string]bool{}
		for _, e := range slices.Concat(k.from, k.to) {
			if e.agent != nil {
				for _, i := range e.agent.Interfaces {
					names[i.Name] = true
				}
			}
		}
		b.fault(diag.Error, "Unknown interface", fmt.Sprintf("%s goes via %q, but none of its agents has an interface of that name. They have: %s.",
			k.Addr, k.Via, list(sorted(names))), k.Addr, &k.Range)
	case len(without) > 0:
		b.fault(diag.Warning, "Interface missing at both ends", fmt.Sprintf("%s goes via %q, which neither end has on %d of its %d pairs: %s. "+
			"These use the default address of both agents. Declare the interface, or leave the pairs out with \"except\".",
			k.Addr, k.Via, len(without), len(k.pairs), list(without)), k.Addr, &k.Range)
	}
}

// session makes a session of a test. Its address is the test's with the pair as
// key: test.voice["syd->mel"]. A test that names several path blocks, which may
// share pairs, has the block in front: test.voice["core:syd->mel"]. What an
// address looks like thus depends on the suite alone, not on who is registered.
func (b *builder) session(t *draft, path netp.Path, block string, several bool) Session {
	key := path.Key()
	if several {
		key = BlockName(block) + ":" + key
	}
	return Session{
		Addr: t.Addr + "[" + quote(key) + "]", Test: t.Addr, Path: path,
		Slot: t.demand.Duration + SetupMargin, Claims: b.claims(path, t.demand),
	}
}

// BlockName shortens the address of a path block: path.carrier["telco-a"] is
// carrier[telco-a], module.branch.path.core is module.branch.core.
func BlockName(addr string) string {
	name, found := strings.CutPrefix(addr, "path.")
	if !found {
		name = strings.Replace(addr, ".path.", ".", 1)
	}
	return strings.ReplaceAll(name, `"`, "")
}

// quote writes a key as in an address.
func quote(key string) string {
	if !strings.ContainsAny(key, `"\\`) {
		return `"` + key + `"`
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(key) + `"`
}
