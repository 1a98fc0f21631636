package e2e

import (
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/udp"
)

// TestLimitsRefuse asks one agent for more than each of its limits allows, in
// both roles: every refusal is a record with the agent's reason, and no direction
// makes an agent send more than it would by itself.
func TestLimitsRefuse(t *testing.T) {
	w := newWorld(t, options{engines: agent.Engines()})
	w.agent("free", nil)
	for name, change := range map[netp.AgentID]func(*agent.Config){
		"rate":     func(c *agent.Config) { c.Limits.Rate = 1e6 },
		"duration": func(c *agent.Config) { c.Limits.Duration = 2 * time.Second },
		"day":      func(c *agent.Config) { c.Limits.BytesPerDay = 100_000 },
		"kinds":    func(c *agent.Config) { c.Kinds = []netp.Kind{"rtt", "udp"} },
		"reach": func(c *agent.Config) {
			c.Reach = &agent.Reach{Peers: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Endpoints: []string{"*.example.net"}}
		},
	} {
		w.agent(name, change)
	}
	fast := netp.Params{"rate": "2000000bps", "duration": 1.0}
	turn := func(p netp.Params, way netp.Direction) netp.Params {
		out := netp.Params{"direction": string(way)}
		maps.Copy(out, p)
		return out
	}
	for _, c := range []struct {
		from, to netp.AgentID
		kind     netp.Kind
		params   netp.Params
		by       netp.AgentID
		why      string
	}{
		{"rate", "free", "udp", fast, "rate", "this one asks for"},
		{"free", "rate", "udp", turn(fast, netp.Reverse), "rate", "this one asks for"},
		{"free", "rate", "udp", turn(fast, netp.Both), "rate", "this one asks for"},
		{"rate", "free", "tcp", netp.Params{"duration": 1.0}, "rate", "seeks the capacity"},
		{"free", "rate", "tcp", turn(netp.Params{"duration": 1.0}, netp.Reverse), "rate", "seeks the capacity"},
		{"duration", "free", "rtt", netp.Params{"duration": 3.0}, "duration", "no session longer than 2 s"},
		{"free", "duration", "rtt", netp.Params{"duration": 3.0}, "duration", "no session longer than 2 s"},
		{"day", "free", "udp", fast, "day", "more bytes today"},
		{"free", "day", "udp", turn(fast, netp.Reverse), "day", "more bytes today"},
		{"kinds", "free", "tcp", netp.Params{"duration": 1.0}, "kinds", "runs no tcp sessions: its limits allow rtt, udp only"},
		{"free", "kinds", "tcp", netp.Params{"duration": 1.0}, "kinds", "runs no tcp sessions: its limits allow rtt, udp only"},
		{"reach", "free", "rtt", netp.Params{"duration": 1.0}, "reach", "-allow-peer"},
	} {
		p := makePlan(session{from: c.from, to: c.to, kind: c.kind, params: defaults(t, c.kind, c.params)})
		r := only(t, w.run(t.Context(), p, nil))
		if f := r.Result.Failure; f == nil || f.Kind != netp.FailureRefused || f.Agent != c.by || !strings.Contains(f.Detail, c.why) {
			t.Errorf("%s to %s, %s %v: %+v; want refused by %s: %q", c.from, c.to, c.kind, c.params, f, c.by, c.why)
		}
	}
	p := makePlan(session{from: "reach", to: "www.example.org", kind: "rtt", params: defaults(t, "rtt", netp.Params{"mode": "tcp_connect"})})
	p.Sessions[0].Path.Endpoint = true
	if f := only(t, w.run(t.Context(), p, nil)).Result.Failure; f == nil || f.Kind != netp.FailureRefused || !strings.Contains(f.Detail, "-allow-endpoint") {
		t.Errorf("an endpoint that is not allowed: %+v", f)
	}
	for _, a := range w.runner.Fleet().Agents() {
		if a.Name == "kinds" && len(a.Kinds) != 2 {
			t.Errorf("it announces %v", a.Kinds)
		}
	}
}

// understated is the udp engine with a demand that says nothing, as a fault in a
// kind would have it: what admission lets through the data path must hold.
type understated struct{ udp.Engine }

func (e *understated) Spec() netp.KindSpec {
	s := e.Engine.Spec()
	s.Demand = func(netp.Params) netp.Demand { return netp.Demand{Duration: time.Second} }
	return s
}

// TestResponderIsMeteredInTheReverseDirection makes the responder the sender, of
// more than it may send, past its admission: its own meter holds it.
func TestResponderIsMeteredInTheReverseDirection(t *testing.T) {
	const size = 972 // with the headers 1000 bytes
	w := newWorld(t, options{engines: []engine.Engine{new(understated)}})
	w.agent("free", nil)
	w.agent("rate", func(c *agent.Config) { c.Limits.Rate = 800_000 }) // 100 packets a second
	w.agent("day", func(c *agent.Config) { c.Limits.BytesPerDay = 50_000 })
	params := defaults(t, "udp", netp.Params{"rate": "1000pps", "size": float64(size), "duration": 1.0, "direction": "reverse"})
	for _, c := range []struct {
		name netp.AgentID
		most func(took time.Duration) float64 // bytes
	}{
		// 100 kB/s, and what the bucket holds at the start.
		{"rate", func(took time.Duration) float64 { return 100_000*took.Seconds() + 1<<16 }},
		{"day", func(time.Duration) float64 { return 50_000 }},
	} {
		begun := time.Now()
		r := only(t, w.run(t.Context(), makePlan(session{from: "free", to: c.name, kind: "udp", params: params}), nil))
		m, ok := r.Result.Metrics["loss.sent"]
		if !ok || m.Value == nil {
			t.Errorf("%s: no count of what was sent: %+v", c.name, r.Result)
			continue
		}
		most := c.most(time.Since(begun)) // the machine may have stopped meanwhile
		if sent := *m.Value * (size + 28); sent == 0 || sent > most {
			t.Errorf("%s sent %g bytes, more than %g, or nothing", c.name, sent, most)
		}
	}
}
