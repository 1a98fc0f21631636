package schedule

import (
	"slices"
	"time"
)

// result is one schedule: a start for each item of the problem (notPlaced for
// those left out) and the items that missed their deadline.
type result struct {
	starts   []time.Duration
	refused  []Conflict
	makespan time.Duration
}

// patience is how many waiting items are tried at a freed resource after they
// did not fit it, before the rest is left to wait: small ones slip past large ones.
const patience = 32

// list is a run of the clock over a ledger: whenever claims are given back, the
// waiting items are tried in the order of their rank. Each item waits at the one
// resource that stopped it last.
type list struct {
	p       *problem
	rank    []int32        // by item; lower goes first
	waiting []queue[int32] // items by resource
	running queue[ending]
	hands   queue[stopped]
	aside   []stopped
	last    []int32 // by resource: the item that gave it back last, -1 for none
	now     time.Duration
	out     result
}

// stopped is an item and the resource that stopped it.
type stopped struct{ item, at int32 }

// ending is a running item and when it ends.
type ending struct {
	end  time.Duration
	item int32
}

// list places the items in the given order of preference.
func (p *problem) list(order []int32) result {
	l := p.newList(order)
	for _, i := range order {
		l.try(i)
	}
	l.park()
	for l.running.len() > 0 {
		l.wake(l.advance())
		l.park()
	}
	return l.out
}

func (p *problem) newList(order []int32) *list {
	l := &list{p: p, rank: make([]int32, len(p.items))}
	for k, i := range order {
		l.rank[i] = int32(k)
	}
	l.out.starts = make([]time.Duration, len(p.items))
	for i := range l.out.starts {
		l.out.starts[i] = notPlaced
	}
	better := func(a, b int32) bool { return l.rank[a] < l.rank[b] }
	l.waiting = make([]queue[int32], len(p.ledger.uses))
	l.last = make([]int32, len(p.ledger.uses))
	for r := range l.waiting {
		l.waiting[r].less = better
		l.last[r] = -1
	}
	l.hands.less = func(a, b stopped) bool { return better(a.item, b.item) }
	l.running.less = func(a, b ending) bool { return a.end < b.end || a.end == b.end && a.item < b.item }
	return l
}

// try starts an item now or puts it aside; it returns the resource that stopped
// it, -1 for none.
func (l *list) try(i int32) int32 {
	item, claims := &l.p.items[i], l.p.claims[i]
	at := l.p.ledger.blocked(claims)
	switch end := l.now + item.Duration; {
	case at >= 0:
		l.aside = append(l.aside, stopped{i, at})
	case item.Deadline > 0 && end > item.Deadline:
		l.out.refused = append(l.out.refused, l.missed(i))
	default:
		l.p.ledger.take(claims)
		l.running.push(ending{end, i})
		l.out.starts[i] = l.now
		l.out.makespan = max(l.out.makespan, end)
	}
	return at
}

// park makes the items put aside wait where they were stopped. Within one
// instant claims are only taken, so trying them again at once would be in vain.
func (l *list) park() {
	for _, s := range l.aside {
		l.waiting[s.at].push(s.item)
	}
	l.aside = l.aside[:0]
}

// advance moves the clock to the next end and gives back what ended then.
func (l *list) advance() (freed []int32) {
	l.now = l.running.items[0].end
	for l.running.len() > 0 && l.running.items[0].end == l.now {
		i := l.running.pop().item
		l.p.ledger.drop(l.p.claims[i])
		for _, c := range l.p.claims[i] {
			l.last[c.resource] = i
			freed = append(freed, c.resource)
		}
	}
	slices.Sort(freed)
	return slices.Compact(freed)
}

// wake tries the items that wait at the freed resources, best rank first. One
// item per resource is at hand at a time, so that a thousand waiting for one
// link cost a try only when the link has room.
func (l *list) wake(freed []int32) {
	next := func(at int32) {
		if l.waiting[at].len() > 0 && !l.p.ledger.uses[at].exclusive {
			l.hands.push(stopped{l.waiting[at].pop(), at})
		}
	}
	for _, at := range freed {
		next(at)
	}
	misses := map[int32]int{}
	for l.hands.len() > 0 {
		hand := l.hands.pop()
		if l.try(hand.item) == hand.at {
			misses[hand.at]++
		}
		if misses[hand.at] < patience {
			next(hand.at)
		}
	}
}

// missed explains why an item that could start now is too late: who of those in
// its way gave back last.
func (l *list) missed(i int32) Conflict {
	item := &l.p.items[i]
	conflict := Conflict{Item: item.ID, Deadline: item.Deadline}
	latest := notPlaced
	for _, mine := range l.p.claims[i] {
		j := l.last[mine.resource]
		if j < 0 || l.out.starts[j]+l.p.items[j].Duration <= latest {
			continue
		}
		u := l.p.ledger.uses[mine.resource]
		for _, theirs := range l.p.claims[j] {
			if theirs.resource != mine.resource || !mine.exclusive && !theirs.exclusive && u.capacity <= 0 {
				continue
			}
			latest = l.out.starts[j] + l.p.items[j].Duration
			conflict.Blocker, conflict.Resource = l.p.items[j].ID, l.p.ledger.names[mine.resource]
			conflict.Exclusive = mine.exclusive || theirs.exclusive
			conflict.Wanted, conflict.Used, conflict.Capacity = mine.rate, theirs.rate, u.capacity
		}
	}
	return conflict
}
