package runner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpupper/netp/plan/schedule"
)

// hall is a queue with some runs, and the time as far as the order of things goes.
type hall struct {
	q       *queue
	runs    []*claimant
	all     []*waiter
	running []*waiter
	now     int
	began   map[*waiter]int
	ended   map[*waiter]int
}

func newHall(capacities ...map[schedule.Resource]float64) *hall {
	h := &hall{q: newQueue(), began: map[*waiter]int{}, ended: map[*waiter]int{}}
	for i, c := range capacities {
		h.runs = append(h.runs, h.q.join(fmt.Sprint("run ", i), c))
	}
	return h
}

// make gives a session to a run without entering it.
func (h *hall) make(run int, at int, claims ...schedule.Claim) *waiter {
	id := fmt.Sprint(len(h.all))
	w := h.runs[run].waiter(len(h.all), id, time.Unix(int64(at), 0), schedule.Item{ID: id, Claims: claims})
	h.all = append(h.all, w)
	return w
}

// collect takes those who may start and says which.
func (h *hall) collect() (started []*waiter) {
	h.now++
	for _, c := range h.runs {
		started = append(started, h.q.collect(c)...)
	}
	for _, w := range started {
		h.began[w] = h.now
	}
	h.running = append(h.running, started...)
	return started
}

// end ends the i-th of those running.
func (h *hall) end(i int) {
	h.now++
	w := h.running[i]
	h.ended[w] = h.now
	h.running = slices.Delete(h.running, i, i+1)
	h.q.release(w)
}

func (h *hall) waiting() (out []*waiter) {
	for _, w := range h.all {
		if w.state == waiting {
			out = append(out, w)
		}
	}
	return out
}

// validate proves with code of its own that what ran kept all claims.
func (h *hall) validate(t *rapid.T, capacity map[schedule.Resource]float64) {
	var items []schedule.Item
	var slots []schedule.Slot
	starts := map[int]bool{}
	for _, at := range h.began {
		starts[at] = true
	}
	for w, at := range h.began {
		item := w.item
		item.Duration = time.Duration(h.ended[w] - at)
		for i, c := range item.Claims { // a rate beyond what another run declares takes all there is
			if limit := capacity[c.Resource]; limit > 0 && !c.Exclusive {
				item.Claims[i].Rate = min(c.Rate, limit)
			}
		}
		round := 1
		for other := range starts {
			if other < at {
				round++
			}
		}
		items, slots = append(items, item), append(slots, schedule.Slot{Start: time.Duration(at), Round: round})
	}
	if err := schedule.Validate(items, slots, capacity); err != nil {
		t.Fatal(err)
	}
}

// drawClaims makes random claims on few resources, some twice on the same.
func drawClaims(t *rapid.T) (claims []schedule.Claim) {
	for r := range 4 {
		resource := schedule.Resource(fmt.Sprint("r", r))
		switch rapid.IntRange(0, 5).Draw(t, "claim") {
		case 0:
			claims = append(claims, schedule.Claim{Resource: resource, Exclusive: true})
		case 1, 2:
			claims = append(claims, schedule.Claim{Resource: resource, Rate: float64(rapid.IntRange(0, 5).Draw(t, "rate"))})
		case 3:
			claims = append(claims, schedule.Claim{Resource: resource, Rate: 1}, schedule.Claim{Resource: resource, Rate: 2})
		}
	}
	return claims
}

func uses(w *waiter, r schedule.Resource) bool {
	return slices.ContainsFunc(w.item.Claims, func(c schedule.Claim) bool { return c.Resource == r })
}

// overlap says whether two may never run at once whatever else runs.
func overlap(a, b *waiter) bool {
	return slices.ContainsFunc(a.item.Claims, func(c schedule.Claim) bool { return c.Exclusive && uses(b, c.Resource) }) ||
		slices.ContainsFunc(b.item.Claims, func(c schedule.Claim) bool { return c.Exclusive && uses(a, c.Resource) })
}

// TestQueueKeepsClaimsOfAllRuns lets runs come with sessions planned for any time,
// ends running sessions in any order, drops waiting ones, and holds: what ran is a
// valid schedule by the independent validator, nobody passes an earlier one he
// conflicts with, nobody waits for nothing, and everybody starts.
func TestQueueKeepsClaimsOfAllRuns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := newHall(
			map[schedule.Resource]float64{"r1": 10, "r2": 5},
			map[schedule.Resource]float64{"r1": 7, "r3": 5},
			nil)
		check := func() {
			for _, w := range h.collect() {
				for _, e := range h.waiting() {
					if e.before(w) && overlap(w, e) {
						t.Fatalf("%s passed %s, which it conflicts with", w.name, e.name)
					}
				}
			}
			for _, w := range h.waiting() {
				if h.q.obstacle(w) == "" {
					t.Fatalf("%s waits though nothing is in its way", w.name)
				}
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1:
				var batch []*waiter
				run := rapid.IntRange(0, 2).Draw(t, "run")
				for range rapid.IntRange(1, 8).Draw(t, "sessions") {
					batch = append(batch, h.make(run, rapid.IntRange(0, 20).Draw(t, "at"), drawClaims(t)...))
				}
				h.q.enter(batch...)
			case 2, 3:
				if len(h.running) > 0 {
					h.end(rapid.IntRange(0, len(h.running)-1).Draw(t, "ends"))
				}
			case 4:
				if list := h.waiting(); len(list) > 0 {
					w := list[rapid.IntRange(0, len(list)-1).Draw(t, "drops")]
					if !h.q.withdraw(w) || h.q.withdraw(w) {
						t.Fatalf("%s was not withdrawn once", w.name)
					}
					h.q.settle()
				}
			}
			check()
		}
		for len(h.running) > 0 {
			h.end(rapid.IntRange(0, len(h.running)-1).Draw(t, "ends"))
			check()
		}
		if list := h.waiting(); len(list) > 0 {
			t.Fatalf("%d never started", len(list))
		}
		if n := h.q.ledger.Held(); n != 0 || len(h.q.holders) != 0 {
			t.Fatalf("%d hold claims in the end", n)
		}
		h.validate(t, map[schedule.Resource]float64{"r1": 7, "r2": 5, "r3": 5})
	})
}

