package main

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/quantity"
)

// TestMetricReference keeps docs/metrics.md what the catalogue says; -update rewrites it.
func TestMetricReference(t *testing.T) {
	const path = "../../docs/metrics.md"
	got := metricReference(agent.Catalogue())
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("docs/metrics.md differs (-is +should be); rewrite it with: go test ./cmd/netp -run MetricReference -update\n%s", d)
	}
}

func metricReference(c netp.Catalogue) string {
	var out strings.Builder
	out.WriteString(`# Kinds, parameters and metrics

Made from the declarations of the engines; a test keeps it current. Values are in SI base units. A distribution has the
members ` + "`" + strings.Join(netp.Members(), " ") + "`" + `: write ` + "`delay.p99`" + `. With ` + "`direction = \"both\"`" + ` each
directed metric is there twice, as ` + "`forward.NAME`" + ` and ` + "`reverse.NAME`" + `.
`)
	for _, k := range c {
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n| parameter | type | default | meaning |\n|---|---|---|---|\n", k.Kind, k.Summary)
		defaults := netp.Params{}
		for _, p := range k.Params {
			if p.Default != nil {
				defaults[p.Name] = p.Default
			}
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", p.Name, parameterType(p), defaultText(p), cellText(p.Doc))
		}
		out.WriteString("\n| metric | unit | shape | better | source | meaning |\n|---|---|---|---|---|---|\n")
		seen := map[string]bool{}
		list := func(metrics []netp.MetricSpec) {
			for _, m := range metrics {
				if !seen[m.Name] {
					fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s | %s |\n", m.Name, m.Unit, m.Shape, m.Better, m.Source, cellText(m.Doc))
				}
				seen[m.Name] = true
			}
		}
		list(k.Metrics(defaults))
		for _, p := range k.Params {
			if p.Default == nil { // what is there only when it is given
				with := maps.Clone(defaults)
				with[p.Name] = max(p.Min, 1)
				list(k.Metrics(with))
			}
		}
	}
	return out.String()
}

func parameterType(p netp.ParamSpec) string {
	text := string(p.Type)
	if len(p.OneOf) > 0 {
		text = "`" + strings.Join(p.OneOf, "`, `") + "`"
	}
	if p.Required {
		text += ", required"
	}
	return text
}

func defaultText(p netp.ParamSpec) string {
	switch v := p.Default.(type) {
	case nil:
		return ""
	case float64:
		unit := map[netp.ParamType]string{netp.DurationParam: "s", netp.BitRateParam: "bit/s", netp.SizeParam: "B"}[p.Type]
		return quantity.Format(v, unit)
	default:
		return fmt.Sprint(v)
	}
}

func cellText(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
