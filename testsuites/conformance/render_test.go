package conformance_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/plan"
)

// page collects the lines of a golden plan. A line without a value is left out.
type page struct{ strings.Builder }

func (p *page) line(format string, args ...any) {
	fmt.Fprintf(p, format, args...)
	p.WriteByte('\n')
}

func (p *page) item(name, value string) {
	if value != "" {
		p.line("%s: %s", name, value)
	}
}

// render writes a plan for golden files: everything that a suite can say, as
// exact figures in SI units, without hashes and version.
func render(s *lang.Suite, made *plan.Plan) string {
	p := &page{}
	p.suite(s)
	for _, a := range made.Agents {
		p.agent(a)
	}
	for _, l := range made.Links {
		p.line("%s capacity %s%s", l.Addr, figure(l.Capacity), tags(l.Tags))
	}
	for _, k := range s.Sinks {
		p.sink(k)
	}
	for _, t := range made.Tests {
		p.test(t)
	}
	for _, one := range made.Sessions {
		p.session(one)
	}
	p.totals(made)
	return p.String()
}

func (p *page) suite(s *lang.Suite) {
	p.line("suite %s confidence %s%s", s.Name, figure(s.Confidence), tags(s.Tags))
	if s.FamilyRun {
		p.line("  the confidence holds for all assertions together")
	}
	p.item("  description", s.Description)
	p.item("  required version", s.Settings.RequiredVersion)
	p.item("  controller", s.Settings.Controller)
	for _, g := range s.Settings.Plugins {
		p.line("  plugin %s from %s %s", g.Name, g.Source, g.Version)
	}
	for _, set := range s.AgentSets {
		p.line("%s where %s", set.Addr, oneLine(set.Where))
	}
}

func (p *page) agent(a netp.Agent) {
	line := "agent " + string(a.Name)
	if a.Netns != "" {
		line += " in " + a.Netns
	}
	if a.NAT {
		line += " behind NAT"
	}
	p.line("%s%s", line, tags(a.Tags))
	for _, i := range a.Interfaces {
		line := "  interface " + i.Name
		if i.Address != "" {
			line += " address " + i.Address
		}
		if i.Device != "" {
			line += " device " + i.Device
		}
		if i.Netns != "" {
			line += " in " + i.Netns
		}
		if i.Capacity > 0 {
			line += " capacity " + figure(i.Capacity)
		}
		p.line("%s", line)
	}
}

func (p *page) sink(k lang.Sink) {
	p.line("%s %s", k.Addr, k.Arguments)
	for _, name := range slices.Sorted(maps.Keys(k.Secrets)) {
		p.line("  secret %s", name)
	}
}

func (p *page) test(t plan.Test) {
	p.line("%s of %s%s", t.Addr, t.Profile, tags(t.Tags))
	p.item("  params", params(t.Kind, t.Params))
	if w := t.Standing; w != nil {
		line := "  repeats"
		if w.Every > 0 {
			line += " every " + w.Every.String()
		}
		if w.Cron != "" {
			line += " by cron " + strconv.Quote(w.Cron)
		}
		if w.TimeZone != "" {
			line += " in " + w.TimeZone
		}
		if w.Slip > 0 {
			line += " may slip " + w.Slip.String()
		}
		p.line("%s", line)
	}
	for _, a := range t.Assertions {
		p.assertion(a)
	}
}

func (p *page) assertion(a assert.Assertion) {
	p.line("  assert %q %s at %s: %s", a.Name, a.Severity, figure(a.Confidence), oneLine(a.Condition))
	if a.Message != "" {
		p.line("    message %s", oneLine(a.Message))
	}
	p.line("    metrics %s", strings.Join(a.Metrics, " "))
	if len(a.Constants) > 0 {
		p.line("    constants %s", constants(a.Constants))
	}
	for _, c := range a.Comparisons() {
		p.line("    limit %s %s %s", c.Metric, c.Op, figure(c.Value))
	}
}

// constants are the values that an assertion keeps, without their types.
func constants(raw json.RawMessage) string {
	var roots map[string]struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.Unmarshal(raw, &roots); err != nil {
		return err.Error()
	}
	var out []string
	for _, root := range slices.Sorted(maps.Keys(roots)) {
		out = append(out, root+"="+string(roots[root].Value))
	}
	return strings.Join(out, " ")
}

// params are the parameters that differ from the kind's defaults.
func params(kind netp.Kind, given netp.Params) string {
	spec, _ := agent.Catalogue().Find(kind)
	var out []string
	for _, ps := range spec.Params {
		v, ok := given[ps.Name]
		if !ok || fmt.Sprint(v) == fmt.Sprint(ps.Default) {
			continue
		}
		if f, ok := v.(float64); ok {
			v = figure(f)
		}
		out = append(out, fmt.Sprintf("%s=%v", ps.Name, v))
	}
	return strings.Join(out, " ")
}

func (p *page) session(s plan.Session) {
	p.line("%s", s.Addr)
	line := "  " + s.Path.Addr + ": " + side(string(s.Path.Source), s.Path.SourceInterface) + " -> " + side(s.Path.Dest, s.Path.DestInterface)
	if s.Path.Endpoint {
		line += " endpoint"
	}
	if s.Path.Via != "" {
		line += " via " + s.Path.Via
	}
	p.line("%s%s", line, tags(s.Path.Tags))
	p.item("  links", strings.Join(s.Path.Links, " "))
	p.line("  round %d at %v for %v", s.Round, s.Start, s.Slot)
	var claims []string
	for _, c := range s.Claims {
		claim := figure(c.Rate)
		if c.Exclusive {
			claim = "alone"
		}
		claims = append(claims, fmt.Sprintf("%s %s", c.Resource, claim))
	}
	p.item("  claims", strings.Join(claims, ", "))
}

func side(name, via string) string {
	if via == "" {
		return name
	}
	return name + "/" + via
}

func (p *page) totals(made *plan.Plan) {
	if len(made.Sessions) == 0 {
		return
	}
	estimated := ""
	if made.Cost.Estimated {
		estimated = " estimated"
	}
	p.line("cost %d B%s in %v", made.Cost.Bytes, estimated, made.Makespan)
	for _, path := range made.Cost.Paths {
		p.line("  %s %d B", path.Path, path.Bytes)
	}
	var places []string
	for _, place := range made.Cost.Places {
		places = append(places, fmt.Sprintf("%s %d B peak %s", place.Place, place.Bytes, figure(place.PeakRate)))
	}
	p.item("  places", strings.Join(places, ", "))
	var standing []string
	for _, share := range made.Cost.Standing {
		standing = append(standing, fmt.Sprintf("%s %s mean, alone %s", share.Place, figure(share.Rate), figure(share.Alone)))
	}
	p.item("  standing", strings.Join(standing, ", "))
	for _, c := range made.Changes {
		p.line("%s %s, %s, %d sessions, %s", c.Action, c.Addr, c.Summary, c.Sessions, c.Schedule)
	}
}

// tags writes tags after a line, "" when there are none.
func tags(set map[string]string) string {
	if len(set) == 0 {
		return ""
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(set)) {
		out = append(out, k+"="+quoted(set[k]))
	}
	return " {" + strings.Join(out, " ") + "}"
}

// quoted puts a text into quotes when it is no plain word.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \t\r\n\"{}=") {
		return strconv.Quote(s)
	}
	return s
}

func figure(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
