package plan

import (
	"fmt"
	"testing"

	"github.com/netpupper/netp/lang"
)

// BenchmarkBuild plans 99 900 sessions between 1000 agents.
func BenchmarkBuild(b *testing.B) {
	for _, p := range []lang.Profile{bulk, voice} {
		b.Run(p.Addr, func(b *testing.B) {
			s := &lang.Suite{Name: "large"}
			var names []string
			for i := range 1000 {
				names = append(names, fmt.Sprintf("a%04d", i))
				s.Agents = append(s.Agents, agent(names[i]))
			}
			s.Paths = []lang.Path{{Addr: "path.p", From: ends(names[:100]...), To: ends(names...)}}
			s.Tests = []lang.Test{test("t", p, "p")}
			in := input(s)
			for b.Loop() {
				if _, diags := Build(in); diags.HasErrors() {
					b.Fatal(diags.Err())
				}
			}
		})
	}
}
