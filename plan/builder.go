package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan/schedule"
)

// builder carries one Build through its steps; each step reads what earlier
// steps left and adds to diags.
type builder struct {
	in    Input
	diags diag.List

	fleet fleet
	sets  map[string][]*member  // by address of the agent set
	paths map[string]*block     // by address of the path block
	links map[string]*netp.Link // by address
	tests []*draft              // by address

	capacities map[schedule.Resource]float64
	refused    map[string]bool // test and resource, told once
}

// draft is a test on its way into the plan.
type draft struct {
	*lang.Test
	spec   netp.KindSpec
	demand netp.Demand
	turns  rhythm
	// all are the sessions the suite asks for, sorted by address; selected those
	// that targets and excludes leave.
	all, selected []Session
}

// partial reports whether some of the test's sessions were not selected.
func (t *draft) partial() bool { return len(t.selected) < len(t.all) }

func newBuilder(in Input) *builder {
	if in.Limits.Sessions <= 0 {
		in.Limits.Sessions = DefaultSessions
	}
	b := &builder{
		in: in, sets: map[string][]*member{}, paths: map[string]*block{}, links: map[string]*netp.Link{},
		capacities: map[schedule.Resource]float64{}, refused: map[string]bool{},
	}
	for i := range in.Suite.Links {
		b.links[in.Suite.Links[i].Addr] = &in.Suite.Links[i]
	}
	return b
}

// build does the steps. It stops early only where what follows would be noise.
func (b *builder) build() (*Plan, diag.List) {
	b.fleet = newFleet(b.in)
	b.gather()
	if b.diags.HasErrors() {
		return nil, b.diags.Sorted()
	}
	b.expand()
	b.choose()
	b.checkAgents()
	b.checkNAT()
	b.checkKinds()
	b.checkLimits()
	b.checkLength()
	b.checkTurns()
	if b.diags.HasErrors() {
		return nil, b.diags.Sorted()
	}
	p := b.assemble()
	b.place(p)
	if b.diags.HasErrors() {
		return nil, b.diags.Sorted()
	}
	b.judge(p)
	b.checkClocks(p)
	b.checkPeriods()
	p.Cost = b.cost(p)
	p.Changes = b.changes()
	p.Warnings = b.diags.Sorted()
	if !b.in.Draft {
		p.Hash = p.Digest()
	}
	return p, p.Warnings
}

// gather reads the tests and path blocks, counts the sessions by arithmetic, and
// refuses too many of them before any is made.
func (b *builder) gather() {
	suite := b.in.Suite
	for i := range suite.Paths {
		p := &suite.Paths[i]
		b.paths[p.Addr] = b.newBlock(p)
	}
	total := 0.0
	for i := range suite.Tests {
		t := &draft{Test: &suite.Tests[i], turns: rhythmOf(&suite.Tests[i])}
		spec, ok := b.in.Catalogue.Find(t.Profile.Kind)
		if !ok {
			b.fault(diag.Error, "Unknown kind", fmt.Sprintf("%s uses the kind %q, which this build of netp does not know.", t.Addr, t.Profile.Kind), t.Addr, &t.Range)
			continue
		}
		t.spec, t.demand = spec, spec.Demand(t.Profile.Params)
		for _, ref := range t.Paths {
			block, ok := b.paths[ref.Path]
			switch {
			case !ok:
				b.fault(diag.Error, "Unknown path", fmt.Sprintf("%s names %s, which the suite does not declare.", t.Addr, ref.Path), t.Addr, &ref.Range)
			case ref.Key != "":
				total++
			default:
				total += block.count()
			}
		}
		b.tests = append(b.tests, t)
	}
	slices.SortFunc(b.tests, func(x, y *draft) int { return cmp.Compare(x.Addr, y.Addr) })
	if limit := b.in.Limits.Sessions; total > float64(limit) {
		b.fault(diag.Error, "Too many sessions", fmt.Sprintf("The suite asks for %s sessions; a plan has at most %s. "+
			"Most come from %s. Use smaller meshes, or from and to instead of mesh, or split the suite.", count(total), count(float64(limit)), b.largest()), "", nil)
	}
}

// largest names the path block with the most pairs among those that tests use.
func (b *builder) largest() string {
	most, name := -1.0, ""
	for _, t := range b.tests {
		for _, ref := range t.Paths {
			if block := b.paths[ref.Path]; block != nil && ref.Key == "" && block.count() > most {
				most, name = block.count(), ref.Path
			}
		}
	}
	return fmt.Sprintf("%s with %s pairs", name, count(most))
}

// assemble puts together the parts of the plan that need no schedule.
func (b *builder) assemble() *Plan {
	s := b.in.Suite
	p := &Plan{
		FormatVersion: netp.FormatVersion, NetpVersion: b.in.NetpVersion, Created: b.in.Now,
		Suite:   SuiteInfo{Name: s.Name, Description: s.Description, Dir: s.Dir, Files: len(s.Files), Hash: s.Hash, Revision: b.in.Revision, Tags: s.Tags},
		Lineage: b.in.State.Lineage, Serial: b.in.State.Serial,
		Tests: []Test{}, Sessions: []Session{}, Changes: []Change{},
		Targets: b.in.Targets, Excludes: b.in.Excludes,
	}
	b.sessions(p)
	for _, sink := range s.Sinks {
		p.Sinks = append(p.Sinks, Sink{Addr: sink.Addr, Type: sink.Type, Arguments: string(sink.Arguments)})
	}
	return p
}

// sessions puts the selected sessions into the plan, with their tests, agents and links.
func (b *builder) sessions(p *Plan) {
	used, links := map[netp.AgentID]bool{}, map[string]bool{}
	for _, t := range b.tests {
		if len(t.selected) == 0 {
			continue
		}
		p.Tests = append(p.Tests, t.test())
		p.Sessions = append(p.Sessions, t.selected...)
		for _, session := range t.selected {
			for _, m := range b.ends(session.Path) {
				used[m.Name] = true
			}
			for _, l := range session.Path.Links {
				links[l] = true
			}
		}
	}
	for _, m := range b.fleet.members {
		if used[m.Name] {
			p.Agents = append(p.Agents, m.Agent)
		}
	}
	for _, l := range b.in.Suite.Links {
		if links[l.Addr] {
			p.Links = append(p.Links, l)
		}
	}
	slices.SortFunc(p.Links, func(x, y netp.Link) int { return cmp.Compare(x.Addr, y.Addr) })
}

// SetupMargin is what the schedule adds to the traffic of each session: for
// setting up, starting late and collecting. Timeout is what a session may take
// beyond its traffic and its patience before it is ended by force.
const (
	SetupMargin = time.Second
	Timeout     = 15 * time.Second
)

func (t *draft) test() Test {
	out := Test{
		Addr: t.Addr, Profile: t.Profile.Addr, Kind: t.Profile.Kind, Params: t.Profile.Params, Demand: t.demand,
		Tags: t.Tags, Assertions: slices.Clone(t.Asserts), Timeout: t.demand.Duration + t.demand.Patience + Timeout,
		Attributes: t.attributes(), Partial: t.partial(),
	}
	if t.standing() {
		out.Standing = t.schedule()
	}
	return out
}

// fault adds a diagnostic. Ranges without a file name stand for no place.
func (b *builder) fault(severity diag.Severity, summary, detail, addr string, where *diag.Range) {
	d := diag.Diagnostic{Severity: severity, Summary: summary, Detail: detail, Address: addr}
	if where != nil && where.Filename != "" {
		at := *where
		d.Range = &at
	}
	b.diags = append(b.diags, d)
}
