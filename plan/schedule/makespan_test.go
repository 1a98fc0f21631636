package schedule

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// recipe says what random meshes to make: each ordered pair of the agents with
// the given chance; durations of 1 to 30 s unless equal; half of the sessions over
// one of the links; so many shared sessions of 1 to 60 s and 1 to 25 Mbit/s over a
// link of 100 Mbit/s besides.
type recipe struct {
	agents, links, shared int
	chance                float64
	both, equal           bool
}

func (r recipe) make(random *rand.Rand) []Item {
	var items []Item
	for i := range r.agents {
		for j := range r.agents {
			if i == j || random.Float64() >= r.chance {
				continue
			}
			d := 10 * time.Second
			if !r.equal {
				d = time.Duration(1+random.IntN(30)) * time.Second
			}
			var links []string
			if r.links > 0 && random.IntN(2) == 0 {
				links = append(links, fmt.Sprint(random.IntN(r.links)))
			}
			items = append(items, pair(i, j, r.both, d, links...))
		}
	}
	for k := range r.shared {
		rate := float64(1+random.IntN(25)) * 1e6
		items = append(items, Item{ID: fmt.Sprintf("shared-%d", k), Duration: time.Duration(1+random.IntN(60)) * time.Second,
			Claims: []Claim{{Resource: "link.narrow", Rate: rate}, {Resource: Resource(fmt.Sprintf("agent.%d/default tx", random.IntN(r.agents))), Rate: rate}}})
	}
	return items
}

var narrow = map[Resource]float64{"link.narrow": 100e6}

// The goal is a tenth above the busiest claim. From about a dozen agents on, it
// is met on every mesh tried here.
func TestMakespanOfLargeMeshesIsNearTheBound(t *testing.T) {
	for _, r := range []recipe{
		{agents: 13, chance: 0.5, equal: true},
		{agents: 13, chance: 0.5, both: true, equal: true},
		{agents: 13, chance: 0.5},
		{agents: 13, chance: 0.5, both: true},
		{agents: 16, chance: 0.3, links: 4},
		{agents: 20, chance: 0.4, links: 8, both: true},
		{agents: 24, chance: 0.2, both: true, equal: true},
		{agents: 16, chance: 0.4, shared: 60},
		{agents: 16, chance: 0.4, shared: 200, equal: true},
	} {
		random := rand.New(rand.NewPCG(11, 11))
		sum, worst := 0.0, 0.0
		const meshes = 2
		for range meshes {
			p := place(t, r.make(random), narrow)
			ratio := float64(p.Makespan) / float64(p.Bound)
			sum, worst = sum+ratio, max(worst, ratio)
			if ratio > 1.10 {
				t.Errorf("%+v: makespan %v is %.3f of the bound %v", r, p.Makespan, ratio, p.Bound)
			}
		}
		t.Logf("%+v: mean %.3f, worst %.3f of the bound", r, sum/meshes, worst)
	}
}

// On small meshes the busiest claim is often out of reach: three sessions between
// three agents in both directions need three turns though each agent is in two.
// There the yardstick is the longest set of sessions that all disturb each other,
// and for a handful of sessions the true optimum.
func TestMakespanOfSmallMeshes(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	above, aboveSets, meshes := 0, 0, 0
	for range 400 {
		r := recipe{agents: 3 + random.IntN(8), links: random.IntN(4), chance: 0.1 + 0.4*random.Float64(), both: random.IntN(2) == 0}
		items := r.make(random)
		if len(items) == 0 {
			continue
		}
		meshes++
		p := place(t, items, nil)
		if float64(p.Makespan) > 1.10*float64(p.Bound) {
			above++
		}
		if float64(p.Makespan) > 1.10*float64(max(p.Bound, clique(items))) {
			aboveSets++
		}
		if len(items) <= 7 {
			if best := brute(items); p.Makespan != best {
				t.Errorf("%v: got %v, the optimum is %v", ids(items), p.Makespan, best)
			}
		}
	}
	t.Logf("of %d small meshes %d are more than 10 %% above the busiest claim, %d above every known bound", meshes, above, aboveSets)
	if aboveSets*100 > meshes {
		t.Errorf("%d of %d meshes are more than 10 %% above every known bound, want at most 1 %%", aboveSets, meshes)
	}
}

func ids(items []Item) []string {
	out := make([]string, 0, len(items))
	for _, i := range items {
		out = append(out, i.ID)
	}
	slices.Sort(out)
	return out
}

// brute is the shortest makespan of any schedule of a few exclusive items: it
// puts them in every order, each as early as the earlier ones allow. Some order
// gives the optimum.
func brute(items []Item) time.Duration {
	best := time.Duration(1 << 62)
	starts := make([]time.Duration, len(items))
	var put func(placed []int, end time.Duration)
	put = func(placed []int, end time.Duration) {
		if end >= best {
			return
		}
		if len(placed) == len(items) {
			best = end
			return
		}
		for i := range items {
			if slices.Contains(placed, i) {
				continue
			}
			starts[i] = 0
			for again := true; again; {
				again = false
				for _, j := range placed {
					if disturb(items[i], items[j]) && starts[i] < starts[j]+items[j].Duration && starts[j] < starts[i]+items[i].Duration {
						starts[i], again = starts[j]+items[j].Duration, true
					}
				}
			}
			put(append(placed[:len(placed):len(placed)], i), max(end, starts[i]+items[i].Duration))
		}
	}
	put(nil, 0)
	return best
}

// disturb reports whether two exclusive items cannot overlap.
func disturb(a, b Item) bool {
	return slices.ContainsFunc(a.Claims, func(c Claim) bool {
		return slices.ContainsFunc(b.Claims, func(d Claim) bool { return c.Resource == d.Resource })
	})
}

// clique is the longest total duration of items that all disturb each other.
func clique(items []Item) time.Duration {
	var best time.Duration
	var grow func(sum time.Duration, candidates []int)
	grow = func(sum time.Duration, candidates []int) {
		best = max(best, sum)
		rest := time.Duration(0)
		for _, c := range candidates {
			rest += items[c].Duration
		}
		for k, c := range candidates {
			if sum+rest <= best {
				return
			}
			rest -= items[c].Duration
			var next []int
			for _, d := range candidates[k+1:] {
				if disturb(items[c], items[d]) {
					next = append(next, d)
				}
			}
			grow(sum+items[c].Duration, next)
		}
	}
	all := make([]int, len(items))
	for i := range all {
		all[i] = i
	}
	grow(0, all)
	return best
}
