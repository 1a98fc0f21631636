package plan

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/assert"
)

var update = flag.Bool("update", false, "write the golden plans anew")

// golden are inputs whose whole plans are kept in testdata.
func golden() map[string]Input {
	backbone := input(threeSites())

	local := input(threeSites())
	local.Local, local.Inventory = true, nil

	changed := input(threeSites())
	changed.State = State{Lineage: "l", Serial: 4, Tests: map[string]map[string]string{"test.old-ping": {"kind": "rtt"}}}
	for _, t := range []string{"test.bulk", "test.voice"} {
		changed.State.Tests[t] = attributesOf(backbone, t)
	}
	changed.State.Tests["test.voice"]["assert.loss"] = "loss.ratio <= 1 * percent"
	changed.State.Tests["test.voice"]["rate"] = "20 pps"

	portal := threeSites()
	portal.Paths = []lang.Path{{Addr: "path.portal", From: ends("agents.edge"), To: ends("https://portal.example/health"), Range: at(20)}}
	portal.AgentSets = []lang.AgentSet{{Addr: "agents.edge", Where: `tags.site != "syd"`, Matches: siteIsNot("syd")}}
	portal.Tests = []lang.Test{test("portal", web, "portal")}
	portal.Tests[0].Asserts = []assert.Assertion{condition("up", "ok.ratio >= 99 * percent", "ok.ratio")}

	both := threeSites()
	both.Tests = []lang.Test{test("duplex", profile("tcp", "duplex", netp.Params{"duration": 10.0, "direction": "both"}), "free")}
	both.Paths = []lang.Path{{Addr: "path.free", Mesh: ends("syd", "mel", "per"), Range: at(20)}}

	family := threeSites()
	family.FamilyRun = true
	partial := input(family)
	partial.Targets = []string{"test.voice"}
	partial.Excludes = []string{"agent.per"}
	partial.State = State{Lineage: "l", Serial: 1, Tests: map[string]map[string]string{"test.gone": {}}}

	return map[string]Input{"backbone": backbone, "local": local, "changed": changed, "portal": input(portal), "duplex": input(both), "partial": partial}
}

func siteIsNot(site string) func(netp.Agent) (bool, error) {
	return func(a netp.Agent) (bool, error) { return a.Tags["site"] != site, nil }
}

func attributesOf(in Input, addr string) map[string]string {
	p, _ := Build(in)
	at := slices.IndexFunc(p.Tests, func(t Test) bool { return t.Addr == addr })
	return p.Tests[at].Attributes
}

func TestGoldenPlans(t *testing.T) {
	for name, in := range golden() {
		t.Run(name, func(t *testing.T) {
			got := asJSON(t, build(t, in))
			path := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the plan differs; if that is wanted, run go test ./plan -update (-want +got)\n%s", diff)
			}
		})
	}
}

// The same input gives the same bytes, in whatever order its lists come.
func TestBuildIsDeterministic(t *testing.T) {
	for name, in := range golden() {
		first := asJSON(t, build(t, in))
		for seed := range uint64(5) {
			random := rand.New(rand.NewPCG(seed, 1))
			again := in
			again.Inventory = slices.Clone(in.Inventory)
			random.Shuffle(len(again.Inventory), reflectSwap(again.Inventory))
			suite := *in.Suite
			suite.Agents, suite.Tests, suite.Paths = slices.Clone(suite.Agents), slices.Clone(suite.Tests), slices.Clone(suite.Paths)
			random.Shuffle(len(suite.Agents), reflectSwap(suite.Agents))
			random.Shuffle(len(suite.Tests), reflectSwap(suite.Tests))
			suite.Paths[0].Mesh = slices.Clone(suite.Paths[0].Mesh)
			random.Shuffle(len(suite.Paths[0].Mesh), reflectSwap(suite.Paths[0].Mesh))
			again.Suite = &suite
			if diff := cmp.Diff(first, asJSON(t, build(t, again))); diff != "" {
				t.Fatalf("%s: another order gives another plan (-first +again)\n%s", name, diff)
			}
		}
	}
}

func reflectSwap[T any](list []T) func(i, j int) {
	return func(i, j int) { list[i], list[j] = list[j], list[i] }
}

