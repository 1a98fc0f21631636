package plan

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/quantity"
)

// checkKinds finds sessions that an agent has no engine for, and endpoints that
// a kind cannot measure.
func (b *builder) checkKinds() {
	for _, t := range b.tests {
		lacking := map[string]bool{}
		endpoints, agents := map[string]bool{}, map[string]bool{} // that it cannot measure
		answering := t.spec.Endpoints != nil && len(t.spec.Endpoints(t.Profile.Params)) > 0
		for _, s := range t.selected {
			switch {
			case s.Path.Endpoint && !answering:
				endpoints[s.Path.Dest] = true
			case !s.Path.Endpoint && !t.spec.Agents:
				agents[s.Path.Key()] = true
			}
			for _, m := range b.ends(s.Path) {
				if m.Kinds != nil && !slices.Contains(m.Kinds, t.spec.Kind) {
					lacking[string(m.Name)] = true
				}
			}
		}
		if len(lacking) > 0 {
			b.fault(diag.Error, "Kind not supported by an agent", fmt.Sprintf("%s is of kind %s, which these agents cannot run: %s. "+
				"Update netp there, or leave them out of its paths.", t.Addr, t.spec.Kind, list(sorted(lacking))), t.Addr, &t.Range)
		}
		if len(endpoints) > 0 {
			b.fault(diag.Error, "Kind needs an agent at both ends", fmt.Sprintf("%s is of kind %s, which with these parameters of %s needs an agent to answer. It cannot measure %s.",
				t.Addr, t.spec.Kind, t.Profile.Addr, list(sorted(endpoints))), t.Addr, &t.Range)
		}
		if len(agents) > 0 {
			b.fault(diag.Error, "Kind needs an endpoint", fmt.Sprintf("%s is of kind %s, which measures endpoints, not agents: %s.",
				t.Addr, t.spec.Kind, list(sorted(agents))), t.Addr, &t.Range)
		}
	}
}

// checkLimits compares what sessions ask of an agent with the agent's own limits.
func (b *builder) checkLimits() {
	perDay := map[netp.AgentID]float64{}
	for _, t := range b.tests {
		told := map[netp.AgentID]bool{}
		for _, s := range t.selected {
			for i, m := range b.ends(s.Path) {
				sends := t.demand.Forward
				if i == 1 {
					sends = t.demand.Reverse
				}
				perDay[m.Name] += float64(sends.Bytes) * t.turns.perDay
				if !told[m.Name] {
					told[m.Name] = b.checkLimit(t, m, sends)
				}
			}
		}
	}
	for _, m := range b.fleet.members {
		if limit := float64(m.Limits.BytesPerDay); limit > 0 && perDay[m.Name] > limit {
			b.fault(diag.Error, "Agent limit exceeded", fmt.Sprintf("The tests would make %s send %s a day; the agent itself allows %s. "+
				"Run them less often, or have the agent's owner raise its limit.", m.Name, quantity.Format(perDay[m.Name], "B"), quantity.Format(limit, "B")), "agent."+string(m.Name), nil)
		}
	}
}

// checkLimit checks one session's rate and duration; it reports whether it found something.
func (b *builder) checkLimit(t *draft, m *member, sends netp.Load) bool {
	over := func(what, asked, limit string) {
		b.fault(diag.Error, "Agent limit exceeded", fmt.Sprintf("%s asks %s for %s of %s; the agent itself allows %s per session. "+
			"Lower it in %s, or have the agent's owner raise its limit.", t.Addr, m.Name, what, asked, limit, t.Profile.Addr), t.Addr, &t.Range)
	}
	found := false
	if limit := m.Limits.Rate; limit > 0 && sends.Rate > limit {
		over("a rate", quantity.Format(sends.Rate, "bit/s"), quantity.Format(limit, "bit/s"))
		found = true
	}
	if limit := m.Limits.Rate; limit > 0 && sends.Exclusive && sends.Rate == 0 {
		b.fault(diag.Warning, "Agent limit bounds the measurement", fmt.Sprintf("%s seeks the capacity of its paths, but %s itself sends at most %s per session. "+
			"The result would be that limit at best.", t.Addr, m.Name, quantity.Format(limit, "bit/s")), t.Addr, &t.Range)
		found = true
	}
	if limit := m.Limits.Duration; limit > 0 && t.demand.Duration > limit {
		over("a duration", quantity.Duration(t.demand.Duration), quantity.Duration(limit))
		found = true
	}
	return found
}

// longest is how long a run may take at most. Beyond it nobody waits, and far
// beyond it times no longer fit their type.
const longest = 366 * 24 * time.Hour

// checkLength says when sessions would occupy the busiest resource for longer than
// that, one after the other.
func (b *builder) checkLength() {
	busy := map[schedule.Resource]float64{}
	for _, t := range b.tests {
		for _, s := range t.selected {
			for _, c := range s.Claims {
				busy[c.Resource] += s.Slot.Seconds() * b.share(c)
			}
		}
	}
	if r := busiest(busy); busy[r] > longest.Seconds() {
		b.fault(diag.Error, "Schedule too long", fmt.Sprintf("The sessions would occupy %s for %s days, one after the other; a run takes at most %s. "+
			"Shorten them, or put fewer paths on it.", r, count(math.Ceil(busy[r]/86400)), count(longest.Hours()/24)), "", nil)
	}
}

// busiest is the resource that has most of something, the first by name of several,
// "" of none.
func busiest(busy map[schedule.Resource]float64) schedule.Resource {
	var most schedule.Resource
	for _, r := range sorted(busy) {
		if busy[r] > busy[most] {
			most = r
		}
	}
	return most
}

// share is the part of a resource that a claim takes: 1 when it is exclusive.
func (b *builder) share(c schedule.Claim) float64 {
	switch capacity := b.capacities[c.Resource]; {
	case c.Exclusive:
		return 1
	case capacity > 0:
		return c.Rate / capacity
	}
	return 0
}
