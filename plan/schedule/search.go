package schedule

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// effort bounds the improvement: so many placings of single items, over all
// schedules tried. Small problems get many tries, large ones the first few orders.
const effort = 300_000

// large is the number of items from which on a schedule within a hundredth of the
// bound is good enough: each further try would take seconds.
const large = 10_000

// search tries several orders of preference and improves the best of them until
// it meets the bound or the effort is spent.
func (p *problem) search(bound time.Duration) result {
	if len(p.place) > large {
		bound += bound / 100
	}
	var best result
	good := func(r result) bool { return len(r.refused) == 0 && r.makespan <= bound }
	for k, order := range p.orders() {
		if r := p.list(order); k == 0 || r.better(best) {
			best = r
		}
		if good(best) {
			return best
		}
	}
	return p.improve(best, good)
}

func (r result) better(other result) bool {
	return cmp.Or(cmp.Compare(len(r.refused), len(other.refused)), cmp.Compare(r.makespan, other.makespan)) < 0
}

// improve shakes the order of the best schedule and settles it again by turns
// from its end and from its start (forward-backward improvement, Li & Willis 1992).
func (p *problem) improve(best result, good func(result) bool) result {
	tries := min(100, effort/max(1, 3*len(p.place))) // each places the items three times
	random := rand.New(rand.NewPCG(1, uint64(len(p.place))))
	for k := range tries {
		order := p.settled(best.starts, func(a, b time.Duration) int { return cmp.Compare(a, b) })
		if k > 0 {
			shake(order, random)
		}
		r := p.list(order)
		r = p.settle(r)
		if r.better(best) {
			best = r
		}
		if good(best) {
			break
		}
	}
	return best
}

// settle lists the items by their ends, latest first, and then by the ends of
// that mirrored schedule: each turn closes gaps that the other left.
func (p *problem) settle(r result) result {
	if len(r.refused) > 0 {
		return r
	}
	latestFirst := func(a, b time.Duration) int { return cmp.Compare(b, a) }
	back := p.list(p.settled(p.ends(r.starts), latestFirst))
	forth := p.list(p.settled(p.ends(back.starts), latestFirst))
	if forth.better(r) {
		return forth
	}
	return r
}

func (p *problem) ends(starts []time.Duration) []time.Duration {
	ends := make([]time.Duration, len(starts))
	for i, s := range starts {
		ends[i] = s + p.items[i].Duration
	}
	return ends
}

// settled orders the items by a time each.
func (p *problem) settled(times []time.Duration, by func(a, b time.Duration) int) []int32 {
	order := slices.Clone(p.place)
	slices.SortStableFunc(order, func(a, b int32) int { return by(times[a], times[b]) })
	return order
}

// shake moves a few items to other places in the order.
func shake(order []int32, random *rand.Rand) {
	for range 1 + len(order)/20 {
		from, to := random.IntN(len(order)), random.IntN(len(order))
		i := order[from]
		order = slices.Delete(order, from, from+1)
		order = slices.Insert(order, to, i)
	}
}

// orders gives the orders of preference to start with. Exclusive items go by
// colour, longest first; shared ones side by side before or after them; and last
// a plain order: the item with the busiest resource first.
func (p *problem) orders() [][]int32 {
	colour := p.colours()
	load := p.loads()
	exclusive := make([]bool, len(p.items))
	for _, i := range p.place {
		exclusive[i] = slices.ContainsFunc(p.claims[i], func(c claim) bool { return c.exclusive })
	}
	longest := func(a, b int32) int { return cmp.Compare(p.items[b].Duration, p.items[a].Duration) }
	byColour := func(a, b int32) int { return cmp.Or(longest(a, b), cmp.Compare(colour[a], colour[b])) }
	first := func(want bool) func(a, b int32) int {
		return func(a, b int32) int {
			if exclusive[a] == exclusive[b] {
				return byColour(a, b)
			}
			if exclusive[a] == want {
				return -1
			}
			return 1
		}
	}
	busiest := func(a, b int32) int { return cmp.Or(cmp.Compare(load[b], load[a]), longest(a, b)) }
	var out [][]int32
	for _, by := range []func(a, b int32) int{first(false), first(true), busiest, longest} {
		order := slices.Clone(p.place)
		slices.SortStableFunc(order, by)
		out = append(out, order)
	}
	return out
}

