// Package cron says at which moments a cron expression means something to be
// done, in a time zone. It neither waits nor reads a clock.
//
// An expression names minutes of a calendar on the wall. Where the clock on the
// wall is put forward or back, the rules of crontab hold:
//
//   - An expression for certain hours ("30 2 * * *") has each of its minutes once.
//     A minute that the clock skips is taken when the clock has moved on; of a
//     minute that comes twice the first counts.
//   - An expression for every hour ("*/10 * * * *") goes with the time that passes:
//     skipped minutes do not take place, repeated ones do so twice.
//
// Day of the month and day of the week, both given, mean either: crontab's rule.
//
// The parser is netresearch/go-cron's. Its own handling of such days is not
// used: it takes a repeated minute twice, and loses a midnight that is skipped.
package cron

import (
	"fmt"
	"strings"
	"time"

	parse "github.com/netresearch/go-cron"
)

// maxLength bounds an expression, in bytes.
const maxLength = 200

// searchYears is how far a next moment is looked for: 29 February comes once in
// eight years around a century that has none.
const searchYears = 9

// Fault says in sentences what is wrong with an expression or a zone, for whoever
// wrote it.
type Fault string

func (f Fault) Error() string { return string(f) }

func fault(format string, args ...any) Fault { return Fault(fmt.Sprintf(format, args...)) }

// Schedule is a parsed expression in a time zone. It is immutable.
type Schedule struct {
	wall   *parse.SpecSchedule // over clocks on the wall, written as if they were UTC
	zone   *time.Location
	hourly bool // every hour of the day is meant
	gap    time.Duration
	beat   time.Duration
	daily  int
}

// Parse reads an expression of five fields or one of @hourly, @daily, @weekly,
// @monthly and @yearly, meant in the zone (an IANA name, "" for UTC). Errors are Faults.
func Parse(expression, zone string) (*Schedule, error) {
	where, err := Zone(zone)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(expression, "@every"):
		return nil, Fault(`Write every = "…" instead of cron = "@every …".`)
	case strings.Contains(expression, "TZ="):
		return nil, Fault(`Write the zone as time_zone = "…", not inside the cron expression.`)
	case len(expression) > maxLength:
		return nil, fault("A cron expression has at most %d characters.", maxLength)
	}
	p := parse.MustNewParser(parse.Minute | parse.Hour | parse.Dom | parse.Month | parse.Dow | parse.Descriptor | parse.DowOrDom)
	p = p.WithMaxSearchYears(searchYears)
	parsed, err := p.Parse(expression)
	spec, ok := parsed.(*parse.SpecSchedule)
	if err != nil || !ok {
		return nil, fault("This is not a cron expression: %s. Write minute, hour, day of the month, month and day of the week: \"0 2 * * *\" is every day at two.",
			wrong(p, expression))
	}
	spec.Location = time.UTC
	s := &Schedule{wall: spec, zone: where, hourly: spec.Hour&everyHour == everyHour}
	if s.survey(); s.daily == 0 {
		return nil, Fault("No day has this date, so the test would never run.")
	}
	return s, nil
}

// fields are those of an expression, and what they take.
var fields = []struct{ name, takes string }{
	{"minute", "0 to 59"},
	{"hour", "0 to 23"},
	{"day of the month", "1 to 31"},
	{"month", "1 to 12 or JAN to DEC"},
	{"day of the week", "0 to 7 or SUN to SAT"},
}

// wrong says what is wrong with an expression that does not parse: mostly the first field that does not by itself.
func wrong(p parse.Parser, expression string) string {
	given := strings.Fields(expression)
	switch {
	case strings.HasPrefix(expression, "@"):
		return fmt.Sprintf("there is no %q, but @hourly, @daily, @weekly, @monthly and @yearly", expression)
	case len(given) != len(fields):
		return fmt.Sprintf("it has %d fields, not five", len(given))
	}
	for i, f := range fields {
		alone := []string{"*", "*", "*", "*", "*"}
		alone[i] = given[i]
		if _, err := p.Parse(strings.Join(alone, " ")); err != nil {
			return fmt.Sprintf("its %s is %q, and takes %s, or lists, ranges and steps of these, as in 1,5 or 2-5 or */2", f.name, given[i], f.takes)
		}
	}
	return "its fields do not go together"
}

