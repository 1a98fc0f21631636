package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/plan"
)

func (a *app) graphCommand() *cobra.Command {
	p := planning{draft: true}
	c := &cobra.Command{
		Use: "graph [DIR]", Short: "Print the paths of a suite and their tests as a DOT graph", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			made, _, err := a.plan(c.Context(), directory(args), p)
			if err != nil {
				return err
			}
			return writeGraph(a.env.stdout, made)
		},
	}
	p.inputs.flags(c)
	p.reach.flags(c)
	return c
}

// writeGraph draws one edge per directed pair and carrier, labelled with its tests.
func writeGraph(w io.Writer, p *plan.Plan) error {
	type edge struct{ from, to, via string }
	tests := map[edge][]string{}
	var edges []edge
	endpoints := map[string]bool{}
	for _, s := range p.Sessions {
		e := edge{string(s.Path.Source), s.Path.Dest, s.Path.Via}
		if tests[e] == nil {
			edges = append(edges, e)
		}
		endpoints[s.Path.Dest] = s.Path.Endpoint
		if name := strings.TrimPrefix(s.Test, "test."); !slices.Contains(tests[e], name) {
			tests[e] = append(tests[e], name)
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(strings.Compare(a.from, b.from), strings.Compare(a.to, b.to), strings.Compare(a.via, b.via))
	})
	var out strings.Builder
	fmt.Fprintf(&out, "digraph %q {\n  rankdir = LR\n  node [shape = box]\n", p.Suite.Name)
	for _, e := range edges {
		if endpoints[e.to] {
			fmt.Fprintf(&out, "  %q [shape = ellipse]\n", e.to)
		}
		slices.Sort(tests[e])
		label := strings.Join(tests[e], ", ")
		if e.via != "" {
			label += " via " + e.via
		}
		fmt.Fprintf(&out, "  %q -> %q [label = %q]\n", e.from, e.to, label)
	}
	out.WriteString("}\n")
	_, err := io.WriteString(w, out.String())
	return err
}