// loads gives for each item the sum of the exclusive time on its claims.
func (p *problem) loads() []time.Duration {
	busy := make([]time.Duration, len(p.ledger.uses))
	for _, i := range p.place {
		for _, c := range p.claims[i] {
			if c.exclusive {
				busy[c.resource] += p.items[i].Duration
			}
		}
	}
	out := make([]time.Duration, len(p.items))
	for _, i := range p.place {
		for _, c := range p.claims[i] {
			out[i] = max(out[i], busy[c.resource])
		}
	}
	return out
}

// colours colours the exclusive items that claim two things each: items of one
// colour do not disturb each other. Resources always claimed together count as
// one, so that a session that fills both directions of both ends is an edge too.
// Items that are no edges keep colour 0.
func (p *problem) colours() []int32 {
	edges, owner, nodes := p.edges()
	colours, ok := colourBipartite(edges, nodes)
	if !ok {
		colours = colourRounds(dense(edges, nodes))
	}
	out := make([]int32, len(p.items))
	for k, i := range owner {
		out[i] = colours[k]
	}
	return out
}

// edges gives the items that claim two nodes exclusively.
func (p *problem) edges() (edges []edge, owner []int32, nodes int) {
	node, nodes := p.nodes()
	for _, i := range p.place {
		if e, ok := p.edge(i, node); ok {
			edges = append(edges, e)
			owner = append(owner, i)
		}
	}
	return edges, owner, nodes
}

// edge is the pair of nodes that an item claims exclusively.
func (p *problem) edge(i int32, node []int32) (edge, bool) {
	var ends []int32
	for _, c := range p.claims[i] {
		if n := node[c.resource]; c.exclusive && !slices.Contains(ends, n) {
			ends = append(ends, n)
		}
	}
	if len(ends) != 2 {
		return edge{}, false
	}
	return edge{ends[0], ends[1]}, true
}

// nodes numbers the resources so that those claimed exclusively by the very same
// items have one number.
func (p *problem) nodes() (node []int32, count int) {
	marks := make([]uint64, len(p.ledger.uses))
	random := rand.New(rand.NewPCG(2, 2))
	for _, i := range p.place {
		mark := random.Uint64() // equal sums mean equal sets of items, but for one chance in 2⁶⁴
		for _, c := range p.claims[i] {
			if c.exclusive {
				marks[c.resource] += mark
			}
		}
	}
	number := map[uint64]int32{}
	node = make([]int32, len(marks))
	for r, mark := range marks {
		if _, ok := number[mark]; !ok {
			number[mark] = int32(len(number))
		}
		node[r] = number[mark]
	}
	return node, len(number)
}

// dense renumbers the nodes that have edges from 0.
func dense(edges []edge, nodes int) ([]edge, int) {
	number := make([]int32, nodes)
	count := int32(0)
	of := func(n int32) int32 {
		if number[n] == 0 {
			count++
			number[n] = count
		}
		return number[n] - 1
	}
	out := make([]edge, len(edges))
	for k, e := range edges {
		out[k] = edge{of(e.u), of(e.v)}
	}
	return out, int(count)
}

// number sets the slots' starts and rounds and returns the number of rounds.
func number(slots []Slot, starts []time.Duration) int {
	distinct := slices.Clone(starts)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	if len(distinct) > 0 && distinct[0] == notPlaced {
		distinct = distinct[1:]
	}
	for i, s := range starts {
		if s != notPlaced {
			k, _ := slices.BinarySearch(distinct, s)
			slots[i] = Slot{Start: s, Round: k + 1}
		}
	}
	return len(distinct)
}
