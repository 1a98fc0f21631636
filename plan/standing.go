package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/cron"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/quantity"
)

// Standing is the schedule of a test that repeats. Each repetition is a turn, in
// which every session of the test runs once.
type Standing struct {
	Every    time.Duration `json:"every,omitempty"`
	Cron     string        `json:"cron,omitempty"`
	TimeZone string        `json:"time_zone,omitempty"` // "" for UTC
	// Slip is as written, 0 when it is not: see Late.
	Slip time.Duration `json:"slip,omitempty"`
}

// String is the schedule as people read it: "every 5m", `cron "0 2 * * *" UTC`.
func (s Standing) String() string {
	text := "every " + compact(s.Every)
	if s.Every <= 0 {
		text = fmt.Sprintf("cron %q", s.Cron)
	}
	if s.TimeZone != "" {
		text += " " + s.TimeZone
	}
	return text
}

// How late a session may begin unless the test says so itself.
const (
	DefaultSlip     = time.Hour        // of a test that repeats every so often: its period, but at most this
	DefaultCronSlip = 10 * time.Minute // by cron: somebody means that time of the day
)

// Late is how long after its planned start a session may still begin; later it is
// missed. It is above 0 and, for a test with a period, at most that.
func (s Standing) Late() time.Duration {
	switch {
	case s.Slip > 0:
		return s.Slip
	case s.Every > 0:
		return min(s.Every, DefaultSlip)
	}
	return DefaultCronSlip
}

// Turns gives a plan for each standing test, in the order of Tests: what one turn
// of it does. They have the hash of the whole, so that records name the plan that
// was applied, and neither changes nor cost. Their sessions share memory with it.
func (p *Plan) Turns() []*Plan {
	byTest := map[string]*Plan{}
	var turns []*Plan
	for i, t := range p.Tests {
		if t.Standing == nil {
			continue
		}
		turn := &Plan{
			FormatVersion: p.FormatVersion, NetpVersion: p.NetpVersion, Created: p.Created, Suite: p.Suite,
			Lineage: p.Lineage, Serial: p.Serial, Hash: p.Hash, Sinks: p.Sinks,
			Tests: p.Tests[i : i+1 : i+1], Changes: []Change{}, Capacities: map[schedule.Resource]float64{},
		}
		turns, byTest[t.Addr] = append(turns, turn), turn
	}
	for _, s := range p.Sessions {
		if turn := byTest[s.Test]; turn != nil {
			turn.Sessions = append(turn.Sessions, s)
		}
	}
	for _, turn := range turns {
		turn.only(p)
	}
	return turns
}

// only takes of the whole what the turn's sessions need.
func (p *Plan) only(whole *Plan) {
	used, links := map[netp.AgentID]bool{}, map[string]bool{}
	for _, s := range p.Sessions {
		used[s.Path.Source] = true
		if !s.Path.Endpoint {
			used[netp.AgentID(s.Path.Dest)] = true
		}
		for _, l := range s.Path.Links {
			links[l] = true
		}
		for _, c := range s.Claims {
			if capacity := whole.Capacities[c.Resource]; capacity > 0 {
				p.Capacities[c.Resource] = capacity
			}
		}
		p.Makespan = max(p.Makespan, s.Start+s.Slot)
	}
	for _, a := range whole.Agents {
		if used[a.Name] {
			p.Agents = append(p.Agents, a)
		}
	}
	for _, l := range whole.Links {
		if links[l.Addr] {
			p.Links = append(p.Links, l)
		}
	}
}

// rhythm is how often a test runs.
type rhythm struct {
	gap    time.Duration // the shortest between two turns; 0 when it runs once
	perDay float64       // turns in a day that has any; 1 when it runs once
}

// standing reports whether a test repeats.
func (t *draft) standing() bool { return t.Every > 0 || t.Cron != "" }

func (t *draft) schedule() *Standing {
	return &Standing{Every: t.Every, Cron: t.Cron, TimeZone: t.TimeZone, Slip: t.Slip}
}

