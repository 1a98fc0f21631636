package standing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

func every(name string, d, length time.Duration, paths ...string) standingTest {
	return standingTest{name: name, Standing: plan.Standing{Every: d}, length: length, paths: paths}
}

func byCron(name, expression, zone string, length time.Duration, paths ...string) standingTest {
	return standingTest{name: name, Standing: plan.Standing{Cron: expression, TimeZone: zone}, length: length, paths: paths}
}

func alone(t standingTest) standingTest {
	t.alone = true
	return t
}

// virtual runs a test in virtual time: it begins at midnight UTC, 1 January 2000.
func virtual(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(w)
		w.end()
		w.check(t)
	})
}

// want compares a test's turns with those of its timetable in (from, to].
func (w *world) want(suite string, s standingTest, missed bool, from, to time.Time) {
	w.t.Helper()
	table, err := newTimetable(suite, "test."+s.name, s.Standing)
	if err != nil {
		w.t.Fatalf("%v", err)
	}
	var turns []time.Time
	for at := table.next(from); !at.After(to); at = table.next(at) {
		turns = append(turns, at)
	}
	if got := w.turns(suite, "test."+s.name, missed); !slices.EqualFunc(got, turns, time.Time.Equal) {
		w.t.Errorf("%s of %s, missed %t: got %d turns %v, want %d %v", s.name, suite, missed, len(got), got, len(turns), turns)
	}
}

func TestEachTurnRunsOnceInADay(t *testing.T) {
	virtual(t, func(w *world) {
		voice := every("voice", 5*time.Minute, time.Minute, mesh("a", "b", "c")...)
		nightly := byCron("nightly", "0 2 * * *", "Australia/Sydney", 10*time.Second, "a->b")
		w.install("wan", voice, nightly)
		w.start()
		time.Sleep(24 * time.Hour)
		to := w.now()
		w.stop()
		w.want("wan", voice, false, w.began, to)
		w.want("wan", nightly, false, w.began, to)
		if n := len(w.turns("wan", "test.nightly", false)); n != 1 {
			t.Errorf("nightly had %d turns, want 1", n)
		}
		if waited, all := w.waited(); waited != 0 || all < 288*6 {
			t.Errorf("%d of %d sessions waited", waited, all)
		}
		w.start()
	})
}

// What fits is laid out so that nobody waits for anybody: exclusive sessions of
// several tests and suites, and others in between.
func TestNobodyWaitsWhereAllFits(t *testing.T) {
	virtual(t, func(w *world) {
		w.start()
		w.install("one", alone(every("bulk", 10*time.Minute, 11*time.Second, mesh("a", "b", "c", "d")...)),
			every("voice", 10*time.Minute, time.Minute, mesh("a", "b", "c", "d")...))
		w.install("two", alone(every("bulk", 20*time.Minute, 31*time.Second, mesh("a", "b", "c")...)))
		w.install("three", every("reach", 5*time.Minute, 11*time.Second, mesh("a", "b", "c", "d", "e")...),
			alone(byCron("nightly", "0 2 * * *", "", 20*time.Second, "a->b", "b->a")))
		time.Sleep(24 * time.Hour)
		if waited, all := w.waited(); waited != 0 || all < 144*24 {
			t.Errorf("%d of %d sessions waited", waited, all)
		}
	})
}

func TestAfterARestartNothingRunsTwiceAndMissedTurnsAreRecorded(t *testing.T) {
	virtual(t, func(w *world) {
		voice := every("voice", 5*time.Minute, time.Minute, "a->b")
		w.install("wan", voice)
		w.start()
		time.Sleep(time.Hour)
		w.stop()
		down := w.now()
		time.Sleep(3 * time.Hour)
		w.start()
		up := w.now()
		time.Sleep(time.Hour)
		w.stop()
		over := up.Add(-5 * time.Minute) // turns before have no window left
		w.want("wan", voice, true, down, over)
		if n := len(w.turns("wan", "test.voice", true)); n < 34 {
			t.Errorf("%d turns are recorded as missed, want those of three hours", n)
		}
		w.start()
		if got := len(w.turns("wan", "test.voice", false)); got < 24 {
			t.Errorf("%d turns ran, want those of two hours", got)
		}
		if len(w.twice) > 0 {
			t.Errorf("slots were asked for twice: %v", w.twice)
		}
		for _, r := range w.all() {
			if r.missed != nil && (!strings.Contains(r.missed.Detail, "The controller was not running at 2000-01-01 0") ||
				!strings.Contains(r.missed.Detail, "when it had started at "+up.Format(time.DateTime))) {
				t.Errorf("a turn is missed because: %s", r.missed.Detail)
			}
		}
	})
}

