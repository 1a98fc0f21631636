package schedule

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkPlace places large random meshes: the case names say what.
func BenchmarkPlace(b *testing.B) {
	for _, c := range []struct {
		agents, sessions, links int
		both, equal             bool
	}{
		{agents: 100, sessions: 9_900, equal: true},
		{agents: 1000, sessions: 100_000, equal: true},
		{agents: 1000, sessions: 100_000, both: true, equal: true},
		{agents: 1000, sessions: 100_000},
		{agents: 1000, sessions: 100_000, links: 50},
	} {
		b.Run(fmt.Sprintf("agents=%d/sessions=%d/links=%d/both=%t/equal=%t", c.agents, c.sessions, c.links, c.both, c.equal), func(b *testing.B) {
			random := rand.New(rand.NewPCG(3, 3))
			items := make([]Item, c.sessions)
			for k := range items {
				i, j := random.IntN(c.agents), random.IntN(c.agents-1)
				if j >= i {
					j++
				}
				d := 10 * time.Second
				if !c.equal {
					d = time.Duration(5+random.IntN(60)) * time.Second
				}
				var links []string
				if c.links > 0 && random.IntN(4) == 0 {
					links = append(links, fmt.Sprint(random.IntN(c.links)))
				}
				items[k] = pair(i, j, c.both, d, links...)
				items[k].ID = fmt.Sprintf("%s#%d", items[k].ID, k)
			}
			b.ResetTimer()
			for b.Loop() {
				p := place(b, items, nil)
				b.ReportMetric(float64(p.Makespan)/float64(p.Bound), "makespan/bound")
			}
		})
	}
}
