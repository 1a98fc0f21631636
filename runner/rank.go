package runner

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/netpupper/netp/plan/schedule"
)

// waiter is a session as the queue sees it. What follows index is the queue's.
type waiter struct {
	of    *claimant
	name  string // for who is told what was in the way
	index int    // whatever its claimant knows it by
	item  schedule.Item
	at    int64 // planned start [Unix ns]
	seq   int64 // tells those with the same planned start apart
	needs []need
	state waiterState
}

// waiterState is where a session is on its way through the queue.
type waiterState int

const (
	outside waiterState = iota // not entered yet, or no longer
	waiting
	holding // its claims
)

// need is a claim with its line; there is one for each resource.
type need struct {
	on        *line
	exclusive bool
	rate      float64
}

// waiter makes one for a session with a planned start. The item's ID is unique
// among all sessions of all runs.
func (c *claimant) waiter(index int, name string, at time.Time, item schedule.Item) *waiter {
	return &waiter{of: c, index: index, name: name, at: at.UnixNano(), item: item}
}

// before says whether w comes before v: it is planned earlier, or was first to enter.
func (w *waiter) before(v *waiter) bool { return rank(w, v) < 0 }

func rank(a, b *waiter) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq)) }

// on is what a session needs of a line.
func (w *waiter) on(l *line) need {
	for _, n := range w.needs {
		if n.on == l {
			return n
		}
	}
	return need{}
}

// ranked is a heap of waiters, the first in rank on top. Those who no longer wait
// are dropped when they come to the top.
type ranked struct{ list []*waiter }

// head is the first who waits; nil when nobody does.
func (r *ranked) head() *waiter {
	for len(r.list) > 0 {
		if w := r.list[0]; w.state == waiting {
			return w
		}
		heap.Pop(r)
	}
	return nil
}

func (r *ranked) add(w *waiter) { heap.Push(r, w) }

// Len, Less, Swap, Push and Pop are heap.Interface.
func (r *ranked) Len() int           { return len(r.list) }
func (r *ranked) Less(i, j int) bool { return r.list[i].before(r.list[j]) }
func (r *ranked) Swap(i, j int)      { r.list[i], r.list[j] = r.list[j], r.list[i] }
func (r *ranked) Push(x any)         { r.list = append(r.list, x.(*waiter)) }
func (r *ranked) Pop() any {
	last := len(r.list) - 1
	w := r.list[last]
	r.list[last] = nil
	r.list = r.list[:last]
	return w
}

// heads is a heap of heaps that are not empty, by their heads.
type heads []*ranked

// Len, Less, Swap, Push and Pop are heap.Interface.
func (h heads) Len() int           { return len(h) }
func (h heads) Less(i, j int) bool { return h[i].list[0].before(h[j].list[0]) }
func (h heads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *heads) Push(x any)        { *h = append(*h, x.(*ranked)) }
func (h *heads) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	*h = (*h)[:last]
	return r
}