func TestATurnWhoseWindowLastsRunsAfterARestart(t *testing.T) {
	virtual(t, func(w *world) {
		daily := every("daily", 24*time.Hour, time.Minute, "a->b")
		w.install("wan", daily)
		w.start()
		at := w.Status()[0].Next
		w.stop()
		time.Sleep(at.Sub(w.now()) + 50*time.Minute) // of an hour
		w.start()
		time.Sleep(time.Minute)
		w.want("wan", daily, false, w.began, w.now())
		if n := len(w.turns("wan", "test.daily", false)); n != 1 {
			t.Errorf("got %d turns, want the one that is late", n)
		}
	})
}

// Off for a month, a controller does not write a million records.
func TestMissedTurnsAreBounded(t *testing.T) {
	for _, c := range []struct {
		test standingTest
		want int
	}{
		{every("often", time.Second, time.Second, mesh("a", "b")...), 1000},
		{byCron("often", "* * * * *", "Europe/Berlin", time.Second, mesh("a", "b")...), 1000},
		{byCron("often", "*/5 2 * * *", "Europe/Berlin", time.Second, mesh("a", "b")...), 31 * 12},
		{every("often", 24*time.Hour, time.Second, mesh("a", "b")...), 31},
	} {
		virtual(t, func(w *world) {
			w.install("wan", c.test)
			w.start()
			w.stop()
			time.Sleep(31 * 24 * time.Hour)
			w.start()
			missed := w.turns("wan", "test.often", true)
			if len(missed) < c.want-1 || len(missed) > c.want {
				t.Errorf("%v: got %d turns missed, want %d", c.test.Standing, len(missed), c.want)
			}
			table, _ := newTimetable("wan", "test.often", c.test.Standing)
			for i := 1; i < len(missed); i++ {
				if !table.next(missed[i-1]).Equal(missed[i]) {
					t.Errorf("%v: after %v comes %v: one is left out in between", c.test.Standing, missed[i-1], missed[i])
				}
			}
			for _, r := range w.all() {
				first := r.missed != nil && r.work.Start.Equal(missed[0])
				if told := first && strings.Contains(r.missed.Detail, "before this one were missed, too"); first && told != (c.want == 1000) {
					t.Errorf("%v: the oldest is missed because: %s", c.test.Standing, r.missed.Detail)
				}
			}
		})
	}
}

func TestManySessionsAreBoundedTogether(t *testing.T) {
	s := &Scheduler{suites: map[string]map[string]*follower{"wan": {}}}
	for i := range 100 {
		s.suites["wan"][fmt.Sprint(i)] = &follower{test: &definition{turn: &plan.Plan{Sessions: make([]plan.Session, 100)}}}
	}
	if got := s.keep(); got != 10 {
		t.Errorf("with 10 000 sessions %d turns of each test are kept, want 10", got)
	}
	s.suites["wan"]["large"] = &follower{test: &definition{turn: &plan.Plan{Sessions: make([]plan.Session, 200_000)}}}
	if got := s.keep(); got != 1 {
		t.Errorf("got %d, want the newest turn", got)
	}
}

func TestInstall(t *testing.T) {
	voice := every("voice", 10*time.Minute, time.Minute, "a->b")
	t.Run("unchanged tests keep their turns", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.install("wan", voice)
			w.start()
			for range 100 { // commits
				time.Sleep(70 * time.Second)
				w.install("wan", voice)
			}
			w.want("wan", voice, false, w.began, w.now())
			if waited, _ := w.waited(); waited != 0 {
				t.Errorf("%d sessions waited", waited)
			}
		})
	})
	t.Run("a change takes effect with the next turn", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.install("wan", voice)
			w.start()
			time.Sleep(time.Hour)
			more := voice
			more.paths = mesh("a", "b", "c")
			w.install("wan", more)
			at := w.now()
			time.Sleep(time.Hour)
			w.want("wan", voice, false, w.began, w.now())
			for k, r := range w.all() {
				want := 1
				if r.work.Start.After(at) {
					want = 6
				}
				if len(r.sessions) != want {
					t.Errorf("%v has %d sessions, want %d", k, len(r.sessions), want)
				}
			}
		})
	})
	t.Run("another schedule begins after it was installed", func(t *testing.T) {
		virtual(t, func(w *world) {
			daily := every("voice", 24*time.Hour, time.Minute, "a->b")
			w.install("wan", daily)
			w.start()
			time.Sleep(24 * time.Hour)
			w.install("wan", voice)
			at := w.now()
			time.Sleep(time.Hour)
			w.stop()
			if missed := w.turns("wan", "test.voice", true); len(missed) > 0 {
				t.Errorf("turns were missed that were never to be: %v", missed)
			}
			if n := len(w.turns("wan", "test.voice", false)); n != 7 {
				t.Errorf("got %d turns, want one of the day and six of an hour after %v", n, at)
			}
			w.start()
		})
	})
	t.Run("a test that is gone has no turns", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.install("wan", voice, every("reach", time.Minute, time.Second, "a->b"))
			w.start()
			time.Sleep(time.Hour)
			w.install("wan", voice)
			gone := w.now()
			time.Sleep(time.Hour)
			w.want("wan", every("reach", time.Minute, time.Second, "a->b"), false, w.began, gone)
			w.remove("wan")
			removed := w.now()
			time.Sleep(time.Hour)
			w.want("wan", voice, false, w.began, removed)
			if got := w.Status(); len(got) != 0 {
				t.Errorf("got %v, want nothing", got)
			}
		})
	})
	t.Run("a suite that comes back begins anew", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.install("wan", voice)
			w.start()
			time.Sleep(time.Hour)
			w.remove("wan")
			time.Sleep(time.Hour)
			w.install("wan", voice)
			time.Sleep(time.Hour)
			if missed := w.turns("wan", "test.voice", true); len(missed) > 0 {
				t.Errorf("turns were missed while the suite was not there: %v", missed)
			}
			if n := len(w.turns("wan", "test.voice", false)); n != 12 {
				t.Errorf("got %d turns, want 12", n)
			}
		})
	})
}

