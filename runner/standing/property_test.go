package standing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
)

// step is something that happens in a day, and how long it lasts.
type step struct {
	what  string
	suite int
	which int // of variants
	clock time.Duration
	lasts time.Duration
}

// variants are what a suite may have installed: sessions alone and side by side,
// periods that fit each other and periods that do not.
func variants(suite int) [][]standingTest {
	voice := every("voice", 15*time.Minute, time.Minute, mesh("a", "b", "c")...)
	bulk := alone(every("bulk", 20*time.Minute, 20*time.Second, mesh("a", "b", "c")...))
	odd := alone(every("odd", 7*time.Minute+13*time.Second, 25*time.Second, "a->b", "c->a"))
	crowded := alone(every("crowded", 5*time.Minute, 90*time.Second, "a->b", "a->c", "b->c", "a->d"))
	nightly := byCron("nightly", fmt.Sprintf("%d */2 * * *", 10*suite), "Europe/Berlin", 45*time.Second, "a->b", "b->c")
	strict := voice
	strict.Slip = 10 * time.Second
	often := voice
	often.Every = 5 * time.Minute
	return [][]standingTest{{voice, bulk}, {voice}, {bulk, odd, alone(nightly)}, {crowded, nightly}, {strict, bulk}, {often, odd}}
}

func drawSteps(t *rapid.T) []step {
	minutes := func(label string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, label))*time.Minute + time.Duration(rapid.IntRange(0, 59).Draw(t, "seconds"))*time.Second
	}
	var steps []step
	for total := time.Duration(0); total < 24*time.Hour; {
		s := step{
			what:  rapid.SampledFrom([]string{"nothing", "nothing", "restart", "restart", "install", "install", "remove", "clock", "store"}).Draw(t, "what"),
			suite: rapid.IntRange(0, 2).Draw(t, "suite"), which: rapid.IntRange(0, 5).Draw(t, "variant"), lasts: minutes("minutes", 3, 240),
		}
		switch s.what {
		case "clock":
			s.clock = minutes("clock", -180, 180)
		case "restart", "store":
			s.lasts = minutes("out", 0, 100)
		}
		steps = append(steps, s)
		total += s.lasts
	}
	return steps
}

// epoch is for how long a test has had one schedule.
type epoch struct {
	suite   string
	test    standingTest
	from    time.Time // installed
	earlier time.Time // first and last that the wall has shown in that time
	covered time.Time
	over    bool
}

// life is a world and what is to be expected of it.
type life struct {
	*world
	epochs  []*epoch
	highest time.Time // that the wall has shown
	back    bool      // the clock was put back, or the store failed: turns may be asked for again
}

// A day of restarts, commits, set clocks and a store that fails: each turn is run
// or missed exactly once, sessions begin in their windows, and none that wants a
// thing alone meets another.
func TestADayInTheLife(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := drawSteps(rt)
		var faults faults
		var story []string
		synctest.Test(t, func(*testing.T) {
			defer faults.caught()
			l := &life{world: newWorld(&faults)}
			l.start()
			for _, s := range steps {
				story = append(story, fmt.Sprintf("%s %+v", l.now().Format(time.DateTime), s))
				l.live(s)
			}
			l.calm()
			l.end()
			l.check(&faults)
			l.checkTurns()
		})
		if len(faults) > 0 {
			rt.Fatalf("%s", strings.Join(append(faults, story...), "\n"))
		}
	})
}

// faults collects what is wrong inside a bubble, for rapid outside of it.
type faults []string

func (f *faults) Helper()                           {}
func (f *faults) Errorf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }
func (f *faults) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	panic(f)
}

// caught ends a bubble after Fatalf.
func (f *faults) caught() {
	if r := recover(); r != nil && r != any(f) {
		panic(r)
	}
}

func (l *life) live(s step) {
	suite := fmt.Sprintf("suite%d", s.suite)
	what := s.what
	if what == "restart" && l.now().Before(l.highest) {
		// The newest turn in the store may be one of another schedule then, from the
		// first time the wall showed this hour, and hide some that come while the
		// controller is not there.
		what = "nothing"
	}
	switch what {
	case "restart":
		l.stop()
		time.Sleep(s.lasts)
		l.start()
	case "install":
		tests := variants(s.suite)[s.which]
		l.end1(suite, tests)
		l.install(suite, tests...)
		l.begin(suite, tests)
		time.Sleep(s.lasts)
	case "remove":
		l.end1(suite, nil)
		l.remove(suite)
		time.Sleep(s.lasts)
	case "clock":
		l.back = l.back || s.clock < 0
		l.see()
		l.set(s.clock)
		l.see()
		time.Sleep(s.lasts)
	case "store":
		l.breaks(errors.New("disk full"))
		time.Sleep(s.lasts)
		l.breaks(nil)
	default:
		time.Sleep(s.lasts)
	}
	l.calm()
}

