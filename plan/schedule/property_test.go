package schedule

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawMesh draws a random mesh: 2 to 12 agents, each ordered pair with a chance
// of one in two, one- or two-directional, over links or not, of equal or unequal
// durations; with shared sessions of random rates besides when asked.
func drawMesh(t *rapid.T, links, shared int, equal bool) []Item {
	n := rapid.IntRange(2, 12).Draw(t, "agents")
	both := rapid.Bool().Draw(t, "both directions")
	var items []Item
	for i := range n {
		for j := range n {
			if i == j || !rapid.Bool().Draw(t, "pair") {
				continue
			}
			d := 10 * time.Second
			if !equal {
				d = time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second
			}
			var over []string
			if links > 0 && rapid.Bool().Draw(t, "over a link") {
				over = []string{fmt.Sprint(rapid.IntRange(1, links).Draw(t, "link"))}
			}
			items = append(items, pair(i, j, both, d, over...))
		}
	}
	for k := range rapid.IntRange(0, shared).Draw(t, "shared") {
		item := pair(rapid.IntRange(0, n-1).Draw(t, "from"), n, false, time.Duration(rapid.IntRange(1, 90).Draw(t, "seconds"))*time.Second, "1")
		item.ID = fmt.Sprintf("shared-%d", k)
		rate := float64(rapid.IntRange(0, 100).Draw(t, "rate")) * 1e6
		for c := range item.Claims {
			item.Claims[c].Exclusive, item.Claims[c].Rate = false, rate
		}
		items = append(items, item)
	}
	return items
}

func TestPlacementsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawMesh(t, 4, 20, false)
		capacity := map[Resource]float64{}
		for _, r := range []Resource{"link.1", "agent.0/default tx"} {
			if rapid.Bool().Draw(t, "has a capacity") {
				capacity[r] = float64(rapid.IntRange(100, 300).Draw(t, "capacity")) * 1e6
			}
		}
		p, conflicts := Place(items, capacity)
		if len(conflicts) > 0 {
			t.Fatalf("refused: %v", conflicts)
		}
		if err := Validate(items, p.Slots, capacity); err != nil {
			t.Fatal(err)
		}
		checkEnds(t, items, p)
	})
}

// checkEnds compares the placement's own summary with its slots.
func checkEnds(t *rapid.T, items []Item, p Placement) {
	var end time.Duration
	rounds := map[time.Duration]bool{}
	for i, s := range p.Slots {
		end = max(end, s.Start+items[i].Duration)
		rounds[s.Start] = true
	}
	if p.Makespan != end || p.Rounds != len(rounds) {
		t.Fatalf("got makespan %v in %d rounds, the slots say %v in %d", p.Makespan, p.Rounds, end, len(rounds))
	}
	if p.Makespan < p.Bound {
		t.Fatalf("makespan %v is below the bound %v: the bound is wrong", p.Makespan, p.Bound)
	}
}

// The order in which items come must not matter to what may overlap; deadlines
// are kept, and who misses one is told who was in the way.
func TestDeadlinesAreKeptOrExplained(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawMesh(t, 2, 5, false)
		for i := range items {
			if rapid.Bool().Draw(t, "has a deadline") {
				items[i].Deadline = time.Duration(rapid.IntRange(1, 200).Draw(t, "deadline")) * time.Second
			}
		}
		p, conflicts := Place(items, nil)
		refused := map[string]bool{}
		for _, c := range conflicts {
			refused[c.Item] = true
			at := slices.IndexFunc(items, func(i Item) bool { return i.ID == c.Item })
			if c.Blocker == "" && items[at].Duration <= items[at].Deadline {
				t.Fatalf("%v: nobody is named", c)
			}
		}
		var kept []Item
		var slots []Slot
		for i, item := range items {
			if !refused[item.ID] {
				kept, slots = append(kept, item), append(slots, p.Slots[i])
			}
		}
		if err := Validate(kept, slots, nil); err != nil {
			t.Fatal(err)
		}
	})
}

func TestEqualOneWayMeshesReachTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 12).Draw(t, "agents")
		var items []Item
		for k := range rapid.IntRange(1, 150).Draw(t, "sessions") { // pairs may repeat
			i := rapid.IntRange(0, n-1).Draw(t, "source")
			j := (i + rapid.IntRange(1, n-1).Draw(t, "distance")) % n
			item := pair(i, j, false, 10*time.Second)
			item.ID = fmt.Sprintf("%s#%d", item.ID, k)
			items = append(items, item)
		}
		p := place(t, items, nil)
		if p.Makespan != p.Bound {
			t.Fatalf("got %v, the bound is %v", p.Makespan, p.Bound)
		}
	})
}

// failer is what testing.T and rapid.T have in common here.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}
