// Command plan measures how long plans of large suites take, and how close their
// schedules come to the bound that no schedule can be below. It prints a table:
//
//	go run ./testsuites/bench/plan
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
)

// shape is a suite to be made: some agents are hubs, and each hub has a path to
// each agent, so that there are hubs × agents sessions or a little less.
type shape struct {
	name         string
	agents, hubs int
	profile      lang.Profile
	links        int // each hub's paths cross one of so many links
}

var (
	bulk  = lang.Profile{Addr: "profile.tcp.bulk", Kind: "tcp", Params: netp.Params{"duration": 10.0, "streams": 1.0, "rate": 0.0, "direction": "forward"}}
	voice = lang.Profile{Addr: "profile.udp.voice", Kind: "udp", Params: netp.Params{"duration": 60.0, "rate": "50pps", "size": 200.0, "streams": 1.0, "direction": "forward", "spacing": "constant"}}
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "plan bench:", err)
		os.Exit(1)
	}
}

func run() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "suite\tagents\tsessions\tplan\tof that schedule\trounds\tmakespan\t÷ bound\tJSON")
	for _, s := range []shape{
		{"full mesh, bulk", 30, 30, bulk, 0},
		{"full mesh, bulk", 31, 31, bulk, 0},
		{"full mesh, bulk", 316, 316, bulk, 0},
		{"hubs, bulk", 1000, 100, bulk, 0},
		{"hubs, bulk over 20 links", 1000, 100, bulk, 20},
		{"hubs, voice", 1000, 100, voice, 0},
		{"hubs, voice over 20 links", 1000, 100, voice, 20},
	} {
		if err := s.measure(w); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return w.Flush()
}

func (s shape) measure(w *tabwriter.Writer) error {
	in := plan.Input{Suite: s.suite(), Catalogue: agent.Catalogue(), NetpVersion: "bench"}
	for _, a := range in.Suite.Agents {
		in.Inventory = append(in.Inventory, a.Agent)
	}
	start := time.Now()
	p, diags := plan.Build(in)
	whole := time.Since(start)
	if err := diags.Err(); err != nil {
		return err
	}
	items := make([]schedule.Item, len(p.Sessions))
	for i, session := range p.Sessions {
		items[i] = session.Item()
	}
	start = time.Now()
	placement, conflicts := schedule.Place(items, p.Capacities)
	placing := time.Since(start)
	if len(conflicts) > 0 {
		return fmt.Errorf("%d conflicts", len(conflicts))
	}
	if err := schedule.Validate(items, placement.Slots, p.Capacities); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s\t%d\t%d\t%.2f s\t%.2f s\t%d\t%v\t%.3f\t%.1f MB\n", s.name, s.agents, len(items), whole.Seconds(), placing.Seconds(),
		placement.Rounds, placement.Makespan, float64(placement.Makespan)/float64(placement.Bound), float64(len(text))/1e6)
	return nil
}

func (s shape) suite() *lang.Suite {
	suite := &lang.Suite{Name: "bench"}
	var all []lang.End
	for i := range s.agents {
		a := lang.Agent{Addr: fmt.Sprintf("agent.a%04d", i), Agent: netp.Agent{Name: netp.AgentID(fmt.Sprintf("a%04d", i))}}
		suite.Agents = append(suite.Agents, a)
		all = append(all, lang.End{Agent: a.Addr})
	}
	for i := range s.links {
		suite.Links = append(suite.Links, netp.Link{Addr: fmt.Sprintf("link.l%02d", i), Capacity: 1e9})
	}
	t := lang.Test{Addr: "test.t", Profile: s.profile}
	groups := max(1, s.links)
	for g := range groups {
		p := lang.Path{Addr: fmt.Sprintf("path.p%02d", g), To: all}
		for h := g; h < s.hubs; h += groups {
			p.From = append(p.From, all[h])
		}
		if s.links > 0 {
			p.Links = []string{suite.Links[g].Addr}
		}
		suite.Paths = append(suite.Paths, p)
		t.Paths = append(t.Paths, lang.PathRef{Path: p.Addr})
	}
	suite.Tests = []lang.Test{t}
	return suite
}
