package schedule

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestLedger(t *testing.T) {
	l := NewLedger(map[Resource]float64{"link.core": 100})
	acquire := func(id string, exclusive bool, rate float64) (Conflict, bool) {
		return l.TryAcquire(Item{ID: id, Claims: []Claim{{Resource: "link.core", Exclusive: exclusive, Rate: rate}}})
	}
	if _, ok := acquire("a", false, 60); !ok {
		t.Fatal("a does not fit an empty link")
	}
	c, ok := acquire("b", false, 50)
	if want := (Conflict{Item: "b", Resource: "link.core", Blocker: "a", Wanted: 50, Used: 60, Capacity: 100}); ok || c != want {
		t.Errorf("b: got %+v, %t, want %+v", c, ok, want)
	}
	if c, ok := acquire("x", true, 0); ok || !c.Exclusive || c.Blocker != "a" {
		t.Errorf("x: got %+v, %t, want a in the way", c, ok)
	}
	if c, ok := acquire("a", false, 1); ok || c.Blocker != "a" {
		t.Errorf("a again: got %+v, %t", c, ok)
	}
	l.Release("unknown")
	l.Release("a")
	if _, ok := acquire("x", true, 0); !ok {
		t.Error("x does not fit the free link")
	}
	if c, ok := acquire("a", false, 0); ok || !strings.Contains(c.String(), "x claims it, and one of the two must have it alone") {
		t.Errorf("a: got %v, %t", c, ok)
	}
	l.Release("x")
	if l.Held() != 0 {
		t.Errorf("%d items hold claims, want 0", l.Held())
	}
}

// A session that claims a link for both of its directions is not in its own way.
func TestLedgerAddsTheClaimsOfOneItem(t *testing.T) {
	l := NewLedger(map[Resource]float64{"link.core": 100})
	both := Item{ID: "both", Claims: []Claim{{Resource: "link.core", Rate: 60}, {Resource: "link.core", Rate: 60}}}
	if c, ok := l.TryAcquire(both); ok || c.Blocker != "" || c.Wanted != 120 {
		t.Errorf("got %+v, %t, want 120 of 100 refused for ever", c, ok)
	}
	twice := Item{ID: "twice", Claims: []Claim{{Resource: "link.x", Exclusive: true}, {Resource: "link.x", Rate: 5}}}
	if c, ok := l.TryAcquire(twice); !ok {
		t.Errorf("got %v, want its own claims to agree", c)
	}
}

// What a ledger lets run at once is always a valid schedule of one instant, and
// everything fits again once all was given back.
func TestLedgerKeepsTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := drawMesh(t, 2, 20, false)
		capacity := map[Resource]float64{"link.1": 150e6}
		l := NewLedger(capacity)
		held := map[string]Item{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if len(items) == 0 {
				return
			}
			item := items[rapid.IntRange(0, len(items)-1).Draw(t, "item")]
			if _, ok := held[item.ID]; ok {
				l.Release(item.ID)
				delete(held, item.ID)
			} else if c, ok := l.TryAcquire(item); ok {
				held[item.ID] = item
			} else if _, ok := held[c.Blocker]; !ok {
				t.Fatalf("%v: the blocker holds nothing", c)
			}
			var now []Item
			for _, h := range held {
				h.Duration = time.Second
				now = append(now, h)
			}
			slots := make([]Slot, len(now))
			for i := range slots {
				slots[i].Round = 1
			}
			if err := Validate(now, slots, capacity); err != nil {
				t.Fatal(err)
			}
		}
	})
}