// Created and warnings do not change what a plan does; everything else does.
func TestHashIsOfTheContent(t *testing.T) {
	in := input(threeSites())
	first := build(t, in)
	in.Now = in.Now.Add(time.Hour)
	if again := build(t, in); again.Hash != first.Hash {
		t.Error("another time of making gave another hash")
	}
	in.Suite.Tests[1].Asserts[0].Condition = "loss.ratio <= 0.2 * percent"
	if again := build(t, in); again.Hash == first.Hash {
		t.Error("another condition gave the same hash")
	}
	in.State.Serial++
	second := build(t, in)
	if second.Hash == first.Hash {
		t.Error("another serial gave the same hash")
	}
}

// A draft is the plan without its hash, so that nobody takes it for one that can be applied.
func TestDraft(t *testing.T) {
	in := input(threeSites())
	whole := build(t, in)
	in.Draft = true
	draft := build(t, in)
	if draft.Hash != "" {
		t.Errorf("a draft has the hash %s", draft.Hash)
	}
	draft.Hash = whole.Hash
	if diff := cmp.Diff(asJSON(t, whole), asJSON(t, draft)); diff != "" {
		t.Errorf("a draft is another plan (-whole +draft)\n%s", diff)
	}
}

// TestNAT: whichever agents are behind NAT, the plan and what it installs know them.
func TestNAT(t *testing.T) {
	in := voiceEvery(5 * time.Minute)
	names := []netp.AgentID{"mel", "per", "syd"}
	for behind := range 1 << len(names) {
		for i := range in.Inventory {
			at := slices.Index(names, in.Inventory[i].Name)
			in.Inventory[i].NAT = behind>>at&1 == 1
		}
		whole := build(t, in)
		in.Targets = []string{`test.voice["syd->mel"]`}
		for what, p := range map[string]*Plan{"plan": whole, "installed": Install(whole, build(t, in))} {
			for at, name := range names {
				if got, want := p.NAT(name), behind>>at&1 == 1; got != want {
					t.Errorf("%s: NAT of %s is %v, want %v", what, name, got, want)
				}
			}
			if p.NAT("nobody") || p.NAT("") || p.NAT("zoo") {
				t.Errorf("%s: an agent that is not in it is behind NAT", what)
			}
		}
		in.Targets = nil
	}
}

func TestSecretsStayOut(t *testing.T) {
	if text := asJSON(t, build(t, input(threeSites()))); strings.Contains(text, "hunter2") {
		t.Error("the plan holds a sink's secret")
	}
}

func TestExpansion(t *testing.T) {
	for _, c := range []struct {
		name string
		path lang.Path
		refs []string // of the test; path.p when empty
		want string
	}{
		{"mesh", lang.Path{Mesh: ends("a", "b", "c")}, nil, "a->b a->c b->a b->c c->a c->b"},
		{"mesh names an agent twice", lang.Path{Mesh: ends("a", "b", "a")}, nil, "a->b b->a"},
		{"mesh with a set", lang.Path{Mesh: ends("a", "agents.not-a")}, nil, "a->b a->c b->a b->c c->a c->b"},
		{"product", lang.Path{From: ends("a", "b"), To: ends("b", "c")}, nil, "a->b a->c b->c"},
		{"both directions", lang.Path{From: ends("a", "b"), To: ends("b", "c"), BothDirections: true}, nil, "a->b a->c b->a b->c c->a c->b"},
		{"except", lang.Path{Mesh: ends("a", "b", "c"), Except: []string{"a->b", "c->a"}}, nil, "a->c b->a b->c c->b"},
		{"one pair", lang.Path{Mesh: ends("a", "b", "c")}, []string{"p|b->c"}, "b->c"},
		{"a pair twice", lang.Path{Mesh: ends("a", "b")}, []string{"p", "p|b->a"}, "a->b b->a"},
		{"two blocks", lang.Path{Mesh: ends("a", "b")}, []string{"p", "q"}, "p:a->b p:b->a q:a->b"},
	} {
		s := &lang.Suite{Name: "s", Agents: []lang.Agent{agent("a"), agent("b"), agent("c")}}
		s.AgentSets = []lang.AgentSet{{Addr: "agents.not-a", Where: "…", Matches: siteIsNot("a")}}
		c.path.Addr = "path.p"
		s.Paths = []lang.Path{c.path, {Addr: "path.q", From: ends("a"), To: ends("b")}}
		if c.refs == nil {
			c.refs = []string{"p"}
		}
		s.Tests = []lang.Test{test("t", voice, c.refs...)}
		in := input(s)
		b := newBuilder(in)
		b.fleet = newFleet(in)
		b.gather()
		if block := b.paths["path.p"]; len(c.path.Except) == 0 {
			b.pair(block)
			if got, want := block.count(), float64(len(block.pairs)); got != want {
				t.Errorf("%s: counted %g pairs, there are %g", c.name, got, want)
			}
		}
		var want []string
		for key := range strings.FieldsSeq(c.want) {
			want = append(want, fmt.Sprintf("test.t[%q]", key))
		}
		if diff := cmp.Diff(want, addresses(build(t, in))); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
	}
}