func rate(r schedule.Resource, n float64) schedule.Claim { return schedule.Claim{Resource: r, Rate: n} }
func alone(r schedule.Resource) schedule.Claim           { return schedule.Claim{Resource: r, Exclusive: true} }

func names(ws []*waiter) (out []string) {
	for _, w := range ws {
		out = append(out, w.name)
	}
	return out
}

// TestQueueStarvesNobody keeps a link busy with small sessions of ever new runs: a
// big one and an exclusive one of another run get their turn all the same.
func TestQueueStarvesNobody(t *testing.T) {
	for name, claim := range map[string]schedule.Claim{"big": rate("link", 10), "exclusive": alone("link")} {
		t.Run(name, func(t *testing.T) {
			h := newHall(map[schedule.Resource]float64{"link": 10}, nil)
			small := func(at int) { h.q.enter(h.make(1, at, rate("link", 4))) }
			small(0)
			small(1)
			wanted := h.make(0, 2, claim)
			h.q.enter(wanted)
			h.collect()
			for at := 3; at < 50 && wanted.state == waiting; at++ {
				small(at)
				h.end(0)
				h.collect()
			}
			if wanted.state == waiting {
				t.Error("it never started")
			}
		})
	}
}

// TestQueueFillsARunWithSmallOnes holds what a run on its own gains: a small one
// goes before a big one that does not fit yet.
func TestQueueFillsARunWithSmallOnes(t *testing.T) {
	h := newHall(map[schedule.Resource]float64{"link": 10})
	h.q.enter(h.make(0, 0, rate("link", 6)), h.make(0, 1, rate("link", 6)), h.make(0, 2, rate("link", 4)))
	if got := names(h.collect()); !slices.Equal(got, []string{"0", "2"}) {
		t.Errorf("%v started, want 0 and 2", got)
	}
}

func TestQueueTakesTheSmallestCapacity(t *testing.T) {
	h := newHall(map[schedule.Resource]float64{"link": 100}, map[schedule.Resource]float64{"link": 10}, nil)
	h.q.enter(h.make(0, 0, rate("link", 60)), h.make(2, 1, rate("link", 1)))
	if got := names(h.collect()); !slices.Equal(got, []string{"0"}) {
		t.Errorf("%v started, want 0 with all of the link", got)
	}
	if got := h.q.obstacle(h.all[1]); got != "link was in use by 0 of run 0" {
		t.Errorf("what is in the way: %q", got)
	}
	h.q.leave(h.runs[1])
	if got := names(h.collect()); !slices.Equal(got, []string{"1"}) {
		t.Errorf("%v started, want 1 because the link is larger now", got)
	}
	if r := h.q.impossible(h.make(0, 0, rate("link", 101))); r != "link" {
		t.Errorf("%q is in the way of more than there is", r)
	}
	if r := h.q.impossible(h.make(2, 0, rate("link", 101))); r != "" {
		t.Errorf("%q is in the way of one whose run declares nothing", r)
	}
}

// TestQueueFollowsTheBounds changes what the controller bounds while sessions wait.
func TestQueueFollowsTheBounds(t *testing.T) {
	h := newHall(nil)
	h.q.declare(h.q.bounds, map[schedule.Resource]float64{"slots": 1})
	for i := range 4 {
		h.q.enter(h.make(0, i, rate("slots", 1)))
	}
	for i, bound := range []float64{1, 3, 0} {
		h.q.declare(h.q.bounds, map[schedule.Resource]float64{"slots": bound})
		if h.collect(); len(h.running) != []int{1, 3, 4}[i] {
			t.Errorf("%d run with a bound of %g", len(h.running), bound)
		}
	}
}

// TestQueueHoldsWhatRunsAlready takes claims outside the order.
func TestQueueHoldsWhatRunsAlready(t *testing.T) {
	h := newHall(nil, nil)
	left := h.make(0, 5, alone("link"))
	if err := h.q.hold(left); err != nil {
		t.Fatal(err)
	}
	early := h.make(1, 0, alone("link"))
	h.q.enter(early)
	if got := h.collect(); len(got) != 0 {
		t.Errorf("%v started beside what is held", names(got))
	}
	h.q.release(left)
	h.q.release(left)
	if got := h.collect(); len(got) != 1 {
		t.Errorf("%v started, want the one that waited", names(got))
	}
	if err := h.q.hold(left); err == nil {
		t.Error("two hold a link exclusively")
	}
}

// BenchmarkQueue brings sessions of two runs through the queue that share agents
// and a bound on their number: the time per session must not grow with their number.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				h := newHall(nil, nil)
				h.q.declare(h.q.bounds, map[schedule.Resource]float64{"run sessions": 50})
				for run := range h.runs {
					var batch []*waiter
					for i := range n / 2 {
						batch = append(batch, h.make(run, i/100, rate("run sessions", 1),
							alone(schedule.Resource(fmt.Sprint("tx", i%100))), alone(schedule.Resource(fmt.Sprint("rx", (i/100+i)%100))),
							rate("link", float64(i%7+1))))
					}
					h.q.enter(batch...)
				}
				ended := 0
				for h.collect(); len(h.running) > 0; h.collect() {
					h.end(0)
					ended++
				}
				if ended != n {
					b.Fatalf("%d of %d ended", ended, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/session")
		})
	}
}
