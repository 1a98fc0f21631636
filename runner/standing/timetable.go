package standing

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/netpupper/netp/lang/cron"
	"github.com/netpupper/netp/plan"
)

// timetable says when the turns of a test start. It depends on nothing but the
// suite's name, the test's address and its schedule, so that a controller that
// starts again, or another one, comes to the same turns.
type timetable struct {
	every time.Duration // 0 with cron
	phase time.Duration // turns start at multiples of every since 1970, plus phase
	cron  *cron.Schedule
}

func newTimetable(suite, test string, s plan.Standing) (timetable, error) {
	if s.Every > 0 {
		unit := time.Millisecond
		if s.Every >= time.Minute {
			unit = time.Second
		}
		return timetable{every: s.Every, phase: spread(s.Every, suite, test).Truncate(unit)}, nil
	}
	c, err := cron.Parse(s.Cron, s.TimeZone)
	if err != nil {
		return timetable{}, fmt.Errorf("schedule of %s: %w", test, err)
	}
	return timetable{cron: c}, nil
}

// next is the first turn after a time, zero when there is none.
func (t timetable) next(after time.Time) time.Time {
	if t.cron != nil {
		return t.cron.Next(after).UTC()
	}
	return time.Unix(0, (t.number(after)+1)*int64(t.every)+int64(t.phase)).UTC()
}

// number counts the turns since 1970 up to a time.
func (t timetable) number(at time.Time) int64 {
	since := at.UnixNano() - int64(t.phase)
	n := since / int64(t.every)
	if since < 0 && since%int64(t.every) != 0 {
		n--
	}
	return n
}

// gap is the shortest time between two turns.
func (t timetable) gap() time.Duration {
	if t.cron != nil {
		return t.cron.Gap()
	}
	return t.every
}

// beat is a period in which all turns lie, and the first of these moments since
// 1970 that is one of them. By cron it holds as long as the zone's clock is not
// changed.
func (t timetable) beat(from time.Time) (period, phase time.Duration) {
	if t.cron == nil {
		return t.every, t.phase
	}
	period = cmp.Or(t.cron.Beat(), 24*time.Hour)
	return period, time.Duration(t.cron.Next(from).UnixNano()) % period
}

// skip leaves out the oldest turns in (after, until] so that at most keep are
// left: those after from. n is how many it left out.
func (t timetable) skip(after, until time.Time, keep int) (from time.Time, n int) {
	if t.cron == nil {
		total := int(t.number(until) - t.number(after))
		if n = total - keep; n <= 0 {
			return after, 0
		}
		return time.Unix(0, (t.number(after)+int64(n))*int64(t.every)+int64(t.phase)), n
	}
	kept := make([]time.Time, 0, keep+1) // a ring of the newest, and the one before them
	for at := t.cron.Next(after); !at.IsZero() && !at.After(until); at = t.cron.Next(at) {
		if len(kept) <= keep {
			kept = append(kept, at)
			continue
		}
		kept[n%len(kept)] = at
		n++
	}
	if len(kept) <= keep {
		return after, 0
	}
	return kept[n%len(kept)], n + 1
}

// spread gives a time from 0 to below width, evenly distributed over names and
// always the same for one.
func spread(width time.Duration, names ...string) time.Duration {
	if width <= 0 {
		return 0
	}
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return time.Duration(binary.BigEndian.Uint64(sum[:]) % uint64(width))
}
