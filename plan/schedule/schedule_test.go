package schedule

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// pair is a directed session between two numbered agents.
func pair(i, j int, both bool, d time.Duration, links ...string) Item {
	item := Item{ID: fmt.Sprintf("%d->%d", i, j), Duration: d}
	claim := func(agent int, way string) {
		item.Claims = append(item.Claims, Claim{Resource: Resource(fmt.Sprintf("agent.%d/default %s", agent, way)), Exclusive: true})
	}
	claim(i, "tx")
	claim(j, "rx")
	if both {
		claim(i, "rx")
		claim(j, "tx")
	}
	for _, l := range links {
		item.Claims = append(item.Claims, Claim{Resource: Resource("link." + l), Exclusive: true})
	}
	return item
}

func mesh(n int, both bool, d time.Duration) (items []Item) {
	for i := range n {
		for j := range n {
			if i != j {
				items = append(items, pair(i, j, both, d))
			}
		}
	}
	return items
}

func place(t failer, items []Item, capacity map[Resource]float64) Placement {
	t.Helper()
	p, conflicts := Place(items, capacity)
	if len(conflicts) > 0 {
		t.Fatalf("%d conflicts, the first: %v", len(conflicts), conflicts[0])
	}
	if err := Validate(items, p.Slots, capacity); err != nil {
		t.Fatalf("the schedule is not valid: %v", err)
	}
	return p
}

func TestMeshOneWayTakesOneRoundPerPeer(t *testing.T) {
	const d = 10 * time.Second
	for n := 2; n <= 40; n++ {
		p := place(t, mesh(n, false, d), nil)
		if want := n - 1; p.Rounds != want || p.Makespan != time.Duration(want)*d {
			t.Errorf("%d agents: got %d rounds and %v, want %d rounds", n, p.Rounds, p.Makespan, want)
		}
	}
}

// Ordered pairs are two sessions per pairing, so the rounds double.
func TestMeshBothWaysTakesTheRoundsOfATournament(t *testing.T) {
	const d = 10 * time.Second
	for n := 2; n <= 40; n++ {
		p := place(t, mesh(n, true, d), nil)
		want := 2 * (n - 1 + n%2)
		if p.Rounds != want || p.Makespan != time.Duration(want)*d {
			t.Errorf("%d agents: got %d rounds and %v, want %d rounds", n, p.Rounds, p.Makespan, want)
		}
	}
}

func TestSharedSessionsRunSideBySide(t *testing.T) {
	var items []Item
	for i := range 5 {
		items = append(items, Item{ID: fmt.Sprint(i), Duration: time.Minute, Claims: []Claim{{Resource: "link.core", Rate: 40e6}}})
	}
	if p := place(t, items, nil); p.Makespan != time.Minute {
		t.Errorf("without a capacity: got %v, want 1m", p.Makespan)
	}
	capacity := map[Resource]float64{"link.core": 100e6}
	if p := place(t, items, capacity); p.Makespan != 3*time.Minute {
		t.Errorf("two at a time: got %v, want 3m", p.Makespan)
	}
	capacity["link.core"] = 200e6
	if p := place(t, items, capacity); p.Makespan != time.Minute {
		t.Errorf("exactly full: got %v, want 1m", p.Makespan)
	}
}

func TestSharedAndExclusiveNeverOverlap(t *testing.T) {
	items := []Item{
		{ID: "voice", Duration: time.Minute, Claims: []Claim{{Resource: "link.core"}}},
		{ID: "bulk", Duration: time.Minute, Claims: []Claim{{Resource: "link.core", Exclusive: true}}},
	}
	if p := place(t, items, nil); p.Makespan != 2*time.Minute {
		t.Errorf("got %v, want 2m", p.Makespan)
	}
}

func TestPlaceRefusesWhatExceedsACapacity(t *testing.T) {
	items := []Item{
		{ID: "fits", Duration: time.Second, Claims: []Claim{{Resource: "link.core", Rate: 10e6}}},
		{ID: "large", Duration: time.Second, Claims: []Claim{{Resource: "link.core", Rate: 20e6}}},
	}
	p, conflicts := Place(items, map[Resource]float64{"link.core": 10e6})
	if len(conflicts) != 1 {
		t.Fatalf("got %d conflicts, want 1", len(conflicts))
	}
	const want = "large claims 2e+07 bit/s of link.core, which has 1e+07 bit/s"
	if got := conflicts[0].String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if p.Slots[0].Round != 1 || p.Slots[1].Round != 0 {
		t.Errorf("got rounds %d and %d, want 1 and 0", p.Slots[0].Round, p.Slots[1].Round)
	}
}

func TestPlaceSaysWhoIsInTheWay(t *testing.T) {
	items := []Item{
		{ID: "first", Duration: time.Minute, Claims: []Claim{{Resource: "link.core", Exclusive: true}}, Deadline: time.Minute},
		{ID: "second", Duration: 50 * time.Second, Claims: []Claim{{Resource: "link.core", Exclusive: true}}, Deadline: time.Minute},
	}
	p, conflicts := Place(items, nil)
	if len(conflicts) != 1 {
		t.Fatalf("got %v, want one conflict", conflicts)
	}
	if c := conflicts[0]; c.Resource != "link.core" || c.Blocker == "" || c.Blocker == c.Item {
		t.Errorf("got %+v, want the other item on link.core", c)
	}
	if err := Validate(items, p.Slots, nil); err == nil {
		t.Error("the validator takes a missing item for placed")
	}
}

func TestPlaceNothing(t *testing.T) {
	p, conflicts := Place(nil, nil)
	if p.Makespan != 0 || p.Rounds != 0 || len(conflicts) != 0 {
		t.Errorf("got %+v, %v", p, conflicts)
	}
}

func TestPlaceIsDeterministic(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var items []Item
	for k := range 60 {
		i, j := random.IntN(8), random.IntN(7)
		if j >= i {
			j++
		}
		item := pair(i, j, k%3 == 0, time.Duration(1+random.IntN(9))*time.Second)
		item.ID = fmt.Sprintf("%s#%d", item.ID, k)
		items = append(items, item)
	}
	first := place(t, items, nil)
	for range 3 {
		again := place(t, items, nil)
		for i := range items {
			if first.Slots[i] != again.Slots[i] {
				t.Fatalf("%s: %v, then %v", items[i].ID, first.Slots[i], again.Slots[i])
			}
		}
	}
}
