package view

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
)

// TestCarriers: paths between the same ends are told apart by what they are via, also by programs that read JUnit.
func TestCarriers(t *testing.T) {
	for _, c := range []struct {
		path netp.Path
		want string
	}{
		{netp.Path{Source: "syd", Dest: "mel"}, "syd → mel"},
		{netp.Path{Source: "syd", Dest: "mel", Via: "telco-a"}, "syd → mel via telco-a"},
	} {
		if got := arrow(c.path); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestLimitsReadAsWritten: a limit that is rounded is another one, which the figure beside it may keep.
func TestLimitsReadAsWritten(t *testing.T) {
	for want, l := range map[string]netp.Limit{
		"99.95 %":     {Metric: "efficiency", Op: ">=", Value: 0.9995, Unit: "1"},
		"1.234567 ms": {Metric: "rtt.p50", Op: "<=", Value: 0.001234567, Unit: "s"},
		"60 ms":       {Metric: "rtt.p50", Op: "<=", Value: 60 * 1e-3, Unit: "s"},
	} {
		if got := limitText(l, false); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestSessionsReadApart: where paths of one test have the same ends, in every report and while it runs.
func TestSessionsReadApart(t *testing.T) {
	bad := netp.Judgement{Assertion: "loss", Severity: netp.SeverityError, Status: netp.Fail, Condition: "loss.ratio <= 0",
		Estimates: []netp.Estimate{interval("loss.ratio", "1", 0.5, 0.4, 0.6)}}
	r := sample()
	p := planOf(0, 0)
	for _, key := range []string{"n[gold]:a->b", "n[silver]:a->b", "b->a"} {
		one := record("twin", "a", "b", netp.Fail, bad)
		if key == "b->a" {
			one = record("twin", "b", "a", netp.Fail, bad)
		}
		one.Session.Addr = `test.twin["` + key + `"]`
		r.Records = append(r.Records, one)
		p.Sessions = append(p.Sessions, plan.Session{Addr: one.Session.Addr, Test: one.Test, Path: one.Session.Path})
	}
	data, err := JUnit(r)
	if err != nil {
		t.Fatal(err)
	}
	markdown, err := Markdown(r)
	if err != nil {
		t.Fatal(err)
	}
	var terminal, progress strings.Builder
	lines := NewProgress(Terminal{Out: &progress}, p, start)
	for _, one := range r.Records[len(r.Records)-3:] {
		lines.Finish(one)
	}
	if err := (Terminal{Out: &terminal}).Report(r, ReportOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"JUnit": strings.ReplaceAll(string(data), "&gt;", ">"), "Markdown": markdown, "terminal": terminal.String(), "progress": progress.String()} {
		for _, want := range []string{"n[gold]:a->b", "n[silver]:a->b", "b → a"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s does not name %s:\n%s", name, want, text)
			}
		}
		if strings.Contains(text, "a → b") {
			t.Errorf("%s names two sessions a → b:\n%s", name, text)
		}
	}
	var doc junitSuites
	if err := xml.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[[2]string]bool{}
	for _, s := range doc.Suites {
		for _, c := range s.Cases {
			if id := [2]string{c.Classname, c.Name}; seen[id] {
				t.Errorf("two testcases are %v", id)
			} else {
				seen[id] = true
			}
		}
	}
}

func TestKey(t *testing.T) {
	for addr, want := range map[string]string{
		`test.voice["a->b"]`: "a->b", `test.voice["n[gold]:a->b"]`: "n[gold]:a->b", `test.voice["a->x\"\\y"]`: `a->x"\y`, "odd": "odd",
	} {
		if got := key("test.voice", addr); got != want {
			t.Errorf("%s: got %q, want %q", addr, got, want)
		}
	}
}
