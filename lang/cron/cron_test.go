package cron

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The days on which clocks are put forward and back, each moment as the wall
// shows it and in UTC.
func TestNextWhenTheClockIsChanged(t *testing.T) {
	for _, c := range []struct {
		name, zone, expression, from, to string
		want                             []string
	}{
		{"a night without", "Australia/Sydney", "30 2 * * *", "2026-06-01", "2026-06-03",
			[]string{"01 02:30 16:30", "02 02:30 16:30"}},
		{"back: the first of two", "Australia/Sydney", "30 2 * * *", "2026-04-04", "2026-04-07",
			[]string{"04 02:30 15:30", "05 02:30 15:30", "06 02:30 16:30"}},
		{"back: on the hour", "Australia/Sydney", "0 2 * * *", "2026-04-05", "2026-04-06", []string{"05 02:00 15:00"}},
		{"back: the hour after", "Australia/Sydney", "0 3 * * *", "2026-04-05", "2026-04-06", []string{"05 03:00 17:00"}},
		{"back: several hours", "Australia/Sydney", "*/30 1-3 * * *", "2026-04-05", "2026-04-06",
			[]string{"05 01:00 14:00", "05 01:30 14:30", "05 02:00 15:00", "05 02:30 15:30", "05 03:00 17:00", "05 03:30 17:30"}},
		{"back: every hour twice", "Australia/Sydney", "0 * 5 4 *", "2026-04-05", "2026-04-05 04:30",
			[]string{"05 01:00 14:00", "05 02:00 15:00", "05 02:00 16:00", "05 03:00 17:00", "05 04:00 18:00"}},
		{"forward: when the clock has moved on", "Australia/Sydney", "30 2 * * *", "2026-10-03", "2026-10-06",
			[]string{"03 02:30 16:30", "04 03:00 16:00", "05 02:30 15:30"}},
		{"forward: several become one", "Australia/Sydney", "*/20 2 * * *", "2026-10-04", "2026-10-05", []string{"04 03:00 16:00"}},
		{"forward: one with the hour after", "Australia/Sydney", "0 2,3 * * *", "2026-10-04", "2026-10-05", []string{"04 03:00 16:00"}},
		{"forward: every hour but the skipped", "Australia/Sydney", "5 * 4 10 *", "2026-10-04", "2026-10-04 04:30",
			[]string{"04 00:05 14:05", "04 01:05 15:05", "04 03:05 16:05", "04 04:05 17:05"}},
		{"Berlin back", "Europe/Berlin", "30 2 * * *", "2026-10-24", "2026-10-27",
			[]string{"24 02:30 00:30", "25 02:30 00:30", "26 02:30 01:30"}},
		{"Berlin forward", "Europe/Berlin", "30 2 * * *", "2026-03-28", "2026-03-31",
			[]string{"28 02:30 01:30", "29 03:00 01:00", "30 02:30 00:30"}},
		{"half an hour forward", "Australia/Lord_Howe", "15 2 * * *", "2026-10-04", "2026-10-05", []string{"04 02:30 15:30"}},
		{"half an hour back", "Australia/Lord_Howe", "45 1 * * *", "2026-04-05", "2026-04-06", []string{"05 01:45 14:45"}},
		{"a midnight that is skipped", "America/Santiago", "0 0 * * *", "2026-09-05", "2026-09-08",
			[]string{"06 01:00 04:00", "07 00:00 03:00"}},
		{"the end of a leap year", "Europe/Berlin", "0 12 * * *", "2028-12-30", "2029-01-03",
			[]string{"30 12:00 11:00", "31 12:00 11:00", "01 12:00 11:00", "02 12:00 11:00"}},
		{"the end of a leap year by a zone's rule", "Europe/Berlin", "0 12 * * *", "2096-12-30", "2097-01-03",
			[]string{"30 12:00 11:00", "31 12:00 11:00", "01 12:00 11:00", "02 12:00 11:00"}},
		{"a day that is skipped", "Pacific/Apia", "0 12 * * *", "2011-12-29", "2012-01-01",
			[]string{"29 12:00 22:00", "31 00:00 10:00", "31 12:00 22:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parsed(t, c.expression, c.zone)
			var got []string
			for at := s.Next(moment(t, s, c.from)); at.Before(moment(t, s, c.to)); at = s.Next(at) {
				got = append(got, at.Format("02 15:04")+at.UTC().Format(" 15:04"))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s in %s:\ngot  %q\nwant %q", c.expression, c.zone, got, c.want)
			}
		})
	}
}

