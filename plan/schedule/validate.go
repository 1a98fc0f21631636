package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxFaults is how many faults Validate reports at most.
const maxFaults = 20

// Validate proves that a placement keeps all claims: it sweeps over each resource
// in time and looks at what overlaps there. It shares no code with Place or
// Ledger, so that a fault in their rule shows. Items whose slot has round 0 count
// as not placed, which is a fault: leave refused items out of both slices.
func Validate(items []Item, slots []Slot, capacity map[Resource]float64) error {
	if len(items) != len(slots) {
		return fmt.Errorf("%d items but %d slots", len(items), len(slots))
	}
	var faults []error
	on := map[Resource][]stay{}
	for i, item := range items {
		start := slots[i].Start
		switch {
		case slots[i].Round < 1:
			faults = append(faults, fmt.Errorf("%s is not placed", item.ID))
			continue
		case start < 0:
			faults = append(faults, fmt.Errorf("%s starts at %v, before the run", item.ID, start))
		case item.Deadline > 0 && start+item.Duration > item.Deadline:
			faults = append(faults, fmt.Errorf("%s ends at %v, after its deadline %v", item.ID, start+item.Duration, item.Deadline))
		}
		for r, s := range stays(item, start) {
			on[r] = append(on[r], s)
		}
	}
	faults = append(faults, roundFaults(items, slots)...)
	for _, r := range sortedKeys(on) {
		faults = append(faults, sweep(r, on[r], capacity[r])...)
	}
	return errors.Join(faults[:min(len(faults), maxFaults)]...)
}

// stay is the presence of one item on one resource.
type stay struct {
	from, to time.Duration
	rate     float64
	alone    bool
	id       string
}

func stays(item Item, start time.Duration) map[Resource]stay {
	out := map[Resource]stay{}
	for _, c := range item.Claims {
		s := out[c.Resource]
		s.from, s.to, s.id = start, start+item.Duration, item.ID
		s.alone = s.alone || c.Exclusive
		s.rate += c.Rate
		out[c.Resource] = s
	}
	return out
}

// sweep goes through the stays on one resource by their start; present are those
// that have not ended yet.
func sweep(r Resource, list []stay, capacity float64) (faults []error) {
	slices.SortFunc(list, func(a, b stay) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.id, b.id)) })
	var aloneUntil, anyUntil time.Duration // latest ends so far
	var alone, latest string
	for _, s := range list {
		if s.from < aloneUntil {
			faults = append(faults, fmt.Errorf("%s: %s starts at %v while %s has it alone until %v", r, s.id, s.from, alone, aloneUntil))
		}
		if s.alone && s.from < anyUntil {
			faults = append(faults, fmt.Errorf("%s: %s wants it alone at %v while %s is on it until %v", r, s.id, s.from, latest, anyUntil))
		}
		if s.alone && s.to > aloneUntil {
			aloneUntil, alone = s.to, s.id
		}
		if s.to > anyUntil {
			anyUntil, latest = s.to, s.id
		}
	}
	if capacity > 0 {
		faults = append(faults, overloads(r, list, capacity)...)
	}
	return faults
}

// overloads sums the rates at every instant where one changes.
func overloads(r Resource, list []stay, capacity float64) (faults []error) {
	type change struct {
		at   time.Duration
		rate float64
	}
	var changes []change
	for _, s := range list {
		if !s.alone {
			changes = append(changes, change{s.from, s.rate}, change{s.to, -s.rate})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.rate, b.rate)) })
	sum := 0.0
	for _, c := range changes {
		if sum += c.rate; sum > capacity*1.000001 {
			faults = append(faults, fmt.Errorf("%s: %g bit/s at %v, more than its %g bit/s", r, sum, c.at, capacity))
		}
	}
	return faults
}

// roundFaults checks that rounds number the distinct starts.
func roundFaults(items []Item, slots []Slot) (faults []error) {
	starts := map[time.Duration]int{}
	for _, s := range slots {
		if s.Round > 0 {
			starts[s.Start] = 0
		}
	}
	for k, start := range sortedKeys(starts) {
		starts[start] = k + 1
	}
	for i, s := range slots {
		if want := starts[s.Start]; s.Round > 0 && s.Round != want {
			faults = append(faults, fmt.Errorf("%s is in round %d, its start is in round %d", items[i].ID, s.Round, want))
		}
	}
	return faults
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
