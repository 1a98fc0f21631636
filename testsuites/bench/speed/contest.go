//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"slices"
	"strings"
)

// figures are what one measurement gave, by the name of the column. A figure that is not there was not measured.
type figures map[string]float64

// tool is one side of a comparison. The first of a contest is netp.
type tool struct {
	name  string
	setup string // congestion control, buffers, offload: what has to be known to read the figures
	run   func(context.Context) (figures, error)
}

// column is one figure of a table.
type column struct {
	name   string
	scale  float64 // figures are divided by it; 0 is 1
	ratio  bool    // print netp ÷ tool
	better string  // "higher" or "lower": what the best of the rounds is
}

// contest compares tools that do the same work.
type contest struct {
	title   string
	columns []column
	tools   []tool
	rounds  int
}

// outcome is what a contest came to: figures by tool and column, one per round, with NaN for what was not measured.
type outcome struct {
	contest
	figures [][]figures // by tool, by round
	faults  []error     // by tool: why it takes no part
}

// run measures the tools in turn and prints the table. It fails when netp does; a peer that fails takes no further part.
func (c contest) run(ctx context.Context) (*outcome, error) {
	o := &outcome{contest: c, figures: make([][]figures, len(c.tools)), faults: make([]error, len(c.tools))}
	for range c.rounds {
		for i, t := range c.tools {
			if o.faults[i] != nil {
				continue
			}
			f, err := t.run(ctx)
			if err != nil {
				o.faults[i] = err
				f = nil
			}
			o.figures[i] = append(o.figures[i], f)
		}
		if o.faults[0] != nil {
			return nil, fmt.Errorf("%s: %w", c.tools[0].name, o.faults[0])
		}
	}
	o.print()
	return o, nil
}

// print writes the table.
func (o *outcome) print() {
	fmt.Printf("\n%s\n\n| tool |", o.title)
	rule := "|---|"
	for _, c := range o.columns {
		fmt.Printf(" %s |", c.name)
		rule += "---|"
		if c.ratio {
			fmt.Print(" netp ÷ tool (best ÷ best) |")
			rule += "---|"
		}
	}
	fmt.Printf(" set-up |\n%s---|\n", rule)
	for i, t := range o.tools {
		fmt.Printf("| %s |", t.name)
		if o.faults[i] != nil {
			fmt.Printf(" %s |%s |\n", reason(o.faults[i]), strings.Repeat(" |", strings.Count(rule, "|")-2))
			continue
		}
		for _, c := range o.columns {
			fmt.Printf(" %s |", o.cell(i, c))
			if c.ratio {
				fmt.Printf(" %s |", o.against(i, c))
			}
		}
		fmt.Printf(" %s |\n", t.setup)
	}
}

// reason says in one line why a tool took no part.
func reason(err error) string {
	if errors.Is(err, exec.ErrNotFound) {
		return "not installed"
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.ReplaceAll(text, "|", "/")
}

func (o *outcome) cell(i int, c column) string {
	all := o.values(i, c.name)
	if len(all) == 0 {
		return "–"
	}
	scale := c.scale
	if scale == 0 {
		scale = 1
	}
	if len(all) == 1 {
		return number(all[0] / scale)
	}
	return fmt.Sprintf("%s [%s..%s]", number(median(all)/scale), number(slices.Min(all)/scale), number(slices.Max(all)/scale))
}

// against is netp's figure divided by the tool's: the median over the rounds, in each of which both ran one after the other,
// and the best of all rounds by the best.
func (o *outcome) against(i int, c column) string {
	if i == 0 {
		return ""
	}
	pairs := o.pairs(i, c.name)
	if len(pairs) == 0 {
		return "–"
	}
	ours, theirs := o.values(0, c.name), o.values(i, c.name)
	best := slices.Max[[]float64]
	if c.better == "lower" {
		best = slices.Min[[]float64]
	}
	return fmt.Sprintf("**%s** (%s)", number(median(pairs)), number(best(ours)/best(theirs)))
}

// pairs are the ratios netp ÷ tool of the rounds.
func (o *outcome) pairs(i int, name string) []float64 {
	var out []float64
	for r, theirs := range o.figures[i] {
		a, mine := o.figures[0][r][name]
		b, there := theirs[name]
		if mine && there && b != 0 {
			out = append(out, a/b)
		}
	}
	return out
}

// values are the figures of a tool that were measured.
func (o *outcome) values(i int, name string) []float64 {
	var out []float64
	for _, f := range o.figures[i] {
		if v, ok := f[name]; ok && !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

func median(all []float64) float64 {
	s := slices.Sorted(slices.Values(all))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// number writes three digits that count.
func number(v float64) string {
	switch size := math.Abs(v); {
	case size >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case size >= 10:
		return fmt.Sprintf("%.1f", v)
	case size >= 0.01:
		return fmt.Sprintf("%.3g", v)
	default:
		return fmt.Sprintf("%.1e", v)
	}
}
