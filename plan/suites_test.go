package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan/schedule"
)

// catalogue has three kinds like the real ones, as far as a plan can tell.
var catalogue = netp.Catalogue{
	{
		Kind: "udp", Agents: true,
		Params: []netp.ParamSpec{
			{Name: "duration", Type: netp.DurationParam}, {Name: "size", Type: netp.SizeParam}, {Name: "rate", Type: netp.RateParam},
			{Name: "direction", Type: netp.StringParam, Default: "forward"}, {Name: "dscp", Type: netp.DSCPParam, Default: 0.0},
			{Name: "omit", Type: netp.DurationParam, Default: 0.0},
		},
		Metrics: func(p netp.Params) []netp.MetricSpec {
			return netp.Directed(p.Direction(), []netp.MetricSpec{
				{Name: "delay", Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, OneWay: true},
				{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket},
				{Name: "loss.count", Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket},
			})
		},
		Demand: func(p netp.Params) netp.Demand {
			d := p.Duration("omit") + p.Duration("duration")
			packets := math.Ceil(p.Rate("rate").PacketsPerSecond * d.Seconds())
			bytes := p.Number("size") + 28
			data := netp.Load{Packets: uint64(packets), Bytes: uint64(packets * bytes), Rate: p.Rate("rate").PacketsPerSecond * bytes * 8}
			reports := netp.Load{Packets: uint64(10 * d.Seconds()), Bytes: uint64(1000 * d.Seconds()), Rate: 8000}
			return directed(p.Direction(), netp.Demand{Duration: d}, data, reports)
		},
	},
	{
		Kind: "tcp", Agents: true,
		Params: []netp.ParamSpec{
			{Name: "duration", Type: netp.DurationParam}, {Name: "streams", Type: netp.IntegerParam, Default: 1.0},
			{Name: "rate", Type: netp.BitRateParam, Default: 0.0}, {Name: "direction", Type: netp.StringParam, Default: "forward"},
		},
		Metrics: func(p netp.Params) []netp.MetricSpec {
			return netp.Directed(p.Direction(), []netp.MetricSpec{{Name: "throughput", Unit: "bit/s", Shape: netp.DistributionShape, Basis: netp.PerInterval}})
		},
		Demand: func(p netp.Params) netp.Demand {
			d := p.Duration("duration")
			data := netp.Load{Exclusive: p.Number("rate") == 0, Rate: p.Number("rate")}
			data.Bytes = uint64(data.Rate / 8 * d.Seconds())
			return directed(p.Direction(), netp.Demand{Duration: d, Intervals: int(d / (100 * time.Millisecond))}, data, netp.Load{})
		},
	},
	{
		Kind: "http", Params: []netp.ParamSpec{{Name: "interval", Type: netp.DurationParam}, {Name: "duration", Type: netp.DurationParam}},
		Endpoints: func(netp.Params) []netp.EndpointForm { return []netp.EndpointForm{netp.EndpointURL} },
		Metrics: func(netp.Params) []netp.MetricSpec {
			return []netp.MetricSpec{{Name: "ok.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket}}
		},
		Demand: func(p netp.Params) netp.Demand {
			n := uint64(p.Duration("duration") / p.Duration("interval"))
			return netp.Demand{Duration: p.Duration("duration"), Forward: netp.Load{Packets: n, Bytes: n * 500, Rate: 4000}, Reverse: netp.Load{Packets: n, Bytes: n * 5000, Rate: 40000}}
		},
	},
}

func directed(way netp.Direction, d netp.Demand, data, back netp.Load) netp.Demand {
	switch way {
	case netp.Forward:
		d.Forward, d.Reverse = data, back
	case netp.Reverse:
		d.Forward, d.Reverse = back, data
	default:
		data.Packets, data.Bytes, data.Rate = data.Packets+back.Packets, data.Bytes+back.Bytes, data.Rate+back.Rate
		d.Forward, d.Reverse = data, data
	}
	return d
}

func at(line int) diag.Range {
	return diag.Range{Filename: "suite.hcl", Start: diag.Pos{Line: line, Column: 1}, End: diag.Pos{Line: line, Column: 9}}
}

// agent declares an agent with interfaces "name" or "name=capacity in Mbit/s".
func agent(name string, interfaces ...string) lang.Agent {
	a := lang.Agent{Addr: "agent." + name, Range: at(1), Agent: netp.Agent{Name: netp.AgentID(name), Tags: map[string]string{"site": name}}}
	for _, text := range interfaces {
		label, capacity, _ := strings.Cut(text, "=")
		var mbit float64
		if capacity != "" {
			if _, err := fmt.Sscan(capacity, &mbit); err != nil {
				panic(err)
			}
		}
		a.Interfaces = append(a.Interfaces, netp.Interface{Name: label, Capacity: mbit * 1e6})
	}
	return a
}

// ends names agents ("syd"), agent sets ("agents.edge") and endpoints (URLs).
func ends(names ...string) []lang.End {
	var out []lang.End
	for _, n := range names {
		switch {
		case strings.HasPrefix(n, "agents."):
			out = append(out, lang.End{AgentSet: n})
		case strings.Contains(n, "://"):
			out = append(out, lang.End{Endpoint: n})
		default:
			out = append(out, lang.End{Agent: "agent." + n})
		}
	}
	return out
}

func profile(kind netp.Kind, name string, params netp.Params) lang.Profile {
	return lang.Profile{Addr: fmt.Sprintf("profile.%s.%s", kind, name), Kind: kind, Params: params, Range: at(30)}
}

var (
	voice = profile("udp", "voice", netp.Params{"rate": "50pps", "size": 200.0, "dscp": 46.0, "duration": 60.0, "direction": "forward"})
	bulk  = profile("tcp", "bulk", netp.Params{"duration": 10.0, "streams": 4.0, "direction": "forward"})
	web   = profile("http", "portal", netp.Params{"interval": 1.0, "duration": 20.0})
)

// condition makes an assertion with the metrics it names.
func condition(name, text string, metrics ...string) assert.Assertion {
	return assert.Assertion{
		Name: name, Severity: netp.SeverityError, Condition: text, Confidence: 0.95,
		Location: netp.Location{File: "suite.hcl", Line: 41}, Metrics: metrics,
	}
}

func test(name string, p lang.Profile, paths ...string) lang.Test {
	t := lang.Test{Addr: "test." + name, Profile: p, Range: at(40), Tags: map[string]string{"owner": "neteng"}}
	for _, path := range paths {
		block, key, _ := strings.Cut(path, "|")
		t.Paths = append(t.Paths, lang.PathRef{Path: "path." + block, Key: key, Range: at(42)})
	}
	return t
}

// threeSites is the suite of the examples: voice always, bulk once, over a link.
func threeSites() *lang.Suite {
	v := test("voice", voice, "core")
	v.Every = 5 * time.Minute
	v.Asserts = []assert.Assertion{
		condition("loss", "loss.ratio <= 0.1 * percent", "loss.ratio"),
		condition("latency", "delay.p99 <= 60 * ms", "delay.p99"),
	}
	b := test("bulk", bulk, "core")
	b.Asserts = []assert.Assertion{condition("speed", "throughput.mean >= 400 * Mbps", "throughput.mean")}
	return &lang.Suite{
		Name: "backbone", Dir: "suites/backbone", Files: []string{"suite.hcl"}, Confidence: 0.95, Hash: "5ca1ab1e",
		Tags:   map[string]string{"owner": "neteng"},
		Agents: []lang.Agent{agent("mel", "telco-a=1000"), agent("per"), agent("syd", "telco-a=1000", "telco-b")},
		Links:  []netp.Link{{Addr: "link.core", Capacity: 500e6}},
		Paths:  []lang.Path{{Addr: "path.core", Mesh: ends("syd", "mel", "per"), Via: "telco-a", Links: []string{"link.core"}, Tags: map[string]string{"carrier": "telco-a"}, Range: at(20)}},
		Tests:  []lang.Test{b, v},
		Sinks:  []lang.Sink{{Addr: "sink.influxdb.noc", Type: "influxdb", Arguments: []byte(`{"url":"http://influx.example"}`), Secrets: map[string]string{"token": "hunter2"}}},
	}
}

// registered gives the suite's agents as they would register.
func registered(s *lang.Suite) []netp.Agent {
	var out []netp.Agent
	for _, a := range s.Agents {
		out = append(out, netp.Agent{
			Name: a.Name, Tags: a.Tags, Kinds: []netp.Kind{"udp", "tcp", "http"}, Host: "host-" + string(a.Name),
			Clock: netp.ClockState{Known: true, Synchronised: true, MaxError: time.Millisecond, Source: "chrony"},
		})
	}
	return out
}

func input(s *lang.Suite) Input {
	return Input{Suite: s, Catalogue: catalogue, Inventory: registered(s), Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), NetpVersion: "test"}
}

// build makes a plan and has the independent validator look at its schedule.
func build(t *testing.T, in Input) *Plan {
	t.Helper()
	p, diags := Build(in)
	if diags.HasErrors() {
		t.Fatalf("the suite has errors: %v", diags.Err())
	}
	validate(t, p)
	return p
}

func validate(t *testing.T, p *Plan) {
	t.Helper()
	items := make([]schedule.Item, len(p.Sessions))
	slots := make([]schedule.Slot, len(p.Sessions))
	for i, s := range p.Sessions {
		items[i], slots[i] = s.Item(), schedule.Slot{Start: s.Start, Round: s.Round}
	}
	if err := schedule.Validate(items, slots, p.Capacities); err != nil {
		t.Errorf("the schedule is not valid: %v", err)
	}
	if !slices.IsSortedFunc(p.Sessions, bySlot) {
		t.Error("the sessions are not sorted by start and address")
	}
}

func addresses(p *Plan) []string {
	var out []string
	for _, s := range p.Sessions {
		out = append(out, s.Addr)
	}
	slices.Sort(out)
	return out
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return text.String()
}
