package plan

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan/schedule"
)

func costOf(p *Plan, place schedule.Resource) PlaceCost {
	for _, c := range p.Cost.Places {
		if c.Place == place {
			return c
		}
	}
	return PlaceCost{}
}

func TestCostOfRates(t *testing.T) {
	s := threeSites()
	s.Tests = s.Tests[1:] // voice: 684 000 B forward, 60 000 B of reports, six times
	p := build(t, input(s))
	if want := uint64(6 * 744_000); p.Cost.Bytes != want || p.Cost.Estimated || p.Cost.AssumedRate != 0 {
		t.Errorf("got %d B, estimated %t, want %d B known", p.Cost.Bytes, p.Cost.Estimated, want)
	}
	if got := costOf(p, "link.core"); got.Bytes != p.Cost.Bytes || math.Abs(got.PeakRate-6*91_200) > 1 || got.Capacity != 500e6 {
		t.Errorf("link.core: got %+v", got)
	}
	if got := costOf(p, "agent.syd/telco-a tx"); got.Bytes != 2*684_000+2*60_000 || math.Abs(got.PeakRate-2*99_200) > 1 {
		t.Errorf("transmit side of syd: got %+v", got)
	}
}

// A session that seeks the capacity costs what its path carries; where nothing
// is declared, an assumption that the plan states.
func TestCostOfCapacityTests(t *testing.T) {
	s := threeSites()
	s.Tests = s.Tests[:1]
	p := build(t, input(s))
	if want := uint64(6 * 500e6 / 8 * 10); p.Cost.Bytes != want || !p.Cost.Estimated || p.Cost.AssumedRate != 0 {
		t.Errorf("over a link of 500 Mbit/s: got %+v, want %d B", p.Cost, want)
	}
	s.Paths[0].Links = nil
	s.Paths[0].Mesh = ends("syd", "mel")
	p = build(t, input(s))
	if want := uint64(2 * 1e9 / 8 * 10); p.Cost.Bytes != want || p.Cost.AssumedRate != 0 {
		t.Errorf("between interfaces of 1 Gbit/s: got %+v, want %d B", p.Cost, want)
	}
	s.Paths[0].Via = ""
	p = build(t, input(s))
	if want := uint64(2 * 1e9 / 8 * 10); p.Cost.Bytes != want || p.Cost.AssumedRate != 1e9 {
		t.Errorf("nothing declared: got %+v, want %d B at an assumed 1 Gbit/s", p.Cost, want)
	}
}

// TestLinkLoadedBothWays: each direction of a link has its own capacity.
func TestLinkLoadedBothWays(t *testing.T) {
	s := threeSites()
	s.Paths[0].Mesh, s.Paths[0].Via = nil, ""
	s.Paths[0].From, s.Paths[0].To = ends("syd"), ends("mel")
	for name, params := range map[string]netp.Params{
		"capacity": {"duration": 10.0, "direction": "both"},
		"rate":     {"duration": 10.0, "direction": "both", "rate": 400e6},
	} {
		s.Tests = []lang.Test{test("both", profile("tcp", "both", params), "core")}
		p := build(t, input(s))
		if got := costOf(p, "link.core"); got.Bytes != p.Cost.Bytes || got.PeakRate < 400e6 || got.PeakRate > 500e6 {
			t.Errorf("%s: got %+v, want a peak of one direction", name, got)
		}
	}
}

// A path without via may take any interface of its agents, unless their address tells.
func TestClaimsOfAnUnknownWay(t *testing.T) {
	s := &lang.Suite{
		Agents: []lang.Agent{agent("a", "wan1=10", "wan2"), agent("b")},
		Paths:  []lang.Path{{Addr: "path.p", From: ends("a"), To: ends("b")}},
		Tests:  []lang.Test{test("t", profile("tcp", "p", netp.Params{"duration": 1.0, "rate": 50e6}), "p")},
	}
	want := []schedule.Claim{{Resource: "agent.a/default tx", Rate: 50e6}, {Resource: "agent.a/wan1 tx", Rate: 10e6},
		{Resource: "agent.a/wan2 tx", Rate: 50e6}, {Resource: "agent.b/default rx", Rate: 50e6}}
	if got := build(t, input(s)).Sessions[0].Claims; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.Agents[0].Interfaces[1].Address = "192.0.2.1"
	in := input(s)
	in.Inventory[0].Address = "192.0.2.1:8620"
	want = []schedule.Claim{{Resource: "agent.a/wan2 tx", Rate: 50e6}, {Resource: "agent.b/default rx", Rate: 50e6}}
	if got := build(t, in).Sessions[0].Claims; !slices.Equal(got, want) {
		t.Errorf("by its address: got %v, want %v", got, want)
	}
}

// The claims of each kind of session: who seeks the capacity has both directions, whichever way its data goes.
func TestClaims(t *testing.T) {
	alone := []schedule.Claim{{Resource: "agent.a/default tx", Exclusive: true}, {Resource: "agent.b/default rx", Exclusive: true},
		{Resource: "agent.b/default tx", Exclusive: true}, {Resource: "agent.a/default rx", Exclusive: true}}
	for _, c := range []struct {
		name string
		p    lang.Profile
		want []schedule.Claim
	}{
		{"forward capacity", bulk, alone},
		{"reverse capacity", profile("tcp", "r", netp.Params{"duration": 1.0, "direction": "reverse"}), alone},
		{"both capacities", profile("tcp", "b", netp.Params{"duration": 1.0, "direction": "both"}), alone},
		{"a rate", profile("tcp", "p", netp.Params{"duration": 1.0, "rate": 5e6}),
			[]schedule.Claim{{Resource: "agent.a/default tx", Rate: 5e6}, {Resource: "agent.b/default rx", Rate: 5e6}}},
		{"a rate and its reports", voice,
			[]schedule.Claim{{Resource: "agent.a/default tx", Rate: 91_200}, {Resource: "agent.b/default rx", Rate: 91_200},
				{Resource: "agent.b/default tx", Rate: 8_000}, {Resource: "agent.a/default rx", Rate: 8_000}}},
	} {
		s := &lang.Suite{Agents: []lang.Agent{agent("a"), agent("b")}, Paths: []lang.Path{{Addr: "path.p", From: ends("a"), To: ends("b")}}, Tests: []lang.Test{test("t", c.p, "p")}}
		got := build(t, input(s)).Sessions[0].Claims
		if len(got) != len(c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i].Resource != c.want[i].Resource || got[i].Exclusive != c.want[i].Exclusive || math.Abs(got[i].Rate-c.want[i].Rate) > 1 {
				t.Errorf("%s: claim %d is %+v, want %+v", c.name, i, got[i], c.want[i])
			}
		}
	}
}

func TestTimes(t *testing.T) {
	in := input(threeSites())
	in.Catalogue = slices.Clone(catalogue)
	for i, k := range in.Catalogue {
		in.Catalogue[i].Demand = func(p netp.Params) netp.Demand {
			d := k.Demand(p)
			d.Patience = 40 * time.Second
			return d
		}
	}
	p := build(t, in)
	if want := 65 * time.Second; p.Tests[0].Timeout != want {
		t.Errorf("timeout of test.bulk: got %v, want %v", p.Tests[0].Timeout, want)
	}
	for _, s := range p.Sessions {
		if want := 10*time.Second + SetupMargin; s.Test == "test.bulk" && s.Slot != want {
			t.Errorf("slot of %s: got %v, want %v", s.Addr, s.Slot, want)
		}
	}
}
