package runner

import (
	"container/heap"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/netpupper/netp/plan/schedule"
)

// queue decides which sessions may start, of all runs together. They stand in
// line for each resource they claim in the order of their planned start, and each
// starts as soon as all its claims are free, however early, unless that takes
// something an earlier one is waiting for:
//
//   - an exclusive claim holds its resource against everybody later as soon as it
//     is the first in line;
//   - a rate holds its room, when it is the first in line, against other runs. Of
//     its own run smaller ones go first when it does not fit yet: a run is finite.
//
// So nobody starves, however many runs follow each other.
//
// Who may not start is parked at one resource that is in the way, and is looked at
// again when something of that resource becomes free, not before: the work is
// proportional to what happens, not to the length of the lines.
type queue struct {
	mu      sync.Mutex // guards everything, waiters and claimants included
	ledger  *schedule.Ledger
	lines   map[schedule.Resource]*line
	freed   []*line            // since the last look
	holders map[string]*waiter // by the item's ID
	seq     int64
	// bounds declares what the runner itself bounds.
	bounds *claimant
}

// claimant is a run in the queue.
type claimant struct {
	name     string // for others: "suite backbone, run 0199c3a1"
	capacity map[schedule.Resource]float64
	wake     chan struct{} // has one when somebody was granted his claims
	granted  []*waiter     // and not collected yet
}

// line is who waits for one resource.
type line struct {
	resource schedule.Resource
	declared map[*claimant]float64 // capacities
	capacity float64               // the smallest declared, 0 for none
	freed    bool                  // it is in queue.freed
	all      ranked
	alone    ranked // those who want it for themselves
	// parked are those it is in the way of. Those who are alike are in one heap:
	// when the first of them may not have the resource, none may.
	parked map[alike]*ranked
}

// alike are sessions of one run that want the same of a resource.
type alike struct {
	of        *claimant
	exclusive bool
	rate      float64
}

func newQueue() *queue {
	q := &queue{
		ledger:  schedule.NewLedger(nil),
		lines:   make(map[schedule.Resource]*line),
		holders: make(map[string]*waiter),
	}
	q.bounds = q.join("the controller", nil)
	return q
}

// join takes in a run with the capacities it declares.
func (q *queue) join(name string, capacity map[schedule.Resource]float64) *claimant {
	c := &claimant{name: name, wake: make(chan struct{}, 1)}
	q.declare(c, capacity)
	return c
}

// leave forgets a run of which nobody waits or holds anything.
func (q *queue) leave(c *claimant) { q.declare(c, nil) }

// declare replaces the capacities that a claimant declares. Of several declared
// for one resource the smallest counts.
func (q *queue) declare(c *claimant, capacity map[schedule.Resource]float64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for r := range c.capacity {
		if capacity[r] <= 0 {
			q.line(r).declare(c, 0)
			q.adapt(q.line(r))
		}
	}
	for r, n := range capacity {
		if n != c.capacity[r] {
			q.line(r).declare(c, n)
			q.adapt(q.line(r))
		}
	}
	c.capacity = capacity
	q.serve()
}

func (l *line) declare(c *claimant, capacity float64) {
	if capacity > 0 {
		l.declared[c] = capacity
	} else {
		delete(l.declared, c)
	}
}

// adapt brings the capacity of a line up to date.
func (q *queue) adapt(l *line) {
	capacity := 0.0
	for _, n := range l.declared {
		if capacity == 0 || n < capacity {
			capacity = n
		}
	}
	if capacity == l.capacity {
		return
	}
	l.capacity = capacity
	q.ledger.SetCapacity(l.resource, capacity)
	q.free(l)
}

func (q *queue) line(r schedule.Resource) *line {
	l := q.lines[r]
	if l == nil {
		l = &line{resource: r, declared: make(map[*claimant]float64), parked: make(map[alike]*ranked)}
		q.lines[r] = l
	}
	return l
}

// enter puts sessions in line. Those who may start are granted their claims.
func (q *queue) enter(ws ...*waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	slices.SortStableFunc(ws, rank)
	for _, w := range ws {
		q.seq++
		w.seq = q.seq
		w.state = waiting
		q.resolve(w)
		for _, n := range w.needs {
			if head := n.on.all.head(); head != nil && w.before(head) {
				q.free(n.on) // it is another one now whose room is kept
			}
			n.on.all.add(w)
			if n.exclusive {
				n.on.alone.add(w)
			}
		}
	}
	for _, w := range ws {
		q.place(w)
	}
	q.serve()
}

