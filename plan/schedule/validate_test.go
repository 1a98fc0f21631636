package schedule

import (
	"strings"
	"testing"
	"time"
)

// The validator is the judge of all other tests, so it must find each fault.
func TestValidateFindsFaults(t *testing.T) {
	item := func(id string, exclusive bool, rate float64) Item {
		return Item{ID: id, Duration: 10 * time.Second, Claims: []Claim{{Resource: "link.core", Exclusive: exclusive, Rate: rate}}}
	}
	at := func(seconds, round int) Slot { return Slot{Start: time.Duration(seconds) * time.Second, Round: round} }
	late := item("late", false, 0)
	late.Deadline = 15 * time.Second
	for _, c := range []struct {
		name  string
		items []Item
		slots []Slot
		want  string // "" for none
	}{
		{"one after the other", []Item{item("a", true, 0), item("b", true, 0)}, []Slot{at(0, 1), at(10, 2)}, ""},
		{"two exclusive", []Item{item("a", true, 0), item("b", true, 0)}, []Slot{at(0, 1), at(9, 2)}, "b starts at 9s while a has it alone"},
		{"shared into exclusive", []Item{item("a", true, 0), item("b", false, 0)}, []Slot{at(0, 1), at(9, 2)}, "b starts at 9s while a has it alone"},
		{"exclusive into shared", []Item{item("a", false, 0), item("b", true, 0)}, []Slot{at(0, 1), at(9, 2)}, "b wants it alone at 9s while a is on it"},
		{"within the capacity", []Item{item("a", false, 50), item("b", false, 50)}, []Slot{at(0, 1), at(0, 1)}, ""},
		{"above the capacity", []Item{item("a", false, 50), item("b", false, 51)}, []Slot{at(0, 1), at(9, 2)}, "101 bit/s at 9s, more than its 100 bit/s"},
		{"not placed", []Item{item("a", false, 0)}, []Slot{at(0, 0)}, "a is not placed"},
		{"before the run", []Item{item("a", false, 0)}, []Slot{at(-1, 1)}, "before the run"},
		{"after the deadline", []Item{late}, []Slot{at(6, 1)}, "late ends at 16s, after its deadline 15s"},
		{"wrong round", []Item{item("a", true, 0), item("b", true, 0)}, []Slot{at(0, 1), at(10, 1)}, "b is in round 1, its start is in round 2"},
		{"slots missing", []Item{item("a", true, 0)}, nil, "1 items but 0 slots"},
	} {
		err := Validate(c.items, c.slots, map[Resource]float64{"link.core": 100})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}
