package standing

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
)

// layout places the sessions of standing tests within their turns so that those
// that want something for themselves keep out of each other's way and out of that
// of the others, turn after turn, over all suites. It is a plan, no guard: tests
// whose periods do not fit each other meet from time to time, and then the
// runner's ledger has one of them wait.
type layout struct {
	alone, shared bookings
}

func newLayout() layout { return layout{bookings{}, bookings{}} }

// bookings are the times that are taken, by resource.
type bookings map[schedule.Resource][]booking

// booking is a time that a session takes again and again on one resource.
type booking struct {
	suite          string
	phase          time.Duration // of its start, from 0 to below period
	period, length time.Duration
}

// remove takes a suite out.
func (l layout) remove(suite string) {
	for _, taken := range []bookings{l.alone, l.shared} {
		for r, list := range taken {
			list = slices.DeleteFunc(list, func(b booking) bool { return b.suite == suite })
			if taken[r] = list; len(list) == 0 {
				delete(taken, r)
			}
		}
	}
}

// series is the turns of a test, as far as the layout must know.
type series struct {
	suite         string
	period, phase time.Duration // where turns can start
	gap           time.Duration // from one turn to the next, at least
	width         time.Duration // over which low-rate sessions are spread
}

func newSeries(suite string, table timetable, shared int, from time.Time) series {
	s := series{suite: suite, gap: table.gap()}
	s.period, s.phase = table.beat(from)
	s.width = s.gap / 2
	if table.cron != nil {
		s.width = min(s.width, max(cronWidth, time.Duration(shared)*cronSpacing))
	} else {
		s.width = min(s.width, time.Duration(shared-1)*spacing)
	}
	return s
}

// How far apart the low-rate sessions of a test start on average, if half the
// time to the next turn is enough for that. Cron means a time of the day: there
// they stay together, in half a minute when they are few.
const (
	spacing     = 10 * time.Second
	cronSpacing = time.Second
	cronWidth   = 30 * time.Second
)

// placing are the turns of a test, each session with its offset to be found.
type placing struct {
	series
	sessions []plan.Session
}

// place sets the sessions' offsets: first of all that claim something alone, in
// the order in which the plan has found that they fit each other, then of the
// rest.
func (l layout) place(tests []*placing) {
	for _, t := range tests {
		first := time.Duration(-1)
		for i := range t.sessions {
			if s := &t.sessions[i]; exclusive(s) {
				if first < 0 {
					first = s.Start
				}
				s.Start = l.earliest(t, s, min(s.Start-first, t.gap-1))
				l.book(t, s)
			}
		}
	}
	for _, t := range tests {
		for i := range t.sessions {
			if s := &t.sessions[i]; !exclusive(s) {
				s.Start = l.between(t, s)
				l.book(t, s)
			}
		}
	}
}

func exclusive(s *plan.Session) bool {
	return slices.ContainsFunc(s.Claims, func(c schedule.Claim) bool { return c.Exclusive })
}

func (l layout) book(t *placing, s *plan.Session) {
	for _, c := range s.Claims {
		taken := l.shared
		if c.Exclusive {
			taken = l.alone
		}
		taken[c.Resource] = append(taken[c.Resource], booking{t.suite, (t.phase + s.Start) % t.period, t.period, s.Slot})
	}
}

// earliest is the offset for an exclusive session: the first from hint on, or else
// from the start of the turn on, where it disturbs nobody, or at least no other
// exclusive one.
func (l layout) earliest(t *placing, s *plan.Session, hint time.Duration) time.Duration {
	for _, heedShared := range []bool{true, false} {
		if at, ok := l.free(t, s, hint, t.gap-1, heedShared); ok {
			return at
		}
		if at, ok := l.free(t, s, 0, hint, heedShared); ok {
			return at
		}
	}
	return hint
}

// draws is how many places are tried for a low-rate session before it takes the
// next that is free: whole crowds would else start as soon as an exclusive one ends.
const draws = 16

// between is the offset for a session that claims nothing alone: anywhere in the
// width of the turn where no exclusive one is.
func (l layout) between(t *placing, s *plan.Session) time.Duration {
	for i := range draws {
		at := spread(t.width, t.suite, s.Addr, strconv.Itoa(i))
		if l.blocked(t, s, at, false) == 0 {
			return at
		}
	}
	first := spread(t.width, t.suite, s.Addr, "0")
	if at, ok := l.free(t, s, first, t.gap-1, false); ok {
		return at
	}
	return first
}

// free is the first offset from from to latest at which nothing is in the way.
func (l layout) free(t *placing, s *plan.Session, from, latest time.Duration, heedShared bool) (time.Duration, bool) {
	for at := from; at <= latest; {
		wait := l.blocked(t, s, at, heedShared)
		if wait == 0 {
			return at, true
		}
		at += wait
	}
	return 0, false
}

// blocked is how long a session must be put off from an offset to get past the
// exclusive ones in its way there and, if they are heeded, past those that are in
// the way of what it claims alone; 0 when nothing is.
func (l layout) blocked(t *placing, s *plan.Session, at time.Duration, heedShared bool) time.Duration {
	var wait time.Duration
	for _, c := range s.Claims {
		wait = max(wait, t.past(l.alone[c.Resource], s, at))
		if heedShared && c.Exclusive {
			wait = max(wait, t.past(l.shared[c.Resource], s, at))
		}
	}
	return wait
}

// past is how long it takes to get past bookings. What is always in the way,
// because two periods share too short a time, does not count.
func (t *placing) past(list []booking, s *plan.Session, at time.Duration) time.Duration {
	var wait time.Duration
	for _, b := range list {
		common := divisor(t.period, b.period)
		if s.Slot+b.length > common {
			continue
		}
		after := (t.phase + at - b.phase) % common // since the other's last possible start
		if after < 0 {
			after += common
		}
		switch {
		case after < b.length:
			wait = max(wait, b.length-after)
		case after > common-s.Slot:
			wait = max(wait, common-after+b.length)
		}
	}
	return wait
}

// divisor is the greatest common divisor of two periods.
func divisor(a, b time.Duration) time.Duration {
	if a == b {
		return a
	}
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// byStart orders sessions by offset, then address.
func byStart(a, b plan.Session) int {
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Addr, b.Addr))
}