// Addresses keep the module's prefix and the block's own key.
func TestAddresses(t *testing.T) {
	s := threeSites()
	s.Paths = []lang.Path{
		{Addr: `module.branch["mel"].path.core`, From: ends("syd"), To: ends("mel")},
		{Addr: `path.carrier["telco-a"]`, From: ends("syd"), To: ends("mel")},
	}
	s.Tests = []lang.Test{
		{Addr: `module.branch["mel"].test.x`, Profile: voice, Paths: []lang.PathRef{{Path: s.Paths[0].Addr}}},
		{Addr: `test.y["k"]`, Profile: voice, Paths: []lang.PathRef{{Path: s.Paths[0].Addr}, {Path: s.Paths[1].Addr}}},
	}
	p := build(t, input(s))
	want := []string{
		`module.branch["mel"].test.x["syd->mel"]`,
		`test.y["k"]["carrier[telco-a]:syd->mel"]`,
		`test.y["k"]["module.branch[mel].core:syd->mel"]`,
	}
	if diff := cmp.Diff(want, addresses(p)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestInterfaces(t *testing.T) {
	s := threeSites()
	p := build(t, input(s))
	for _, session := range p.Sessions {
		wantSource, wantDest := "telco-a", "telco-a"
		if session.Path.Source == "per" {
			wantSource = ""
		}
		if session.Path.Dest == "per" {
			wantDest = ""
		}
		if got := session.Path; got.SourceInterface != wantSource || got.DestInterface != wantDest {
			t.Errorf("%s: got %q to %q, want %q to %q", session.Addr, got.SourceInterface, got.DestInterface, wantSource, wantDest)
		}
	}
}

// An agent's default address may be that of a declared interface: then both
// names mean one resource.
func TestDefaultAddressIsAnInterface(t *testing.T) {
	s := threeSites()
	s.Agents[2].Interfaces[0].Address = "10.1.0.10"
	s.Paths[0].Via = ""
	in := input(s)
	in.Inventory[2].Address = "10.1.0.10:8620"
	for _, session := range build(t, in).Sessions {
		for _, c := range session.Claims {
			if c.Resource == "agent.syd/default tx" {
				t.Fatalf("%s claims %s, want agent.syd/telco-a tx", session.Addr, c.Resource)
			}
		}
	}
}

func TestSharedHostRunsExclusiveSessionsAlone(t *testing.T) {
	s := threeSites()
	s.Agents = append(s.Agents, agent("adl"))
	s.Paths[0].Via, s.Paths[0].Links, s.Paths[0].Mesh = "", nil, ends("syd", "mel", "per", "adl")
	in := input(s)
	in.Local, in.Inventory = true, nil
	p := build(t, in)
	if want := 12*(10*time.Second+SetupMargin) + 60*time.Second + SetupMargin; p.Makespan != want {
		t.Errorf("on one host: got %v, want %v", p.Makespan, want)
	}
	for i := range s.Agents {
		s.Agents[i].Netns = "netns-" + string(s.Agents[i].Name)
	}
	p = build(t, in)
	if want := 6*(10*time.Second+SetupMargin) + 60*time.Second + SetupMargin; p.Makespan != want {
		t.Errorf("in namespaces: got %v, want %v", p.Makespan, want)
	}
}

func TestAgentLimitOfSessions(t *testing.T) {
	s := threeSites()
	s.Tests = s.Tests[1:]
	in := input(s)
	in.Inventory[0].Limits.Sessions = 1 // mel takes part in four of six
	if p, want := build(t, in), 4*(60*time.Second+SetupMargin); p.Makespan != want {
		t.Errorf("got %v, want %v", p.Makespan, want)
	}
}