// Zone is the time zone of an IANA name; UTC for "". The controller's own zone is
// none: a suite means the same wherever it runs.
func Zone(name string) (*time.Location, error) {
	where, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fault("%q is not a time zone. Write a name of the IANA database, for example \"Australia/Sydney\" or \"UTC\".", name)
	}
	return where, nil
}

// everyHour has a bit for each hour of the day.
const everyHour = 1<<24 - 1

// surveyed is how many moments are looked at to know an expression's rhythm:
// more than a day of minutes.
const surveyed = 1500

// survey finds the gap, the beat, and the number of moments in a day.
func (s *Schedule) survey() {
	last := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-time.Second)
	first := time.Time{}
	for range surveyed {
		next := s.wall.Next(last)
		if next.IsZero() {
			return
		}
		if first.IsZero() {
			first = next
		} else {
			s.pace(next.Sub(last))
		}
		if next.Sub(first.Truncate(24*time.Hour)) < 24*time.Hour {
			s.daily++
		}
		last = next
	}
}

// pace takes in the time between two moments.
func (s *Schedule) pace(gap time.Duration) {
	if s.gap == 0 || gap < s.gap {
		s.gap = gap
	}
	for s.beat, gap = gap, s.beat; gap > 0; {
		s.beat, gap = gap, s.beat%gap
	}
}

// Gap is the shortest time between two moments, on days on which the clock is
// not put forward or back.
func (s *Schedule) Gap() time.Duration { return s.gap }

// Beat is the longest time of which every gap between moments is a multiple, on
// such days.
func (s *Schedule) Beat() time.Duration { return s.beat }

// PerDay is the number of moments in a day that has any, at least 1.
func (s *Schedule) PerDay() int { return s.daily }

// Next is the first moment after a time, the zero Time when there is none.
//
// It goes along the stretches in which the zone's offset is the same: in each,
// the wall is as far from UTC as the offset says.
func (s *Schedule) Next(after time.Time) time.Time {
	for at := after; ; { // at lies in the stretch that is looked at
		offset, end := s.stretch(at)
		wall := s.wall.Next(after.UTC().Add(offset))
		next := wall.Add(-offset)
		switch {
		case wall.IsZero():
			return wall
		case end.IsZero() || next.Before(end):
			if s.hourly || !s.repeats(next) {
				return next.In(s.zone)
			}
			after, at = next, next
		default:
			if following, _ := s.stretch(end); !s.hourly && wall.Before(end.UTC().Add(following)) {
				return end.In(s.zone) // the clock skips the moment
			}
			after, at = end.Add(-1), end
		}
	}
}

// stretch is the offset of the wall from UTC at a moment, and an end after it up
// to which the offset is that. Where a zone goes by a rule, package time takes each
// year to have 365 days and puts the end of a stretch on the last day of a leap year
// before that day itself.
func (s *Schedule) stretch(at time.Time) (offset time.Duration, end time.Time) {
	at = at.In(s.zone)
	_, seconds := at.Zone()
	if _, end = at.ZoneBounds(); !end.IsZero() && !end.After(at) {
		end = at.Add(24 * time.Hour)
	}
	return time.Duration(seconds) * time.Second, end
}

// repeats reports whether the wall has shown this moment's time before, because
// the clock was put back.
func (s *Schedule) repeats(at time.Time) bool {
	begin, _ := at.In(s.zone).ZoneBounds()
	if begin.IsZero() {
		return false
	}
	before, _ := s.stretch(begin.Add(-1))
	now, _ := s.stretch(begin)
	return at.Before(begin.Add(before - now))
}