// calm is long enough for a follower to look again at a clock that was set, and at
// a store that failed.
func (l *life) calm() {
	l.see()
	time.Sleep(lookAgain + lastPause + time.Second)
	synctest.Wait()
	for _, e := range l.epochs {
		if now := l.now(); !e.over && now.After(e.covered) {
			e.covered = now
		}
	}
	l.see()
}

// see notes what the wall shows.
func (l *life) see() {
	now := l.now()
	if now.After(l.highest) {
		l.highest = now
	}
	for _, e := range l.epochs {
		if !e.over && now.Before(e.earlier) {
			e.earlier = now
		}
	}
}

// end1 ends the epochs of a suite, but for tests that go on as they are.
func (l *life) end1(suite string, tests []standingTest) {
	for _, e := range l.epochs {
		goesOn := slices.ContainsFunc(tests, func(t standingTest) bool { return same(t, e.test) })
		e.over = e.over || e.suite == suite && !goesOn
	}
}

func (l *life) begin(suite string, tests []standingTest) {
	now := l.now()
	for _, t := range tests {
		if !slices.ContainsFunc(l.epochs, func(e *epoch) bool { return !e.over && e.suite == suite && same(t, e.test) }) {
			l.epochs = append(l.epochs, &epoch{suite: suite, test: t, from: now, earlier: now, covered: now})
		}
	}
}

func same(a, b standingTest) bool {
	return a.name == b.name && a.Every == b.Every && a.Cron == b.Cron && a.TimeZone == b.TimeZone
}

// checkTurns compares what is in the store with the timetables.
func (l *life) checkTurns() {
	known := map[slotKey]bool{}
	for _, e := range l.epochs {
		table, err := newTimetable(e.suite, "test."+e.test.name, e.test.Standing)
		if err != nil {
			l.t.Fatalf("%v", err)
		}
		for at := table.next(e.earlier); !at.After(e.covered.Add(time.Minute)); at = table.next(at) {
			k := slotKey{e.suite, "test." + e.test.name, at.UnixNano()}
			known[k] = true
			if l.runs[k] == nil && at.After(e.from) && !at.After(e.covered) {
				l.t.Errorf("%v neither ran nor was missed", k)
			}
		}
	}
	for k := range l.runs {
		if !known[k] {
			l.t.Errorf("%v ran although it is no turn of what was installed", k)
		}
	}
	if len(l.twice) > 0 && !l.back {
		l.t.Errorf("%v were asked for twice", l.twice)
	}
}

func TestTimetable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := plan.Standing{Every: time.Duration(rapid.Int64Range(int64(time.Second), int64(366*24*time.Hour)).Draw(t, "every"))}
		if rapid.Bool().Draw(t, "by cron") {
			s = plan.Standing{Cron: rapid.SampledFrom([]string{"* * * * *", "*/5 2 * * *", "0 9,17 * * 1-5", "@monthly"}).Draw(t, "cron"), TimeZone: "Europe/Berlin"}
		}
		table, err := newTimetable("suite", rapid.String().Draw(t, "test"), s)
		if err != nil {
			t.Fatal(err)
		}
		after := time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "after"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		var turns []time.Time
		for at := after; len(turns) < 40; turns = append(turns, at) {
			next := table.next(at)
			if gap := next.Sub(at); gap <= 0 || len(turns) > 0 && s.Every > 0 && gap != s.Every || s.Every > 0 && gap > s.Every {
				t.Fatalf("%v: after %v comes %v", s, at, next)
			}
			if !table.next(next.Add(-1)).Equal(next) {
				t.Fatalf("%v: just before %v the next turn is another", s, next)
			}
			at = next
		}
		n, keep := rapid.IntRange(1, 40).Draw(t, "turns"), rapid.IntRange(1, 50).Draw(t, "keep")
		from, left := table.skip(after, turns[n-1], keep)
		if want := max(0, n-keep); left != want || left > 0 && !from.Equal(turns[want-1]) || left == 0 && !from.Equal(after) {
			t.Fatalf("%v: keeping %d of %d turns leaves out %d, until %v", s, keep, n, left, from)
		}
	})
}

