// Package schedule places sessions in time so that no two claim the same
// exclusive thing at once and no shared capacity is exceeded. Sessions are
// opaque: an item has a duration and claims. It knows nothing of suites or agents.
//
// The rule of what may overlap lives in Ledger, which Place simulates and the
// runner keeps for real. Validate checks a placement with code of its own.
// Start with Place.
package schedule

import (
	"fmt"
	"time"
)

// Resource is something that sessions share: one direction of an agent's
// interface ("agent.syd/telco-a tx") or a link ("link.core").
type Resource string

// Claim is what one item takes of one resource while it runs.
type Claim struct {
	Resource Resource `json:"resource"`
	// Exclusive claims tolerate no other claim on the resource. Otherwise Rate
	// [bit/s] is taken from the resource's capacity, if it has one.
	Exclusive bool    `json:"exclusive,omitempty"`
	Rate      float64 `json:"rate,omitempty"`
}

// Item is something to be placed. Two claims of one item never disturb each other.
type Item struct {
	ID       string // unique among the items
	Duration time.Duration
	Claims   []Claim
	// Deadline is when the item must have ended at the latest; 0 means any time.
	Deadline time.Duration
}

// Slot is where one item was placed.
type Slot struct {
	Start time.Duration
	// Round numbers the distinct start times from 1; 0 when the item was refused.
	Round int
}

// Placement is a schedule: a slot for each item.
type Placement struct {
	Slots    []Slot // in the order of the items
	Makespan time.Duration
	// Bound is a makespan no schedule of these items can be below: the longest
	// item, the busiest resource, or all pairs with each agent in one at a time.
	Bound  time.Duration
	Rounds int
}

// Conflict says why an item cannot be placed, or cannot start now.
type Conflict struct {
	Item     string
	Resource Resource
	// Blocker is an item that holds the resource; "" when the claim alone exceeds the capacity.
	Blocker string
	// Exclusive says that the item or the blocker claims the resource alone;
	// otherwise Wanted + Used > Capacity [bit/s].
	Exclusive              bool
	Wanted, Used, Capacity float64
	Deadline               time.Duration // which could not be met; 0 for none
}

// String says it in one sentence, with rates in bit/s.
func (c Conflict) String() string {
	switch {
	case c.Blocker == "" && c.Deadline > 0:
		return fmt.Sprintf("%s cannot end by %v: it alone takes longer", c.Item, c.Deadline)
	case c.Blocker == "":
		return fmt.Sprintf("%s claims %g bit/s of %s, which has %g bit/s", c.Item, c.Wanted, c.Resource, c.Capacity)
	}
	by := ""
	if c.Deadline > 0 {
		by = fmt.Sprintf(" and end by %v", c.Deadline)
	}
	if c.Exclusive {
		return fmt.Sprintf("%s cannot have %s%s: %s claims it, and one of the two must have it alone", c.Item, c.Resource, by, c.Blocker)
	}
	return fmt.Sprintf("%s cannot take %g bit/s of %s%s: %g of %g bit/s are taken, by %s among others",
		c.Item, c.Wanted, c.Resource, by, c.Used, c.Capacity, c.Blocker)
}

// Place gives each item the earliest start it can find for it, with the shortest
// makespan it can find for all. Resources without an entry in capacity (or with
// 0) have no bound. Items that cannot be placed are left out and come as
// conflicts. It is deterministic.
//
// For equal exclusive items that claim two resources each, the makespan is the
// optimum when the resources fall into two sides (transmit, receive) or when all
// pairs are there; otherwise it is the best of several orders, improved within a
// fixed budget.
func Place(items []Item, capacity map[Resource]float64) (Placement, []Conflict) {
	p := newProblem(items, capacity)
	placement := Placement{Slots: make([]Slot, len(items)), Bound: p.bound()}
	best := p.search(placement.Bound)
	placement.Makespan = best.makespan
	placement.Rounds = number(placement.Slots, best.starts)
	return placement, append(p.impossible, best.refused...)
}

// problem is the items with resources and claims as indices.
type problem struct {
	items  []Item
	claims [][]claim // by item
	ledger *Ledger
	// place lists the items that can be placed at all, in their order.
	place      []int32
	impossible []Conflict
}

func newProblem(items []Item, capacity map[Resource]float64) *problem {
	p := &problem{items: items, claims: make([][]claim, len(items)), ledger: NewLedger(capacity)}
	for i, item := range items {
		p.claims[i] = p.ledger.intern(item.Claims)
		if c, ok := p.ledger.possible(item, p.claims[i]); !ok {
			p.impossible = append(p.impossible, c)
			continue
		}
		p.place = append(p.place, int32(i))
	}
	return p
}

// notPlaced marks an item without a start.
const notPlaced time.Duration = -1

// bound is the load of the busiest resource: its exclusive claims one after the
// other, then the shared ones side by side as far as the capacity allows.
func (p *problem) bound() time.Duration {
	type load struct {
		alone, longest time.Duration
		volume         float64 // [ns] if the shared claims filled the capacity all the time
	}
	loads := make([]load, len(p.ledger.uses))
	var bound time.Duration
	for _, i := range p.place {
		d := p.items[i].Duration
		bound = max(bound, d)
		for _, c := range p.claims[i] {
			l := &loads[c.resource]
			if c.exclusive {
				l.alone += d
				continue
			}
			l.longest = max(l.longest, d)
			if capacity := p.ledger.uses[c.resource].capacity; capacity > 0 {
				l.volume += float64(d) * c.rate / capacity
			}
		}
	}
	for _, l := range loads {
		// The volume is a rounded sum; a bound must never be above the truth.
		bound = max(bound, l.alone+max(l.longest, time.Duration(l.volume*(1-1e-6))))
	}
	return max(bound, p.pairsBound())
}

// pairsBound is the time that the items which are edges take when at each moment
// every node but at most one is busy: of 5 agents only 4 can be paired.
func (p *problem) pairsBound() time.Duration {
	edges, owner, nodes := p.edges()
	var total, shortest time.Duration
	for _, i := range owner {
		d := p.items[i].Duration
		total += d
		if shortest == 0 || d < shortest {
			shortest = d
		}
	}
	_, met := dense(edges, nodes)
	if met < 2 || shortest == 0 {
		return 0
	}
	atOnce := time.Duration(met / 2)
	if total == shortest*time.Duration(len(owner)) { // equal: whole rounds
		return (time.Duration(len(owner)) + atOnce - 1) / atOnce * shortest
	}
	return total / atOnce
}
