package runner

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpupper/netp/plan/schedule"
)

// drawItems makes sessions with random claims on few resources.
func drawItems(t *rapid.T) ([]schedule.Item, map[schedule.Resource]float64) {
	capacity := map[schedule.Resource]float64{"r0": 0, "r1": 10, "r2": 5, "r3": 0}
	items := make([]schedule.Item, rapid.IntRange(1, 40).Draw(t, "items"))
	for i := range items {
		items[i].ID = fmt.Sprint(i)
		for r := range capacity {
			switch rapid.IntRange(0, 4).Draw(t, "claim") {
			case 0:
				items[i].Claims = append(items[i].Claims, schedule.Claim{Resource: r, Exclusive: true})
			case 1:
				items[i].Claims = append(items[i].Claims, schedule.Claim{Resource: r, Rate: float64(rapid.IntRange(0, 5).Draw(t, "rate"))})
			}
		}
	}
	return items, capacity
}

func exclusiveOn(item schedule.Item, r schedule.Resource) bool {
	return slices.ContainsFunc(item.Claims, func(c schedule.Claim) bool { return c.Resource == r && c.Exclusive })
}

func uses(item schedule.Item, r schedule.Resource) bool {
	return slices.ContainsFunc(item.Claims, func(c schedule.Claim) bool { return c.Resource == r })
}

// overlap says whether two may never run at once whatever else runs.
func overlap(a, b schedule.Item) bool {
	for _, c := range a.Claims {
		if uses(b, c.Resource) && (c.Exclusive || exclusiveOn(b, c.Resource)) {
			return true
		}
	}
	return false
}

// TestQueueStartsEveryoneOnceWithoutConflict ends running sessions in random order
// and holds: nobody starts beside one he may not overlap, rates stay within
// capacity, nobody passes an earlier one he conflicts with, and all start.
func TestQueueStartsEveryoneOnceWithoutConflict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items, capacity := drawItems(t)
		q := newQueue(items, capacity)
		var running []int
		started := make([]bool, len(items))
		begin := func(list []int) {
			for _, i := range list {
				if started[i] {
					t.Fatalf("%d started twice", i)
				}
				for _, other := range running {
					if overlap(items[i], items[other]) {
						t.Fatalf("%d runs beside %d: %+v, %+v", i, other, items[i], items[other])
					}
				}
				started[i] = true
				running = append(running, i)
			}
			for i := range items {
				for earlier := range i {
					if slices.Contains(list, i) && !started[earlier] && overlap(items[i], items[earlier]) {
						t.Fatalf("%d passed %d, which it conflicts with", i, earlier)
					}
				}
			}
			checkRates(t, items, running, capacity)
		}
		begin(q.takeAll())
		for len(running) > 0 {
			at := rapid.IntRange(0, len(running)-1).Draw(t, "ends")
			q.release(running[at])
			running = slices.Delete(running, at, at+1)
			begin(q.take())
		}
		if q.left != 0 || slices.Contains(started, false) {
			t.Fatalf("%d never started: %v", q.left, started)
		}
	})
}

func checkRates(t *rapid.T, items []schedule.Item, running []int, capacity map[schedule.Resource]float64) {
	sum := map[schedule.Resource]float64{}
	for _, i := range running {
		for _, c := range items[i].Claims {
			sum[c.Resource] += c.Rate
		}
	}
	for r, rate := range sum {
		if capacity[r] > 0 && rate > capacity[r] {
			t.Fatalf("%s carries %g of %g", r, rate, capacity[r])
		}
	}
}

// TestQueueLeavesNobodyWaitingInVain holds that after each step the first in line
// either runs or has a claim of a running one in its way.
func TestQueueLeavesNobodyWaitingInVain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items, capacity := drawItems(t)
		q := newQueue(items, capacity)
		running := q.takeAll()
		for len(running) > 0 {
			for i := range items {
				if !q.waiting[i] || !q.first(i) {
					continue
				}
				if c := q.obstacle(i); c.Resource == "" {
					t.Fatalf("%d waits though nothing is in its way", i)
				}
			}
			at := rapid.IntRange(0, len(running)-1).Draw(t, "ends")
			if rapid.Bool().Draw(t, "drop one that waits") {
				if i := slices.Index(q.waiting, true); i >= 0 {
					q.drop(i)
				}
			}
			q.release(running[at])
			running = append(slices.Delete(running, at, at+1), q.take()...)
		}
	})
}

func TestQueueStaysLinear(t *testing.T) {
	const n = 10_000
	items := make([]schedule.Item, n)
	for i := range items {
		items[i] = schedule.Item{ID: fmt.Sprint(i), Claims: []schedule.Claim{
			{Resource: "run sessions", Rate: 1},
			{Resource: schedule.Resource(fmt.Sprint("tx", i%100)), Exclusive: true},
			{Resource: schedule.Resource(fmt.Sprint("rx", (i/100+i)%100)), Exclusive: true},
		}}
	}
	q := newQueue(items, map[schedule.Resource]float64{"run sessions": 50})
	running := q.takeAll()
	ended := 0
	for len(running) > 0 {
		q.release(running[0])
		running = append(running[1:], q.take()...)
		ended++
	}
	if ended != n {
		t.Errorf("%d of %d ended", ended, n)
	}
}