// Where periods fit each other and there is room, nothing overlaps that must not,
// in any turn.
func TestLayout(t *testing.T) {
	const whole = 20 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		agents := []string{"a", "b", "c", "d"}
		l := newLayout()
		var items []schedule.Item
		var slots []schedule.Slot
		for suite := range rapid.IntRange(1, 3).Draw(t, "suites") {
			var tests []standingTest
			for i := range rapid.IntRange(1, 2).Draw(t, "tests") {
				s := every(fmt.Sprint(i), rapid.SampledFrom([]time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute}).Draw(t, "every"), 4*time.Second,
					rapid.SliceOfNDistinct(rapid.SampledFrom(mesh(agents...)), 1, 5, rapid.ID).Draw(t, "paths")...)
				if s.alone = rapid.Bool().Draw(t, "alone"); !s.alone {
					s.length = 11 * time.Second
				}
				tests = append(tests, s)
			}
			name := fmt.Sprint("suite", suite)
			for _, d := range layOut(l, name, tests) {
				for _, s := range d.turn.Sessions {
					if s.Start < 0 || s.Start >= d.table.gap() {
						t.Fatalf("%s starts %v after its turn, which lasts %v", s.Addr, s.Start, d.table.gap())
					}
					for at := d.table.phase + s.Start; at < 2*whole; at += d.table.every {
						item := s.Item()
						item.ID = fmt.Sprint(name, s.Addr, at)
						items, slots = append(items, item), append(slots, schedule.Slot{Start: at, Round: 1})
					}
				}
			}
		}
		number(slots)
		if err := schedule.Validate(items, slots, nil); err != nil {
			t.Fatalf("%v", err)
		}
	})
}

// layOut defines the tests of a suite as an installation does.
func layOut(l layout, suite string, tests []standingTest) []*definition {
	var all []*definition
	var places []*placing
	for _, turn := range planOf(suite, tests...).Turns() {
		d := newDefinition(suite, turn, time.Unix(0, 0))
		all, places = append(all, d), append(places, d.placing)
	}
	l.place(places)
	for _, d := range all {
		d.finish()
	}
	return all
}

// number gives slots their rounds.
func number(slots []schedule.Slot) {
	var starts []time.Duration
	for _, s := range slots {
		starts = append(starts, s.Start)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for i := range slots {
		at, _ := slices.BinarySearch(starts, slots[i].Start)
		slots[i].Round = at + 1
	}
}

// Thousands of sessions do not start together, whether they are of one test or of
// as many.
func TestThousandsDoNotStartTogether(t *testing.T) {
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf("a%d->b%d", i, i)
	}
	var small []standingTest
	for i := range 1000 {
		small = append(small, every(fmt.Sprint("t", i), 5*time.Minute, time.Second, many[5*i:5*i+5]...))
	}
	for _, c := range []struct {
		name  string
		tests []standingTest
		most  int // in a second
	}{
		{"one test", []standingTest{every("t", 5*time.Minute, time.Second, many...)}, 70}, // 33 on average
		{"a thousand tests", small, 50}, // 17 on average
		{"by cron", []standingTest{byCron("t", "0 2 * * *", "", time.Second, many...)}, 12}, // 1 on average
	} {
		starts := map[time.Duration]int{}
		for _, d := range layOut(newLayout(), "wan", c.tests) {
			for _, s := range d.turn.Sessions {
				at := d.table.phase + s.Start
				if d.table.every > 0 {
					at %= d.table.every
				}
				starts[at.Truncate(time.Second)]++
			}
		}
		most := 0
		for _, n := range starts {
			most = max(most, n)
		}
		if most > c.most {
			t.Errorf("%s: %d sessions start in one second, want at most %d", c.name, most, c.most)
		}
	}
}

// A layout is the same for the same suites.
func TestLayoutIsDeterministic(t *testing.T) {
	offsets := func() (out []string) {
		l := newLayout()
		for i := range 3 {
			for _, tests := range variants(i) {
				for _, d := range layOut(l, fmt.Sprint("suite", i, len(tests)), tests) {
					for _, s := range d.turn.Sessions {
						out = append(out, fmt.Sprint(s.Addr, d.table.phase, s.Start))
					}
				}
			}
		}
		return out
	}
	if a, b := offsets(), offsets(); !slices.Equal(a, b) {
		t.Errorf("got\n%v\nthen\n%v", a, b)
	}
}

// A suite that was removed leaves nothing behind.
func TestLayoutForgets(t *testing.T) {
	l := newLayout()
	for i := range 3 {
		layOut(l, fmt.Sprint("suite", i), variants(i)[i])
	}
	for i := range 3 {
		l.remove(fmt.Sprint("suite", i))
	}
	if len(l.alone)+len(l.shared) != 0 {
		t.Errorf("%d and %d resources are still booked", len(l.alone), len(l.shared))
	}
}