func rhythmOf(t *lang.Test) rhythm {
	if t.Every > 0 {
		return rhythm{t.Every, (24 * time.Hour).Seconds() / t.Every.Seconds()}
	}
	if s, err := cron.Parse(t.Cron, ""); err == nil { // the loader has refused what is none
		return rhythm{s.Gap(), float64(s.PerDay())}
	}
	return rhythm{perDay: 1}
}

// checkTurns finds standing tests of which a session takes longer than it is to
// the next turn.
func (b *builder) checkTurns() {
	for _, t := range b.tests {
		var longest time.Duration
		for _, s := range t.selected {
			longest = max(longest, s.Slot)
		}
		if gap := t.turns.gap; gap > 0 && longest > gap {
			b.fault(diag.Error, "Session longer than its period", fmt.Sprintf("A session of %s takes %s, setting up and collecting included, and its next turn comes after %s already. "+
				"Run it less often, or shorten %s.", t.Addr, quantity.Duration(longest), quantity.Duration(gap), t.Profile.Addr), t.Addr, &t.Range)
		}
	}
}

// checkPeriods finds standing tests that ask more of a resource than there is
// time, alone from one turn to the next or together over a day: whatever the
// order, some of their sessions would be missed.
func (b *builder) checkPeriods() {
	together := map[schedule.Resource]float64{}
	tests := map[schedule.Resource][]string{}
	for _, t := range b.tests {
		if !t.standing() {
			continue
		}
		turn := map[schedule.Resource]float64{} // [s]
		for _, s := range t.selected {
			for _, c := range s.Claims {
				turn[c.Resource] += s.Slot.Seconds() * b.share(c)
			}
		}
		alone := map[schedule.Resource]float64{}
		for r, busy := range turn {
			if busy <= 0 {
				continue
			}
			together[r] += busy * t.turns.perDay / (24 * time.Hour).Seconds()
			tests[r] = append(tests[r], t.Addr)
			if t.Cron != "" {
				alone[r] = busy / t.turns.gap.Seconds()
			}
		}
		b.overload([]string{t.Addr}, alone)
	}
	by := map[string]map[schedule.Resource]float64{} // the tests that claim them
	for r, times := range together {
		key := strings.Join(tests[r], " ")
		if by[key] == nil {
			by[key] = map[schedule.Resource]float64{}
		}
		by[key][r] = times
	}
	for _, key := range sorted(by) {
		b.overload(tests[busiest(by[key])], by[key])
	}
}

// overload warns when tests claim one of their places for more than once the time
// there is.
func (b *builder) overload(tests []string, times map[schedule.Resource]float64) {
	r := busiest(times)
	if times[r] <= 1 {
		return
	}
	b.fault(diag.Warning, "Schedule cannot be kept", fmt.Sprintf("%s claim %s for %.3g times as long as there is time, so sessions would be missed. "+
		"Run them less often, shorten them, or put fewer paths on it.", list(tests), r, times[r]), tests[0], &b.test(tests[0]).Range)
}

// PlaceShare is what standing tests take of one interface direction or link, on
// average over a day on which all of them run.
type PlaceShare struct {
	Place schedule.Resource `json:"place"`
	// Alone is the share of the time for which a session has the place for itself.
	Alone float64 `json:"alone,omitempty"`
	Rate  float64 `json:"rate"` // [bit/s], all sessions
}

// share adds a session of a standing test to what its place bears.
func (c *costing) share(p *place, r schedule.Resource, s Session, l netp.Load, alone bool) {
	perDay := c.perDay[s.Test]
	if perDay == 0 {
		return
	}
	if p.share == nil {
		p.share = &PlaceShare{Place: r}
	}
	const day = 86400
	p.share.Rate += float64(l.Bytes) * 8 * perDay / day
	if alone {
		p.share.Alone += s.Slot.Seconds() * perDay / day
	}
}

func (c *costing) standing() []PlaceShare {
	var out []PlaceShare
	for _, p := range c.places {
		if p.share != nil {
			out = append(out, *p.share)
		}
	}
	slices.SortFunc(out, func(x, y PlaceShare) int {
		return cmp.Or(cmp.Compare(y.Alone, x.Alone), cmp.Compare(y.Rate, x.Rate), cmp.Compare(x.Place, y.Place))
	})
	return out
}