func TestTheClockIsSet(t *testing.T) {
	voice := every("voice", 5*time.Minute, time.Minute, "a->b")
	t.Run("forward", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.install("wan", voice)
			w.start()
			time.Sleep(time.Hour)
			before := w.now()
			w.set(2 * time.Hour)
			time.Sleep(time.Hour)
			w.stop()
			missed := w.turns("wan", "test.voice", true)
			if len(missed) < 22 || missed[0].Before(before) {
				t.Errorf("got %d turns missed from %v, want those of two hours", len(missed), before)
			}
			for _, r := range w.all() {
				if r.missed != nil && !strings.Contains(r.missed.Detail, "the host was suspended, or its clock was set") {
					t.Errorf("a turn is missed because: %s", r.missed.Detail)
				}
			}
			w.start()
		})
	})
	t.Run("back", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.install("wan", voice)
			w.start()
			time.Sleep(3 * time.Hour)
			w.set(-2 * time.Hour)
			time.Sleep(3 * time.Hour)
			if waited, _ := w.waited(); waited != 0 {
				t.Errorf("%d sessions waited or were missed", waited)
			}
			w.want("wan", voice, false, w.began, w.now()) // those of the two hours once
			if len(w.twice) < 22 {
				t.Errorf("%d turns were asked for again, want those of two hours", len(w.twice))
			}
		})
	})
	t.Run("back, and a restart", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.install("wan", voice)
			w.start()
			time.Sleep(3 * time.Hour)
			w.set(-2 * time.Hour)
			time.Sleep(10 * time.Minute)
			w.stop()
			time.Sleep(30 * time.Minute)
			w.start()
			time.Sleep(3 * time.Hour)
			w.want("wan", voice, false, w.began, w.now())
			if missed := w.turns("wan", "test.voice", true); len(missed) > 0 {
				t.Errorf("turns were missed that had run before: %v", missed)
			}
		})
	})
	t.Run("back from another year", func(t *testing.T) {
		virtual(t, func(w *world) {
			w.set(366 * 24 * time.Hour)
			w.install("wan", voice)
			w.start()
			time.Sleep(time.Hour)
			w.set(-366 * 24 * time.Hour)
			at := w.now()
			time.Sleep(time.Hour)
			ran := slices.DeleteFunc(w.turns("wan", "test.voice", false), func(s time.Time) bool { return s.After(w.now()) })
			if len(ran) < 11 {
				t.Errorf("since %v there were %d turns, want those of an hour", at, len(ran))
			}
		})
	})
}

func TestAStoreThatFails(t *testing.T) {
	virtual(t, func(w *world) {
		voice := every("voice", 5*time.Minute, time.Minute, "a->b")
		w.install("wan", voice)
		w.start()
		time.Sleep(time.Hour)
		w.breaks(errors.New("disk full"))
		time.Sleep(30 * time.Minute)
		if got := w.Status()[0].Fault; got != "disk full" {
			t.Errorf("got fault %q", got)
		}
		w.breaks(nil)
		time.Sleep(30 * time.Minute)
		if got := w.Status()[0].Fault; got != "" {
			t.Errorf("got fault %q after it was mended", got)
		}
		all := append(w.turns("wan", "test.voice", false), w.turns("wan", "test.voice", true)...)
		if len(all) != 24 {
			t.Errorf("got %d turns run or missed, want all of two hours", len(all))
		}
		for _, r := range w.all() {
			if r.missed != nil && !strings.Contains(r.missed.Detail, "could not begin: disk full") {
				t.Errorf("a turn is missed because: %s", r.missed.Detail)
			}
		}
	})
}

