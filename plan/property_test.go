package plan

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan/schedule"
)

// drawSuite draws a suite of up to 7 agents with interfaces and capacities, up to
// 3 path blocks with links, and up to 4 tests of all sorts.
func drawSuite(t *rapid.T) *lang.Suite {
	s := &lang.Suite{Name: "random", Links: []netp.Link{{Addr: "link.0", Capacity: 100e6}, {Addr: "link.1"}}}
	var names []string
	for i := range rapid.IntRange(2, 7).Draw(t, "agents") {
		names = append(names, fmt.Sprintf("a%d", i))
		s.Agents = append(s.Agents, agent(names[i], rapid.SampledFrom([]string{"x=50", "x", "y"}).Draw(t, "interface")))
	}
	for k := range rapid.IntRange(1, 3).Draw(t, "paths") {
		p := lang.Path{Addr: fmt.Sprintf("path.p%d", k), BothDirections: rapid.Bool().Draw(t, "both"), Via: rapid.SampledFrom([]string{"", "x"}).Draw(t, "via")}
		if rapid.Bool().Draw(t, "mesh") {
			p.Mesh = ends(names...)
		} else {
			p.From, p.To = ends(names[0]), ends(names[1:]...)
		}
		for _, l := range s.Links {
			if rapid.IntRange(0, 2).Draw(t, "on the link") == 0 {
				p.Links = append(p.Links, l.Addr)
			}
		}
		s.Paths = append(s.Paths, p)
	}
	for k := range rapid.IntRange(1, 4).Draw(t, "tests") {
		way := rapid.SampledFrom([]string{"forward", "reverse", "both"}).Draw(t, "direction")
		d := float64(rapid.IntRange(1, 30).Draw(t, "seconds"))
		p := profile("udp", "u", netp.Params{"rate": fmt.Sprintf("%dpps", rapid.IntRange(1, 2000).Draw(t, "pps")), "size": 1000.0, "duration": d, "direction": way})
		if rapid.Bool().Draw(t, "capacity") {
			p = profile("tcp", "b", netp.Params{"duration": d, "direction": way})
		}
		var paths []string
		for i := range s.Paths {
			if i == 0 || rapid.Bool().Draw(t, "path") {
				paths = append(paths, fmt.Sprintf("p%d", i))
			}
		}
		s.Tests = append(s.Tests, test(fmt.Sprintf("t%d", k), p, paths...))
	}
	return s
}

// Every plan is free of conflicts, complete, and has each session once.
func TestPlansAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSuite(t)
		in := input(s)
		in.Local = rapid.Bool().Draw(t, "local")
		p, diags := Build(in)
		if p == nil {
			for _, d := range diags {
				if d.Summary == "Unknown interface" {
					return // none of the drawn agents has it
				}
			}
			t.Fatalf("no plan: %v", diags.Err())
		}
		items, slots := make([]schedule.Item, len(p.Sessions)), make([]schedule.Slot, len(p.Sessions))
		seen := map[string]bool{}
		var end time.Duration
		for i, session := range p.Sessions {
			items[i], slots[i] = session.Item(), schedule.Slot{Start: session.Start, Round: session.Round}
			if seen[session.Addr] {
				t.Fatalf("%s is there twice", session.Addr)
			}
			seen[session.Addr] = true
			end = max(end, session.Start+session.Slot)
		}
		if err := schedule.Validate(items, slots, p.Capacities); err != nil {
			t.Fatal(err)
		}
		if end != p.Makespan {
			t.Fatalf("the last session ends at %v, the plan says %v", end, p.Makespan)
		}
		sum := uint64(0)
		for _, path := range p.Cost.Paths {
			sum += path.Bytes
		}
		if sum != p.Cost.Bytes {
			t.Fatalf("the paths' bytes sum up to %d, the plan says %d", sum, p.Cost.Bytes)
		}
	})
}