// resolve finds the lines of a session; its claims on one resource become one.
func (q *queue) resolve(w *waiter) {
	claims := make([]schedule.Claim, 0, len(w.item.Claims))
	for _, c := range w.item.Claims {
		at := slices.IndexFunc(claims, func(have schedule.Claim) bool { return have.Resource == c.Resource })
		if at < 0 {
			claims = append(claims, c)
			continue
		}
		claims[at].Exclusive = claims[at].Exclusive || c.Exclusive
		claims[at].Rate += c.Rate
	}
	w.item.Claims = claims
	w.needs = make([]need, len(claims))
	for i, c := range claims {
		w.needs[i] = need{q.line(c.Resource), c.Exclusive, c.Rate}
	}
}

// place grants a session its claims, or parks it at what is in the way.
func (q *queue) place(w *waiter) {
	if at := q.try(w); at != nil {
		at.park(w)
	}
}

func (l *line) park(w *waiter) {
	n := w.on(l)
	key := alike{w.of, n.exclusive, n.rate}
	group := l.parked[key]
	if group == nil {
		group = new(ranked)
		l.parked[key] = group
	}
	group.add(w)
}

// try grants a session its claims if it may have them, and gives nil; else a
// line that is in the way.
func (q *queue) try(w *waiter) *line {
	if l, _ := passed(w); l != nil {
		return l
	}
	own, withOthers := q.claims(w)
	if withOthers != nil {
		if c, ok := q.ledger.Fits(schedule.Item{ID: w.item.ID, Claims: withOthers}); !ok {
			return q.lines[c.Resource]
		}
	}
	if c, ok := q.ledger.TryAcquire(schedule.Item{ID: w.item.ID, Claims: own}); !ok {
		if c.Resource == "" {
			panic("runner: session " + w.item.ID + " claims twice")
		}
		return q.lines[c.Resource]
	}
	q.grant(w)
	return nil
}

func (q *queue) grant(w *waiter) {
	w.state = holding
	q.holders[w.item.ID] = w
	w.of.granted = append(w.of.granted, w)
	select {
	case w.of.wake <- struct{}{}:
	default: // it is awake already
	}
}

// passed gives a line on which the session would pass an earlier one that must be
// let past, and that one; nil when there is none.
func passed(w *waiter) (*line, *waiter) {
	for _, n := range w.needs {
		if e := n.on.alone.head(); e != nil && e.before(w) {
			return n.on, e
		}
		if e := n.on.all.head(); n.exclusive && e != nil && e.before(w) {
			return n.on, e
		}
	}
	return nil, nil
}

// claims are what a session takes, and that together with what it must leave for
// others; nil when it is the same. A rate beyond a capacity that another run
// declares takes all of it.
func (q *queue) claims(w *waiter) (own, withOthers []schedule.Claim) {
	own = w.item.Claims
	for i, n := range w.needs {
		if n.exclusive || n.on.capacity == 0 {
			continue
		}
		if n.rate > n.on.capacity {
			if &own[0] == &w.item.Claims[0] {
				own = slices.Clone(own)
			}
			own[i].Rate = n.on.capacity
		}
		head := n.on.all.head()
		if head == nil || !head.before(w) || head.of == w.of {
			continue
		}
		if kept := min(head.on(n.on).rate, n.on.capacity); kept > 0 {
			if withOthers == nil {
				withOthers = slices.Clone(w.item.Claims)
			}
			withOthers[i].Rate = min(n.rate, n.on.capacity) + kept
		}
	}
	return own, withOthers
}

// serve looks again at those who are parked where something became free.
func (q *queue) serve() {
	freed := q.freed
	q.freed = nil
	slices.SortFunc(freed, func(a, b *line) int { return strings.Compare(string(a.resource), string(b.resource)) })
	for _, l := range freed {
		l.freed = false
		q.retry(l)
	}
}

func (q *queue) free(l *line) {
	if !l.freed {
		l.freed = true
		q.freed = append(q.freed, l)
	}
}