func parsed(t failer, expression, zone string) *Schedule {
	t.Helper()
	s, err := Parse(expression, zone)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return s
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func moment(t *testing.T, s *Schedule, text string) time.Time {
	t.Helper()
	layout := "2006-01-02 15:04"
	at, err := time.ParseInLocation(layout[:len(text)], text, s.zone)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestNextKnowsTheCalendar(t *testing.T) {
	for _, c := range []struct{ expression, after, want string }{
		{"0 2 1 * 1", "2026-11-02T02:00:00Z", "2026-11-09T02:00:00Z"}, // day of the month or of the week
		{"0 2 1 * 1", "2026-11-30T02:00:00Z", "2026-12-01T02:00:00Z"},
		{"0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"@weekly", "2026-11-25T00:00:00Z", "2026-11-29T00:00:00Z"},
		{"*/10 * * * *", "2026-11-25T11:50:00Z", "2026-11-25T12:00:00Z"},
		{"* * * * *", "2026-11-25T11:50:00.5Z", "2026-11-25T11:51:00Z"},
		{"0 22-2/2 * * *", "2026-11-25T22:00:00Z", "2026-11-26T00:00:00Z"},
	} {
		after, err := time.Parse(time.RFC3339, c.after)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed(t, c.expression, "").Next(after).Format(time.RFC3339); got != c.want {
			t.Errorf("%s after %s: got %s, want %s", c.expression, c.after, got, c.want)
		}
	}
}

func TestRhythm(t *testing.T) {
	for _, c := range []struct {
		expression string
		gap, beat  time.Duration
		daily      int
	}{
		{"*/5 * * * *", 5 * time.Minute, 5 * time.Minute, 288},
		{"* * * * *", time.Minute, time.Minute, 1440},
		{"*/5 2 * * *", 5 * time.Minute, 5 * time.Minute, 12},
		{"0 2 * * 1-5", 24 * time.Hour, 24 * time.Hour, 1},
		{"50 23 * * *", 24 * time.Hour, 24 * time.Hour, 1},
		{"0,45 * * * *", 15 * time.Minute, 15 * time.Minute, 48},
		{"0 9,12,17 * * *", 3 * time.Hour, time.Hour, 3},
		{"0 0 1,31 * *", 24 * time.Hour, 24 * time.Hour, 1},
		{"@yearly", 365 * 24 * time.Hour, 24 * time.Hour, 1},
	} {
		s := parsed(t, c.expression, "Australia/Sydney")
		if s.Gap() != c.gap || s.Beat() != c.beat || s.PerDay() != c.daily {
			t.Errorf("%s: got a gap of %v, a beat of %v and %d a day, want %v, %v and %d", c.expression, s.Gap(), s.Beat(), s.PerDay(), c.gap, c.beat, c.daily)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ expression, zone, says string }{
		{"every day", "", "not a cron expression"},
		{"0 25 * * *", "", `its hour is "25", and takes 0 to 23, or lists`},
		{"MON * * * *", "", `its minute is "MON", and takes 0 to 59`},
		{"0 2 1- * *", "", `its day of the month is "1-", and takes 1 to 31`},
		{"0 2 * */x *", "", `its month is "*/x", and takes 1 to 12 or JAN to DEC`},
		{"0 2 * * 5L", "", `its day of the week is "5L", and takes 0 to 7 or SUN to SAT`},
		{"@reboot", "", `there is no "@reboot", but @hourly`},
		{"", "", "it has 0 fields, not five"},
		{"0 0 2 * * *", "", "it has 6 fields, not five"},
		{"@every 5m", "", "Write every ="},
		{"TZ=UTC 0 2 * * *", "", "Write the zone as time_zone"},
		{"CRON_TZ=UTC 0 2 * * *", "", "Write the zone as time_zone"},
		{"0 0 30 2 *", "", "No day has this date"},
		{strings.Repeat("1", 201), "", "at most 200 characters"},
		{"0 2 * * *", "Mars/Base", "IANA"},
		{"0 2 * * *", "Local", "IANA"},
	} {
		if _, err := Parse(c.expression, c.zone); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q in %q: got %v, want %q", c.expression, c.zone, err, c.says)
		}
	}
}

// Whatever the zone, a day of the calendar has each of an expression's minutes
// once when they are at certain hours, and Next always moves on.
func TestNextTakesEachMinuteOnce(t *testing.T) {
	zones := []string{"Australia/Sydney", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "America/St_Johns", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		minute, hour := rapid.IntRange(0, 59).Draw(t, "minute"), rapid.IntRange(0, 23).Draw(t, "hour")
		s := parsed(t, time.Date(2026, 1, 1, hour, minute, 0, 0, time.UTC).Format("4 15 * * *"), zone.String())
		year := rapid.IntRange(1995, 2110).Draw(t, "year")
		at := time.Date(year, 1, 1, 0, 0, 0, 0, zone).Add(-1)
		for day := range 365 {
			next := s.Next(at)
			if !next.After(at) {
				t.Fatalf("after %v comes %v", at, next)
			}
			want := time.Date(year, 1, 1+day, hour, minute, 0, 0, zone)
			if next.YearDay() != day+1 || next.Sub(want).Abs() > time.Hour {
				t.Fatalf("day %d: got %v, want about %v", day+1, next, want)
			}
			at = next
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 2 * * 1-5", "*/7 1-3,22-2/2 ? JAN-DEC sun", "@daily", "0 0 31 2 *", "* * * * * *", "@every 1s", "\x00"} {
		f.Add(seed)
	}
	from := time.Date(2026, 4, 4, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, expression string) {
		s, err := Parse(expression, "Australia/Sydney")
		if err != nil {
			return
		}
		at := from
		for range 100 {
			next := s.Next(at)
			if !next.After(at) {
				t.Fatalf("%q: after %v comes %v", expression, at, next)
			}
			at = next
		}
		if s.Gap() < time.Minute && s.PerDay() > 1 {
			t.Fatalf("%q: a gap of %v", expression, s.Gap())
		}
	})
}
