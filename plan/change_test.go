package plan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/assert"
)

func TestPartialPlansDestroyNothing(t *testing.T) {
	in := input(threeSites())
	in.State.Tests = map[string]map[string]string{"test.gone": {"kind": "rtt"}}
	in.Targets = []string{`test.voice["syd->mel"]`}
	p := build(t, in)
	if len(p.Changes) != 1 || p.Changes[0].Addr != "test.voice" || p.Changes[0].Sessions != 1 {
		t.Errorf("got %+v, want one session of test.voice alone", p.Changes)
	}
	after := Apply(in.State, p, "l")
	if _, ok := after.Tests["test.gone"]; !ok {
		t.Error("a partial plan removed a test from the state")
	}
	if _, ok := after.Tests["test.voice"]; ok {
		t.Error("a test of which one session was applied counts as applied")
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		targets, excludes string
		want              int
	}{
		{"test.voice", "", 6}, {"test.voice test.bulk", "", 12}, {"path.core", "", 12}, {`path.core["syd->mel"]`, "", 2},
		{"agent.syd", "", 8}, {"profile.udp.voice", "agent.per", 2}, {"", "test.bulk", 6}, {`test.bulk["syd->mel"] test.bulk["mel->syd"]`, "agent.per", 2},
	} {
		in := input(threeSites())
		in.Targets, in.Excludes = strings.Fields(c.targets), strings.Fields(c.excludes)
		p, diags := Build(in)
		if p == nil || len(p.Sessions) != c.want {
			t.Errorf("-target=%s -exclude=%s: want %d sessions, got %v, %v", c.targets, c.excludes, c.want, p, diags.Err())
		}
	}
}

func TestChanges(t *testing.T) {
	in := input(threeSites())
	first := build(t, in)
	if n := actions(first); n[Create] != 2 || len(first.Changes) != 2 {
		t.Errorf("first: got %v, want 2 creations", n)
	}
	in.State = Apply(in.State, first, "l")
	if in.State.Lineage != "l" || in.State.Serial != 1 || in.State.Plan != first.Hash {
		t.Errorf("after the first apply: %+v", in.State)
	}
	second := build(t, in)
	if n := actions(second); n[Unchanged] != 2 {
		t.Errorf("nothing changed: got %v", n)
	}
	if after := Apply(in.State, second, "other"); after.Lineage != "l" || after.Serial != 2 {
		t.Errorf("after the second apply: lineage %q, serial %d", after.Lineage, after.Serial)
	}
	for _, c := range []struct {
		change func(*lang.Suite)
		want   AttributeChange
	}{
		{func(s *lang.Suite) {
			s.Tests[1].Profile.Params = netp.Params{"rate": "100pps", "size": 200.0, "dscp": 46.0, "duration": 60.0, "direction": "forward"}
		}, AttributeChange{"rate", "50 pps", "100 pps"}},
		{func(s *lang.Suite) { s.Tests[1].Every = time.Hour }, AttributeChange{"every", "5m", "1h"}},
		{func(s *lang.Suite) { s.Tests[1].Every = 0; s.Tests[1].Cron = "0 2 * * *" }, AttributeChange{"cron", "", "0 2 * * *"}},
		{func(s *lang.Suite) { s.Tests[1].Tags = map[string]string{"owner": "noc"} }, AttributeChange{"tags.owner", "neteng", "noc"}},
		{func(s *lang.Suite) { s.Tests[1].Asserts[0].Condition = "loss.ratio <= 2 * percent" },
			AttributeChange{"assert.loss", "loss.ratio <= 0.1 * percent", "loss.ratio <= 2 * percent"}},
		{func(s *lang.Suite) { s.Tests[1].Asserts = s.Tests[1].Asserts[1:] }, AttributeChange{"assert.loss", "loss.ratio <= 0.1 * percent", ""}},
		{func(s *lang.Suite) { s.Tests[1].Asserts[0].Severity = netp.SeverityWarning }, AttributeChange{"assert.loss.severity", "error", "warning"}},
		{func(s *lang.Suite) { s.Tests[1].Asserts[0].Confidence = 0.9502 }, AttributeChange{"assert.loss.confidence", "95 %", "95.02 %"}},
		{func(s *lang.Suite) {
			s.Tests[1].Asserts[0].Constants = json.RawMessage(`{"var":{"value":{"max_loss":0.2},"type":["object",{"max_loss":"number"}]}}`)
		}, AttributeChange{"assert.loss.var.max_loss", "", "0.2"}},
		{func(s *lang.Suite) { s.Paths[0].Links = nil }, AttributeChange{`path.core["syd->mel"]`, "via telco-a, link.core", "via telco-a"}},
		{func(s *lang.Suite) { s.Paths[0].Mesh = s.Paths[0].Mesh[:2] }, AttributeChange{`path.core["syd->per"]`, "via telco-a, link.core", ""}},
	} {
		again := in
		again.Suite = threeSites()
		c.change(again.Suite)
		p := build(t, again)
		found := false
		for _, change := range p.Changes {
			for _, a := range change.Attributes {
				found = found || change.Addr == "test.voice" && change.Action == Update && a == c.want
			}
		}
		if !found {
			t.Errorf("%+v is not among %+v", c.want, p.Changes)
		}
	}
}

func actions(p *Plan) map[Action]int {
	n := map[Action]int{}
	for _, c := range p.Changes {
		n[c.Action]++
	}
	return n
}

func TestFamilyCorrectsTheConfidence(t *testing.T) {
	s := threeSites()
	s.FamilyRun = true
	p := build(t, input(s)) // 6 sessions with two assertions, 6 with one
	for _, test := range p.Tests {
		for _, a := range test.Assertions {
			if want := assert.Family(18, 0.95); a.Confidence != want {
				t.Errorf("%s %s: got %v, want %v", test.Addr, a.Name, a.Confidence, want)
			}
			if got := test.Attributes["assert."+a.Name+".confidence"]; got != "95 %" {
				t.Errorf("%s %s: the state would hold %q, want what was declared", test.Addr, a.Name, got)
			}
		}
	}
	if s.Tests[1].Asserts[0].Confidence != 0.95 {
		t.Error("Build changed the suite it was given")
	}
}
