package schedule

// edge joins two nodes of a graph whose edges are to be coloured so that no node
// has two edges of one colour.
type edge struct{ u, v int32 }

// colourBipartite colours the edges of a bipartite multigraph with as many
// colours as its busiest node has edges: the least there can be (D. Kőnig, 1916).
// Each edge takes a colour that is free at both ends; if there is none, the two
// colours free at one end each are swapped along the path that alternates between
// them. ok is false when the graph is not bipartite.
func colourBipartite(edges []edge, nodes int) (colours []int32, ok bool) {
	side, ok := bipartite(edges, nodes)
	if !ok {
		return nil, false
	}
	c := colouring{at: make(map[slot]int32, 2*len(edges)), free: make([]int32, nodes),
		edges: edges, colours: make([]int32, len(edges)), place: places(side)}
	degree := make([]int32, nodes)
	for _, e := range edges {
		degree[e.u]++
		degree[e.v]++
		c.busiest = max(c.busiest, degree[e.u], degree[e.v])
	}
	for k := range edges {
		c.add(int32(k))
	}
	return c.colours, true
}

// slot is a colour at a node.
type slot struct{ node, colour int32 }

type colouring struct {
	edges   []edge
	colours []int32
	at      map[slot]int32 // the edge that has the colour at the node
	free    []int32        // by node: all colours below are taken
	place   []int32        // by node: its number within its side
	busiest int32          // edges of the busiest node
}

func (c *colouring) add(k int32) {
	e := c.edges[k]
	// Where all pairs of two sides are there, this alone fits: no swap is needed.
	if turn := (c.place[e.u] + c.place[e.v]) % c.busiest; c.isFree(e.u, turn) && c.isFree(e.v, turn) {
		c.put(k, turn)
		return
	}
	a, b := c.lowest(e.u), c.lowest(e.v)
	switch {
	case c.isFree(e.v, a):
		c.put(k, a)
	case c.isFree(e.u, b):
		c.put(k, b)
	default:
		c.swap(e.v, a, b)
		c.put(k, a)
	}
}

// swap exchanges colours a and b along the path that leaves node with colour a,
// so that a becomes free there. In a bipartite graph the path cannot end at the
// other end of the edge that is being added.
func (c *colouring) swap(node, a, b int32) {
	var path []int32
	for at, colour, other := node, a, b; ; colour, other = other, colour {
		k, taken := c.at[slot{at, colour}]
		if !taken {
			break
		}
		path = append(path, k)
		at = c.edges[k].u + c.edges[k].v - at
	}
	for _, k := range path {
		e := c.edges[k]
		delete(c.at, slot{e.u, c.colours[k]})
		delete(c.at, slot{e.v, c.colours[k]})
	}
	for _, k := range path {
		c.put(k, a+b-c.colours[k])
	}
	// A colour may have become free below the marks of the path's two ends.
	for _, k := range path {
		e := c.edges[k]
		c.free[e.u] = min(c.free[e.u], a, b)
		c.free[e.v] = min(c.free[e.v], a, b)
	}
}

func (c *colouring) put(k, colour int32) {
	c.colours[k] = colour
	c.at[slot{c.edges[k].u, colour}] = k
	c.at[slot{c.edges[k].v, colour}] = k
}

func (c *colouring) isFree(node, colour int32) bool {
	_, taken := c.at[slot{node, colour}]
	return !taken
}

func (c *colouring) lowest(node int32) int32 {
	for !c.isFree(node, c.free[node]) {
		c.free[node]++
	}
	return c.free[node]
}

// bipartite puts the nodes on two sides, 1 and −1, with all edges between them;
// ok is false when that cannot be.
func bipartite(edges []edge, nodes int) (side []int8, ok bool) {
	next := neighbours(edges, nodes)
	side = make([]int8, nodes)
	for start := range side {
		if side[start] != 0 {
			continue
		}
		side[start] = 1
		for todo := []int32{int32(start)}; len(todo) > 0; {
			n := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			for _, m := range next[n] {
				if side[m] == side[n] {
					return nil, false
				}
				if side[m] == 0 {
					side[m] = -side[n]
					todo = append(todo, m)
				}
			}
		}
	}
	return side, true
}

// places numbers the nodes of each side from 0.
func places(side []int8) []int32 {
	out := make([]int32, len(side))
	var left, right int32
	for n, s := range side {
		if s > 0 {
			out[n], left = left, left+1
		} else {
			out[n], right = right, right+1
		}
	}
	return out
}

func neighbours(edges []edge, nodes int) [][]int32 {
	next := make([][]int32, nodes)
	for _, e := range edges {
		next[e.u] = append(next[e.u], e.v)
		next[e.v] = append(next[e.v], e.u)
	}
	return next
}

// colourRounds colours any multigraph by the circle method, which pairs n
// players in n−1 rounds (n even) or n rounds (n odd): optimal when all pairs
// are there, and proper always. The k-th edge of the same pair comes k times
// all rounds later.
func colourRounds(edges []edge, nodes int) []int32 {
	seats := int32(nodes + nodes%2)
	rounds := seats - 1
	times := map[edge]int32{}
	colours := make([]int32, len(edges))
	for k, e := range edges {
		u, v := min(e.u, e.v), max(e.u, e.v)
		round := (u + v) % rounds
		if v == rounds { // the last seat stays while the others move round
			round = 2 * u % rounds
		}
		colours[k] = times[edge{u, v}]*rounds + round
		times[edge{u, v}]++
	}
	return colours
}