// retry goes through those parked at a line in their order, until the resource is
// taken as a whole or promised to one who will.
func (q *queue) retry(l *line) {
	groups := make(heads, 0, len(l.parked))
	for key, g := range l.parked {
		if g.head() == nil {
			delete(l.parked, key)
			continue
		}
		groups = append(groups, g)
	}
	heap.Init(&groups)
	for len(groups) > 0 {
		g := groups[0]
		w := heap.Pop(g).(*waiter)
		n := w.on(l)
		switch at := q.try(w); at {
		case nil:
		case l:
			g.add(w)
			heap.Pop(&groups) // nor may the others who are alike
		default:
			at.park(w)
		}
		if n.exclusive {
			return
		}
		switch {
		case len(groups) == 0 || groups[0] != g:
		case g.head() == nil:
			heap.Pop(&groups)
			delete(l.parked, alike{w.of, n.exclusive, n.rate})
		default:
			heap.Fix(&groups, 0)
		}
	}
}

// collect gives those of a run who were granted their claims since the last call,
// in their order.
func (q *queue) collect(c *claimant) []*waiter {
	q.mu.Lock()
	defer q.mu.Unlock()
	out := c.granted
	c.granted = nil
	slices.SortFunc(out, rank)
	return out
}

// release gives back what sessions hold. One that holds nothing is left alone.
func (q *queue) release(ws ...*waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, w := range ws {
		if w.state == holding {
			q.ledger.Release(w.item.ID)
			delete(q.holders, w.item.ID)
			q.out(w)
		}
	}
	q.serve()
}

// withdraw takes a session out of line; false when it waits no longer. Who waited
// behind it may start at the next settle.
func (q *queue) withdraw(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.state != waiting {
		return false
	}
	q.out(w)
	return true
}

// settle looks again at those for whom withdraw has made room.
func (q *queue) settle() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serve()
}

// out notes that a session is no longer there.
func (q *queue) out(w *waiter) {
	w.state = outside
	for _, n := range w.needs {
		q.free(n.on)
	}
}

// hold grants claims of a session outside the order: it runs already. It says what
// is in the way if that cannot be.
func (q *queue) hold(w *waiter) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.resolve(w)
	if c, ok := q.ledger.TryAcquire(w.item); !ok {
		return fmt.Errorf("%s", c)
	}
	w.state = holding
	q.holders[w.item.ID] = w
	return nil
}

// impossible gives a resource of which a session claims more than its own run or
// the controller says there is; "" for none.
func (q *queue) impossible(w *waiter) schedule.Resource {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range w.item.Claims {
		for _, by := range []*claimant{w.of, q.bounds} {
			if n := by.capacity[c.Resource]; n > 0 && !c.Exclusive && sumOf(w.item.Claims, c.Resource) > n*(1+roundingSlack) {
				return c.Resource
			}
		}
	}
	return ""
}

// roundingSlack is how far a sum of rates may exceed a capacity: float error, not traffic.
const roundingSlack = 1e-9

func sumOf(claims []schedule.Claim, r schedule.Resource) (sum float64) {
	for _, c := range claims {
		if c.Resource == r {
			sum += c.Rate
		}
	}
	return sum
}

// obstacle says what a session that waits is waiting for; "" when nothing is in
// its way, or it does not wait.
func (q *queue) obstacle(w *waiter) string {
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.state != waiting {
		return ""
	}
	if l, e := passed(w); l != nil {
		return fmt.Sprintf("%s was promised to %s, whose turn is earlier", l.resource, e.named(w.of))
	}
	own, withOthers := q.claims(w)
	if withOthers != nil {
		own = withOthers
	}
	c, ok := q.ledger.Fits(schedule.Item{ID: w.item.ID, Claims: own})
	if ok {
		return ""
	}
	if by := q.holders[c.Blocker]; by != nil {
		return fmt.Sprintf("%s was in use by %s", c.Resource, by.named(w.of))
	}
	if head := q.lines[c.Resource].all.head(); head != nil {
		return fmt.Sprintf("%s was promised to %s, whose turn is earlier", c.Resource, head.named(w.of))
	}
	return fmt.Sprintf("there is not enough of %s", c.Resource)
}

// named is a session's name as a run knows it.
func (w *waiter) named(by *claimant) string {
	if w.of == by {
		return w.name
	}
	return w.name + " of " + w.of.name
}
