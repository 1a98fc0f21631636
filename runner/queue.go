package runner

import (
	"cmp"
	"math"
	"slices"

	"github.com/netpupper/netp/plan/schedule"
)

// queue decides which sessions may start. They stand in the order of the plan,
// and each starts as soon as all its claims are free, however early, unless that
// takes something an earlier one is waiting for: an exclusive claim holds its
// resource for itself as soon as it is the first in line, so that none starves. A
// rate that does not fit yet holds nothing: smaller ones go first.
//
// It is not safe for concurrent use.
type queue struct {
	ledger  *schedule.Ledger
	items   []schedule.Item // in order
	waiting []bool
	left    int // of waiting
	lines   map[schedule.Resource]*line
	freed   map[schedule.Resource]bool // since the last take
}

// line is who waits for one resource, in order. Those who no longer wait are
// dropped when the line is walked.
type line struct {
	all       []int
	exclusive []int
}

func newQueue(items []schedule.Item, capacity map[schedule.Resource]float64) *queue {
	q := &queue{
		ledger:  schedule.NewLedger(capacity),
		items:   items,
		waiting: make([]bool, len(items)),
		left:    len(items),
		lines:   make(map[schedule.Resource]*line),
		freed:   make(map[schedule.Resource]bool),
	}
	for i, item := range items {
		q.waiting[i] = true
		for _, c := range item.Claims {
			l := q.lines[c.Resource]
			if l == nil {
				l = new(line)
				q.lines[c.Resource] = l
			}
			l.all = append(l.all, i)
			if c.Exclusive {
				l.exclusive = append(l.exclusive, i)
			}
		}
	}
	return q
}

// takeAll is take for the start of a run: nothing is held, everybody is looked at.
func (q *queue) takeAll() []int {
	var started []int
	for i := range q.items {
		if _, ok := q.try(i); ok {
			started = append(started, i)
		}
	}
	return started
}

// take starts whom the resources freed since the last call let start, and gives
// their indices in order.
func (q *queue) take() []int {
	resources := make([]schedule.Resource, 0, len(q.freed))
	for r := range q.freed {
		resources = append(resources, r)
	}
	clear(q.freed)
	slices.Sort(resources)
	var started []int
	for _, r := range resources {
		started = append(started, q.walk(r)...)
	}
	slices.SortFunc(started, cmp.Compare[int])
	return started
}

// walk goes along the line of a resource, past those who wait for something else,
// until the resource is taken as a whole or promised to one who will.
func (q *queue) walk(r schedule.Resource) []int {
	l := q.lines[r]
	l.all = slices.DeleteFunc(l.all, func(i int) bool { return !q.waiting[i] })
	var started []int
	tooMuch := math.Inf(1) // a rate for which there is no room
	for _, i := range l.all {
		c := claimOn(q.items[i], r)
		if !c.Exclusive && c.Rate >= tooMuch {
			continue
		}
		in, ok := q.try(i)
		if ok {
			started = append(started, i)
		}
		switch {
		case c.Exclusive && (ok || in.Resource == r):
			return started
		case in.Resource == r:
			tooMuch = c.Rate
		}
	}
	return started
}

// claimOn is what an item claims of a resource, all its claims on it together.
func claimOn(item schedule.Item, r schedule.Resource) schedule.Claim {
	sum := schedule.Claim{Resource: r}
	for _, c := range item.Claims {
		if c.Resource == r {
			sum.Exclusive = sum.Exclusive || c.Exclusive
			sum.Rate += c.Rate
		}
	}
	return sum
}

// try starts one if it may. If not it says which resource is in the way, "" when
// an earlier one is.
func (q *queue) try(i int) (schedule.Conflict, bool) {
	if !q.waiting[i] || !q.first(i) {
		return schedule.Conflict{}, false
	}
	conflict, ok := q.ledger.TryAcquire(q.items[i])
	if ok {
		q.waiting[i] = false
		q.left--
	}
	return conflict, ok
}

// first says whether nobody earlier in any of its lines must be let past.
func (q *queue) first(i int) bool {
	for _, c := range q.items[i].Claims {
		l := q.lines[c.Resource]
		if c.Exclusive && q.head(&l.all) < i || q.head(&l.exclusive) < i {
			return false
		}
	}
	return true
}

// head is the first that still waits; a number beyond all when none does.
func (q *queue) head(list *[]int) int {
	for len(*list) > 0 && !q.waiting[(*list)[0]] {
		*list = (*list)[1:]
	}
	if len(*list) == 0 {
		return len(q.items)
	}
	return (*list)[0]
}

// release gives back what a session held that has ended.
func (q *queue) release(i int) {
	q.ledger.Release(q.items[i].ID)
	q.free(i)
}

// drop takes one out that will never start. It says false when it has started.
func (q *queue) drop(i int) bool {
	if !q.waiting[i] {
		return false
	}
	q.waiting[i] = false
	q.left--
	q.free(i)
	return true
}

func (q *queue) free(i int) {
	for _, c := range q.items[i].Claims {
		q.freed[c.Resource] = true
	}
}

// obstacle says what one that waits is waiting for.
func (q *queue) obstacle(i int) schedule.Conflict {
	conflict, ok := q.ledger.TryAcquire(q.items[i])
	if ok { // an earlier one that waits is in its way, not a claim that is held
		q.ledger.Release(q.items[i].ID)
	}
	return conflict
}
