package schedule

// Ledger keeps who holds which claims now, and is the home of the rule of what
// may overlap: an exclusive claim tolerates no other claim on its resource, and
// the rates of the others stay within its capacity. It is not safe for
// concurrent use.
type Ledger struct {
	index map[Resource]int32
	names []Resource
	uses  []use
	held  map[string][]claim
	// capacity of resources not seen yet
	capacity map[Resource]float64
}

// use is the state of one resource.
type use struct {
	capacity  float64 // 0: no bound
	rate      float64 // taken, of all shared claims
	shared    int     // number of shared claims
	exclusive bool
	holders   map[string]bool // who, as far as TryAcquire was told
	named     string          // one of holders, kept so that conflicts name the same one
}

// claim is a Claim with its resource as an index into uses.
type claim struct {
	resource  int32
	exclusive bool
	rate      float64
}

// roundingSlack is how far the sum of rates may exceed a capacity: float error, not traffic.
const roundingSlack = 1e-9

// NewLedger returns a ledger with nothing held.
func NewLedger(capacity map[Resource]float64) *Ledger {
	return &Ledger{index: map[Resource]int32{}, held: map[string][]claim{}, capacity: capacity}
}

// TryAcquire takes all claims of the item or none, under the item's ID. When it
// takes none, the conflict names a resource and an item in the way. An ID that
// is held already is not acquired again.
func (l *Ledger) TryAcquire(item Item) (Conflict, bool) {
	if _, ok := l.held[item.ID]; ok {
		return Conflict{Item: item.ID, Blocker: item.ID}, false
	}
	if c, ok := l.Fits(item); !ok {
		return c, false
	}
	claims := l.intern(item.Claims)
	l.take(claims)
	l.held[item.ID] = claims
	for _, c := range claims {
		u := &l.uses[c.resource]
		if u.holders == nil {
			u.holders = map[string]bool{}
		}
		u.holders[item.ID] = true
	}
	return Conflict{}, true
}

// Fits is TryAcquire without taking anything.
func (l *Ledger) Fits(item Item) (Conflict, bool) {
	claims := l.intern(item.Claims)
	if c, ok := l.possible(Item{ID: item.ID}, claims); !ok {
		return c, false
	}
	if at := l.blocked(claims); at >= 0 {
		return l.conflict(item, claims, at), false
	}
	return Conflict{}, true
}

// SetCapacity changes the capacity of a resource, 0 for no bound. What is held
// stays held, also beyond a new capacity.
func (l *Ledger) SetCapacity(r Resource, capacity float64) {
	l.uses[l.resource(r)].capacity = capacity
}

// Release gives back what was acquired under the ID; an unknown ID is ignored.
func (l *Ledger) Release(id string) {
	claims := l.held[id]
	delete(l.held, id)
	l.drop(claims)
	for _, c := range claims {
		u := &l.uses[c.resource]
		delete(u.holders, id)
		if u.named == id {
			u.named = ""
		}
	}
}

// Held is the number of items that hold claims.
func (l *Ledger) Held() int { return len(l.held) }

// intern turns claims into indices; claims on the same resource become one.
func (l *Ledger) intern(claims []Claim) []claim {
	out := make([]claim, 0, len(claims))
next:
	for _, c := range claims {
		r := l.resource(c.Resource)
		for k := range out {
			if out[k].resource == r {
				out[k].exclusive = out[k].exclusive || c.Exclusive
				out[k].rate += c.Rate
				continue next
			}
		}
		out = append(out, claim{r, c.Exclusive, c.Rate})
	}
	return out
}

func (l *Ledger) resource(name Resource) int32 {
	if r, ok := l.index[name]; ok {
		return r
	}
	r := int32(len(l.uses))
	l.index[name] = r
	l.names = append(l.names, name)
	l.uses = append(l.uses, use{capacity: l.capacity[name]})
	return r
}

// possible reports whether the item could be placed on an empty ledger.
func (l *Ledger) possible(item Item, claims []claim) (Conflict, bool) {
	if item.Deadline > 0 && item.Duration > item.Deadline {
		return Conflict{Item: item.ID, Deadline: item.Deadline}, false
	}
	for _, c := range claims {
		if u := (use{capacity: l.uses[c.resource].capacity}); !u.admits(c) {
			return Conflict{Item: item.ID, Resource: l.names[c.resource], Wanted: c.rate, Capacity: u.capacity}, false
		}
	}
	return Conflict{}, true
}

// admits is the rule.
func (u *use) admits(c claim) bool {
	if u.exclusive || c.exclusive && u.shared > 0 {
		return false
	}
	return c.exclusive || u.capacity <= 0 || u.rate+c.rate <= u.capacity*(1+roundingSlack)
}

// blocked returns the first resource that does not admit its claim, -1 for none.
func (l *Ledger) blocked(claims []claim) int32 {
	for _, c := range claims {
		if !l.uses[c.resource].admits(c) {
			return c.resource
		}
	}
	return -1
}

func (l *Ledger) take(claims []claim) {
	for _, c := range claims {
		u := &l.uses[c.resource]
		if c.exclusive {
			u.exclusive = true
			continue
		}
		u.shared++
		u.rate += c.rate
	}
}

func (l *Ledger) drop(claims []claim) {
	for _, c := range claims {
		u := &l.uses[c.resource]
		if c.exclusive {
			u.exclusive = false
			continue
		}
		u.shared--
		if u.rate -= c.rate; u.shared == 0 {
			u.rate = 0 // no rounding error outlives the claims that made it
		}
	}
}

// conflict describes why the claims do not fit at a resource.
func (l *Ledger) conflict(item Item, claims []claim, at int32) Conflict {
	u := &l.uses[at]
	if u.named == "" {
		for id := range u.holders {
			if u.named == "" || id < u.named {
				u.named = id
			}
		}
	}
	c := Conflict{Item: item.ID, Resource: l.names[at], Blocker: u.named, Deadline: item.Deadline,
		Exclusive: u.exclusive, Used: u.rate, Capacity: u.capacity}
	for _, mine := range claims {
		if mine.resource == at {
			c.Exclusive = c.Exclusive || mine.exclusive
			c.Wanted = mine.rate
		}
	}
	return c
}