// A store that is away when Run begins is waited for, and the turns missed meanwhile say so.
func TestAStoreThatIsAwayAtTheStart(t *testing.T) {
	virtual(t, func(w *world) {
		w.install("wan", every("voice", 5*time.Minute, time.Minute, "a->b"))
		w.breaks(&store.Away{Why: "its server does not answer", Err: errors.New("no answer")})
		w.start()
		time.Sleep(time.Hour)
		w.breaks(nil)
		time.Sleep(time.Hour)
		missed := w.turns("wan", "test.voice", true)
		if all := len(w.turns("wan", "test.voice", false)) + len(missed); all != 24 {
			t.Errorf("got %d turns run or missed, want all of two hours", all)
		}
		for _, r := range w.all() {
			if r.missed != nil && !strings.Contains(r.missed.Detail, "could not begin: the store took ") {
				t.Errorf("a turn is missed because: %s", r.missed.Detail)
			}
		}
		if len(missed) == 0 {
			t.Error("no turn was missed")
		}
	})
}

// A turn that is late because the store was slow with the one before it says so.
func TestWhyATurnIsLate(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	d := &definition{window: time.Second}
	late := func(s int) *turn { return &turn{test: d, start: at(s), over: true} }
	slow := trouble{}.over(late(10), at(10), at(40))
	if got := reason(late(20), at(0), at(40), slow).Detail; !strings.Contains(got, "the store took 30 s") {
		t.Errorf("while the store was slow: %s", got)
	}
	if got := reason(late(5), at(0), at(40), slow).Detail; !strings.Contains(got, "clock passed over") {
		t.Errorf("before it was slow: %s", got)
	}
	full := trouble{err: errors.New("disk full"), upto: at(40)}.over(late(10), at(40), at(60))
	if got := reason(late(50), at(0), at(60), full).Detail; !strings.Contains(got, "disk full") {
		t.Errorf("while the disk was full: %s", got)
	}
	if got := reason(late(70), at(0), at(80), full.over(late(65), at(65), at(65))).Detail; !strings.Contains(got, "clock passed over") {
		t.Errorf("after it was full: %s", got)
	}
}

func TestRunNeedsTheStore(t *testing.T) {
	w := newWorld(t)
	w.breaks(errors.New("no such table"))
	s, err := New(Config{Executor: w, Store: w})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no such table") {
		t.Errorf("got %v", err)
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a scheduler needs an executor and a store")
	}
}

func TestStatus(t *testing.T) {
	virtual(t, func(w *world) {
		voice := every("voice", 10*time.Minute, time.Minute, mesh("a", "b")...)
		bad := byCron("bad", "every day", "", time.Minute, "a->b")
		w.install("wan", voice, bad)
		w.start()
		time.Sleep(time.Hour)
		got := w.Status()
		if len(got) != 2 || got[0].Test != "test.bad" || !strings.Contains(got[0].Fault, "not a cron expression") {
			t.Fatalf("got %+v", got)
		}
		v := got[1]
		turns := w.turns("wan", "test.voice", false)
		want := Status{Suite: "wan", Test: "test.voice", Schedule: "every 10m", Sessions: 2, Last: turns[len(turns)-1],
			Next: turns[len(turns)-1].Add(10 * time.Minute), Verdict: netp.Pass, Running: v.Running}
		if v != want || v.Running > 1 {
			t.Errorf("got  %+v\nwant %+v", v, want)
		}
		w.stop()
		time.Sleep(time.Hour)
		w.start()
		if v := w.Status()[1]; v.Missed < 8 || v.Verdict != "" || v.Last.IsZero() {
			t.Errorf("after a restart: %+v, want missed sessions and no verdict", v)
		}
	})
}

// A session that is still running when its next turn is due is waited for, and
// missed when that takes too long.
func TestASessionNeverMeetsItself(t *testing.T) {
	virtual(t, func(w *world) {
		w.install("wan", every("long", time.Minute, 70*time.Second, "a->b"))
		w.start()
		time.Sleep(time.Hour)
		w.stop()
		waited, all := w.waited()
		if all < 59 || waited < 50 {
			t.Errorf("%d of %d sessions waited or were missed", waited, all)
		}
		w.start()
	})
}

func TestPlansInstalledBeforeRunCount(t *testing.T) {
	virtual(t, func(w *world) {
		old := every("voice", 5*time.Minute, time.Minute, "a->b")
		w.install("wan", old)
		s, err := New(Config{Executor: w, Store: w, Now: w.now})
		if err != nil {
			t.Fatal(err)
		}
		s.Install(store.StandingPlan{Suite: "wan", Plan: planOf("wan", every("reach", time.Minute, time.Second, "a->b")), Installed: w.now()})
		if err := s.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := s.Status(); len(got) != 1 || got[0].Test != "test.reach" {
			t.Errorf("got %+v, want what was installed last", got)
		}
		w.start()
	})
}
