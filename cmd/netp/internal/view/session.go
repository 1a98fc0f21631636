package view

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/quantity"
)

// Session prints everything a record holds. spec is of its kind, empty when that is not known.
func (t Terminal) Session(r netp.Record, spec netp.KindSpec, suiteDir string) {
	t.Printf("%s  %s  %s\n\n", t.verdict(r.Status), t.paint(bold, r.Session.Addr), arrow(r.Session.Path))
	t.Printf("Run        %s of suite %s, %s\n", r.Run, r.Suite, measuredAt(r).Local().Format(time.RFC3339))
	t.Printf("Traffic    %s, measured %s, attempt %d\n", r.Session.Kind, Duration(r.Result.Measured), max(1, r.Attempts))
	t.pairs("Parameters", parameters(spec.Params, r.Session.Params))
	t.pairs("Facts", sortedPairs(r.Result.Facts))
	t.Printf("\nMeasured\n")
	if spec.Metrics != nil {
		t.columns(measured(r.Result.Metrics, spec.Metrics(r.Session.Params)))
	}
	if len(r.Result.Health) > 0 {
		t.Printf("\nInstrument\n")
		t.columns(t.checks(r.Result.Health))
	}
	t.Printf("\n")
	for _, j := range r.Judgements {
		if j.Status == netp.Pass {
			t.Printf("%s  assert %q  %s\n", t.verdict(j.Status), j.Assertion, strings.Join(strings.Fields(j.Condition), " "))
			for _, e := range j.Estimates {
				t.Printf("        │ %s  %s\n", e.Metric, estimate.Describe(e))
			}
		}
	}
	t.Explain(r, suiteDir)
}

func (t Terminal) pairs(title string, list [][2]string) {
	for i, p := range list {
		if i > 0 {
			title = ""
		}
		t.Printf("%-10s %s = %s\n", title, p[0], p[1])
	}
}

func parameters(specs []netp.ParamSpec, p netp.Params) [][2]string {
	text := map[string]string{}
	for k, v := range p {
		text[k] = fmt.Sprint(v)
	}
	for _, s := range specs {
		if p.Has(s.Name) {
			text[s.Name] = plan.Parameter(s, p)
		}
	}
	return sortedPairs(text)
}

func sortedPairs(m map[string]string) [][2]string {
	var out [][2]string
	for k, v := range m {
		out = append(out, [2]string{k, v})
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// measured lists every metric with its figures, as measured and without
// intervals, in the order of specs.
func measured(metrics map[string]netp.Measurement, specs []netp.MetricSpec) [][]string {
	var rows [][]string
	for _, spec := range specs {
		m, ok := metrics[spec.Name]
		if !ok {
			continue
		}
		text := ""
		switch {
		case m.Ratio != nil:
			text = fmt.Sprintf("%s of %s: %s", quantity.Count(m.Ratio.Events), quantity.Count(m.Ratio.Trials), quantity.Format(m.Ratio.Value(), "1"))
		case m.Distribution != nil:
			text = distribution(m.Distribution, spec.Unit)
		case m.Value != nil:
			text = quantity.Format(*m.Value, spec.Unit)
		}
		if m.Uncertainty > 0 {
			text += "; clock ± " + quantity.Format(m.Uncertainty, spec.Unit)
		}
		rows = append(rows, []string{"", spec.Name, text})
	}
	return rows
}

func distribution(d *netp.Distribution, unit string) string {
	var parts []string
	for _, member := range []string{"min", "p50", "p90", "p99", "max", "mean"} {
		parts = append(parts, member+" "+quantity.Format(d.Member(member), unit))
	}
	return strings.Join(parts, ", ") + "; " + quantity.Count(d.All.Count()) + " samples"
}

func (t Terminal) checks(list []netp.Check) [][]string {
	var rows [][]string
	for _, c := range list {
		word := t.paint(green, "ok")
		if !c.OK {
			word = t.paint(yellow, "LOOK")
		}
		text := quantity.Format(c.Value, c.Unit)
		if c.Limit != 0 {
			word := "limit"
			if c.Least {
				word = "at least"
			}
			text += ", " + word + " " + quantity.Format(c.Limit, c.Unit)
		}
		rows = append(rows, []string{"", word + " " + strings.ReplaceAll(c.Name, "_", " "), text, c.Reason})
	}
	return rows
}
