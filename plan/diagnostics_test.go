package plan

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// Each fault is made in a copy of the three-site suite; the one diagnostic wanted
// must be there, and no other error.
func TestDiagnostics(t *testing.T) {
	for _, c := range []struct {
		name     string
		change   func(*Input)
		severity diag.Severity
		summary  string
		says     []string
	}{
		{"agent not registered", func(in *Input) { in.Inventory = in.Inventory[1:] },
			diag.Error, "Agent not registered", []string{"No agent named mel is connected", "test.bulk, test.voice", "take it out of the suite", "-exclude=agent.mel"}},
		{"agent not registered, not needed", func(in *Input) { in.Inventory = in.Inventory[1:]; in.Excludes = []string{"agent.mel"} },
			diag.Warning, "Agent not registered", []string{"No session of this plan needs it"}},
		{"agent drained", func(in *Input) { in.Inventory[0].Drained = true },
			diag.Warning, "Agent drained", []string{"Agent mel is drained", "test.bulk, test.voice", "netp agents resume mel"}},
		{"drained member of a set", func(in *Input) {
			in.Inventory[0].Drained = true
			in.Suite.AgentSets = []lang.AgentSet{{Addr: "agents.edge", Matches: func(a netp.Agent) (bool, error) { return true, nil }}}
			in.Suite.Paths[0].Mesh = ends("agents.edge")
		}, diag.Warning, "Agent drained", []string{"agents.edge leaves out mel"}},
		{"set whose members are all drained", func(in *Input) {
			in.Inventory[0].Drained = true
			in.Suite.AgentSets = []lang.AgentSet{{Addr: "agents.edge", Matches: func(a netp.Agent) (bool, error) { return a.Name == in.Inventory[0].Name, nil }}}
			in.Suite.Paths[0].Mesh = ends("syd", "agents.edge")
		}, diag.Warning, "Agent drained", []string{"Agent mel is drained", "recorded as missed"}},
		{"both ends behind NAT", func(in *Input) { in.Inventory[0].NAT, in.Inventory[1].NAT = true, true },
			diag.Warning, "Both ends behind NAT", []string{"mel->per", "-address"}},
		{"set without members", func(in *Input) {
			in.Suite.AgentSets = []lang.AgentSet{{Addr: "agents.edge", Where: `tags.site == "x"`, Matches: func(netp.Agent) (bool, error) { return false, nil }}}
			in.Suite.Paths[0].Mesh = ends("syd", "mel", "agents.edge")
		}, diag.Warning, "No agent matches", []string{"None of the 3 registered agents", "agents.edge", `tags.site == "x"`}},
		{"set that cannot be evaluated", func(in *Input) {
			in.Suite.AgentSets = []lang.AgentSet{{Addr: "agents.edge", Matches: func(netp.Agent) (bool, error) { return false, errors.New("lat is no number") }}}
			in.Suite.Paths[0].Mesh = ends("syd", "mel", "agents.edge")
		}, diag.Error, "Invalid agent condition", []string{"agents.edge", "agent mel", "lat is no number"}},
		{"empty path", func(in *Input) { in.Suite.Paths[0].Mesh = ends("syd") },
			diag.Error, "Empty path", []string{"syd is its only agent"}},
		{"empty by exceptions", func(in *Input) {
			in.Suite.Paths[0].Mesh = ends("syd", "mel")
			in.Suite.Paths[0].Except = []string{"syd->mel", "mel->syd"}
		}, diag.Error, "Empty path", []string{`"except" takes all of them away`}},
		{"unknown pair", func(in *Input) { in.Suite.Tests[0].Paths[0].Key = "syd->adl" },
			diag.Error, "Unknown path", []string{`path.core has no pair "syd->adl"`, "syd->mel"}},
		{"unknown interface", func(in *Input) { in.Suite.Paths[0].Via = "telco-z" },
			diag.Error, "Unknown interface", []string{`via "telco-z"`, "telco-a, telco-b"}},
		{"interface at neither end of a pair", func(in *Input) { in.Suite.Paths[0].Via = "telco-b"; in.Suite.Paths[0].Mesh = ends("syd", "mel", "per") },
			diag.Warning, "Interface missing at both ends", []string{"2 of its 6 pairs", "mel->per, per->mel"}},
		{"kind not supported", func(in *Input) { in.Inventory[1].Kinds = []netp.Kind{"udp"} },
			diag.Error, "Kind not supported by an agent", []string{"test.bulk is of kind tcp", "per"}},
		{"agents for an endpoint kind", func(in *Input) { in.Suite.Tests[0].Profile = web },
			diag.Error, "Kind needs an endpoint", []string{"test.bulk"}},
		{"endpoint for an agent kind", func(in *Input) {
			in.Suite.Paths[0] = lang.Path{Addr: "path.core", From: ends("syd"), To: ends("https://x.example/")}
		}, diag.Error, "Kind needs an agent at both ends", []string{"https://x.example/"}},
		{"endpoint as source", func(in *Input) {
			in.Suite.Paths[0] = lang.Path{Addr: "path.core", From: ends("https://x.example/"), To: ends("syd")}
		}, diag.Error, "Endpoint cannot send", []string{"https://x.example/"}},
		{"rate above the agent's limit", func(in *Input) { in.Inventory[0].Limits.Rate = 50_000 },
			diag.Error, "Agent limit exceeded", []string{"test.voice asks mel for a rate of 91.2 kbit/s", "50 kbit/s"}},
		{"capacity test under the agent's limit", func(in *Input) { in.Inventory[0].Limits.Rate = 100e6 },
			diag.Warning, "Agent limit bounds the measurement", []string{"test.bulk", "100 Mbit/s"}},
		{"duration above the agent's limit", func(in *Input) { in.Inventory[0].Limits.Duration = 30 * time.Second },
			diag.Error, "Agent limit exceeded", []string{"a duration of 60 s", "30 s"}},
		{"bytes above the agent's limit", func(in *Input) { in.Inventory[0].Limits.BytesPerDay = 1e6 },
			diag.Error, "Agent limit exceeded", []string{"make mel send 429 MB a day", "1 MB"}},
		{"rate above a capacity", func(in *Input) { in.Suite.Links[0].Capacity = 64e3 },
			diag.Error, "Session cannot be placed", []string{"91.2 kbit/s over link.core, which has 64 kbit/s", "profile.udp.voice"}},
		{"period too short", func(in *Input) { in.Suite.Tests[0].Every = time.Minute },
			diag.Warning, "Schedule cannot be kept", []string{"test.bulk, test.voice claim link.core for 1.1 times"}},
		{"session longer than its period", func(in *Input) { in.Suite.Tests[1].Every = time.Minute },
			diag.Error, "Session longer than its period", []string{"test.voice takes 61 s", "comes after 60 s", "shorten profile.udp.voice"}},
		{"turns too dense", func(in *Input) { in.Suite.Tests[0].Cron = "* 2 * * *" },
			diag.Warning, "Schedule cannot be kept", []string{"test.bulk claim link.core for 1.1 times"}},
		{"longer than a year", func(in *Input) {
			in.Suite.Tests[0].Profile = profile("tcp", "slow", netp.Params{"duration": 100 * 86400.0})
		}, diag.Error, "Schedule too long", []string{"link.core for 601 days", "at most 366"}},
		{"target without sessions", func(in *Input) { in.Targets = []string{"test.voyce"} },
			diag.Error, "Nothing has this address", []string{`"test.voyce"`, "test.voice"}},
		{"exclude without sessions", func(in *Input) { in.Excludes = []string{"test.voic"} },
			diag.Error, "Nothing has this address", []string{`"test.voic"`}},
		{"unknown kind", func(in *Input) { in.Suite.Tests[0].Profile.Kind = "smoke" },
			diag.Error, "Unknown kind", []string{`"smoke"`}},
		{"assertion beyond the samples", func(*Input) {},
			diag.Warning, "Assertion cannot be decided", []string{"3 000 packets", "needs 3 688 packets, that is 73.8 s"}},
		{"limit of zero", func(in *Input) { in.Suite.Tests[1].Asserts[0].Condition = "loss.ratio <= 0" },
			diag.Warning, "Assertion cannot be decided", []string{"no number of packets can", "on the count"}},
		{"limit of more than all", func(in *Input) { in.Suite.Tests[1].Asserts[0].Condition = "loss.ratio <= 5" },
			diag.Warning, "Assertion cannot fail", []string{"loss.ratio <= 5 is true of every path", "written 5 * percent"}},
		{"clock not synchronised", func(in *Input) {
			in.Inventory[1].Clock = netp.ClockState{Known: true, MaxError: 38 * time.Millisecond, Source: "chrony"}
		}, diag.Warning, "Clock not fit for one-way assertions", []string{"per's clock is not synchronised (chrony) and off by up to 38 ms", "will be inconclusive"}},
		{"clock too wide", func(in *Input) { in.Inventory[1].Clock.MaxError = 40 * time.Millisecond },
			diag.Warning, "Clock not fit for one-way assertions", []string{"per's clock is off by up to 40 ms", "limit of 60 ms"}},
	} {
		in := input(threeSites())
		c.change(&in)
		p, diags := Build(in)
		found := false
		for _, d := range diags {
			if d.Summary == c.summary && d.Severity == c.severity && containsAll(d.Detail, c.says) {
				found = true
			} else if d.Severity == diag.Error && d.Summary != c.summary {
				t.Errorf("%s: unwanted %s: %s", c.name, d.Summary, d.Detail)
			}
		}
		if !found {
			t.Errorf("%s: %s %q that says %q is not among\n%s", c.name, c.severity, c.summary, c.says, written(diags))
		}
		if (p == nil) != diags.HasErrors() {
			t.Errorf("%s: plan %v with errors %t", c.name, p != nil, diags.HasErrors())
		}
		if p != nil && len(p.Warnings) != len(diags) {
			t.Errorf("%s: the plan has %d warnings of %d", c.name, len(p.Warnings), len(diags))
		}
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func written(diags diag.List) string {
	var out strings.Builder
	for _, d := range diags {
		fmt.Fprintf(&out, "  %s: %s: %s\n", d.Severity, d.Summary, d.Detail)
	}
	return out.String()
}

// All faults come in one go.
func TestManyFaultsAtOnce(t *testing.T) {
	in := input(threeSites())
	in.Inventory = in.Inventory[1:]
	in.Inventory[0].Kinds = []netp.Kind{"udp"}
	in.Inventory[1].Limits.Duration = time.Second
	in.Targets = []string{"test.bulk", "test.voice", "test.nothing"}
	_, diags := Build(in)
	if n, _ := diags.Count(); n != 5 { // not registered, kind, two limits, target
		t.Errorf("got %d errors, want 5:\n%s", n, written(diags))
	}
}

// Agents that read one clock need no synchronisation; an agent that is not known
// yet is not judged.
func TestOneClockNeedsNoSynchronisation(t *testing.T) {
	in := input(threeSites())
	for i := range in.Inventory {
		in.Inventory[i].Host, in.Inventory[i].Clock = "one", netp.ClockState{}
	}
	for _, d := range build(t, in).Warnings {
		if strings.HasPrefix(d.Summary, "Clock") {
			t.Errorf("unwanted: %s", d.Detail)
		}
	}
}

// Ten million sessions are refused by arithmetic, before any is made.
func TestTooManySessions(t *testing.T) {
	s := &lang.Suite{Name: "huge"}
	var names []string
	for i := range 3200 {
		name := fmt.Sprintf("a%04d", i)
		s.Agents = append(s.Agents, agent(name))
		names = append(names, name)
	}
	s.Paths = []lang.Path{{Addr: "path.all", Mesh: ends(names...)}, {Addr: "path.few", Mesh: ends(names[:3]...)}}
	s.Tests = []lang.Test{test("t", voice, "few", "all")}
	in := input(s)
	allocated := testing.AllocsPerRun(1, func() {
		p, diags := Build(in)
		if p != nil || len(diags) != 1 || diags[0].Summary != "Too many sessions" {
			t.Fatalf("got %v", diags)
		}
		if want := []string{"10 236 806 sessions", "at most 100 000", "path.all with 10 236 800 pairs"}; !containsAll(diags[0].Detail, want) {
			t.Errorf("got %q, want %q in it", diags[0].Detail, want)
		}
	})
	if allocated > 200_000 {
		t.Errorf("refusing took %.0f allocations: the sessions were made", allocated)
	}
	in.Limits.Sessions = 11_000_000
	in.Suite.Paths, in.Suite.Tests[0].Paths = s.Paths[1:], s.Tests[0].Paths[:1]
	build(t, in)
}
