package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan/schedule"
)

// assumedRate is what a session that seeks the capacity is taken to reach where
// no capacity is declared [bit/s].
const assumedRate = 1e9

// traffic is one session's load on one place while it runs.
type traffic struct {
	from, to time.Duration
	rate     float64
}

// costing sums up what the sessions put on each place.
type costing struct {
	b      *builder
	cost   Cost
	places map[schedule.Resource]*place
	paths  map[string]uint64
	// perDay is how often a session of a standing test runs in a day, by test.
	perDay map[string]float64
}

// place is what all sessions together put on an interface direction or link.
type place struct {
	bytes   uint64
	traffic []traffic
	share   *PlaceShare // nil without standing tests
}

// cost says what the plan takes from the network when each session runs once.
func (b *builder) cost(p *Plan) Cost {
	c := costing{b: b, places: map[schedule.Resource]*place{}, paths: map[string]uint64{}, perDay: map[string]float64{}}
	for _, t := range b.tests {
		if t.standing() {
			c.perDay[t.Addr] = t.turns.perDay
		}
	}
	demands := map[string]netp.Demand{}
	for _, t := range p.Tests {
		demands[t.Addr] = t.Demand
	}
	for _, s := range p.Sessions {
		c.add(s, demands[s.Test])
	}
	c.cost.Places, c.cost.Paths = []PlaceCost{}, []PathCost{}
	for r, p := range c.places {
		if p.traffic == nil {
			continue
		}
		c.cost.Places = append(c.cost.Places, PlaceCost{Place: r, Bytes: p.bytes, PeakRate: peak(p.traffic), Capacity: b.capacities[r]})
	}
	slices.SortFunc(c.cost.Places, func(x, y PlaceCost) int {
		return cmp.Or(cmp.Compare(y.Bytes, x.Bytes), cmp.Compare(y.PeakRate, x.PeakRate), cmp.Compare(x.Place, y.Place))
	})
	for _, path := range sorted(c.paths) {
		c.cost.Paths = append(c.cost.Paths, PathCost{Path: path, Bytes: c.paths[path]})
	}
	c.cost.Standing = c.standing()
	return c.cost
}

func (c *costing) add(s Session, d netp.Demand) {
	reach, assumed := c.reach(s)
	forward := c.direction(d.Forward, d.Duration, reach, assumed)
	reverse := c.direction(d.Reverse, d.Duration, reach, assumed)
	c.put(c.b.side(s.Path, true, "tx"), s, d, forward)
	c.put(c.b.side(s.Path, false, "rx"), s, d, forward)
	c.put(c.b.side(s.Path, false, "tx"), s, d, reverse)
	c.put(c.b.side(s.Path, true, "rx"), s, d, reverse)
	both := netp.Load{Bytes: forward.Bytes + reverse.Bytes, Rate: max(forward.Rate, reverse.Rate)} // the rate as in claims
	for _, l := range s.Path.Links {
		c.put(c.b.link(l), s, d, both)
	}
	c.paths[s.Path.Addr] += both.Bytes
	c.cost.Bytes += both.Bytes
}

// reach is the rate that only the path bounds: the smallest capacity declared on it.
func (c *costing) reach(s Session) (rate float64, assumed bool) {
	crossed := []schedule.Resource{c.b.side(s.Path, true, "tx"), c.b.side(s.Path, false, "rx")} // the way back carries as much
	for _, l := range s.Path.Links {
		crossed = append(crossed, c.b.link(l))
	}
	for _, r := range crossed {
		if capacity := c.b.capacities[r]; capacity > 0 && (rate == 0 || capacity < rate) {
			rate = capacity
		}
	}
	if rate == 0 {
		return assumedRate, true
	}
	return rate, false
}

// direction completes the load of a session that seeks the capacity: its rate,
// and its bytes when nothing else bounds them.
func (c *costing) direction(l netp.Load, d time.Duration, reach float64, assumed bool) netp.Load {
	if !l.Exclusive {
		return l
	}
	if l.Rate == 0 {
		l.Rate = reach
	}
	if l.Bytes == 0 {
		l.Bytes = uint64(l.Rate / 8 * d.Seconds())
		c.cost.Estimated = true
		if assumed {
			c.cost.AssumedRate = assumedRate
		}
	}
	return l
}

func (c *costing) put(r schedule.Resource, s Session, d netp.Demand, l netp.Load) {
	alone := slices.ContainsFunc(s.Claims, func(c schedule.Claim) bool { return c.Resource == r && c.Exclusive })
	loaded := l.Bytes > 0 || l.Rate > 0
	if !loaded && !alone || strings.HasPrefix(string(r), "endpoint.") {
		return
	}
	p := c.places[r]
	if p == nil {
		p = new(place)
		c.places[r] = p
	}
	p.bytes += l.Bytes
	c.share(p, r, s, l, alone)
	if loaded {
		p.traffic = append(p.traffic, traffic{s.Start, s.Start + d.Duration, l.Rate})
	}
}

// peak is the largest sum of rates at one time.
func peak(list []traffic) float64 {
	type change struct {
		at   time.Duration
		rate float64
	}
	changes := make([]change, 0, 2*len(list))
	for _, t := range list {
		changes = append(changes, change{t.from, t.rate}, change{t.to, -t.rate})
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.rate, b.rate)) })
	sum, most := 0.0, 0.0
	for _, c := range changes {
		sum += c.rate
		most = max(most, sum)
	}
	return most
}
