package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

func somePlan(sessions int) *plan.Plan {
	p := &plan.Plan{FormatVersion: netp.FormatVersion, Suite: plan.SuiteInfo{Name: "s"}, Hash: "h"}
	for i := range sessions {
		p.Sessions = append(p.Sessions, plan.Session{
			Addr: fmt.Sprintf(`test.a["x%d->y%d"]`, i, i), Test: "test.a", Start: time.Duration(i) * time.Second,
			Path: netp.Path{Addr: fmt.Sprintf(`path.p["x%d->y%d"]`, i, i), Source: netp.AgentID(fmt.Sprintf("x%d", i)), Dest: fmt.Sprintf("y%d", i)},
		})
	}
	return p
}

func begin(t *testing.T, s *store.Store, r store.Run) {
	t.Helper()
	if err := s.BeginRun(t.Context(), r, somePlan(1)); err != nil {
		t.Fatal(err)
	}
}

func ended(r store.Run, at time.Time) store.Run {
	r.Report.Ended, r.Report.Status = at, netp.Pass
	return r
}

func end(t *testing.T, s *store.Store, r store.Run, at time.Time) {
	t.Helper()
	if err := s.SaveRun(t.Context(), ended(r, at)); err != nil {
		t.Fatal(err)
	}
}

func unfinished(t *testing.T, s *store.Store) {
	first, second := run("aaaa", "s", noon()), run("bbbb", "t", noon().Add(time.Second))
	first.Trigger = store.ByCommit
	begin(t, s, second)
	begin(t, s, first)
	begin(t, s, first) // a write whose answer was lost is made again
	got, err := s.Unfinished(t.Context())
	want := []store.Unfinished{{Run: first, Plan: somePlan(1)}, {Run: second, Plan: somePlan(1)}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	end(t, s, first, noon().Add(time.Minute))
	got, err = s.Unfinished(t.Context())
	if diff := cmp.Diff(want[1:], got); err != nil || diff != "" {
		t.Errorf("after the first ended: %v, -want +got:\n%s", err, diff)
	}
	if all, err := s.Runs(t.Context(), "", 0); err != nil || len(all) != 2 {
		t.Errorf("%d runs, %v; want 2", len(all), err)
	}
}

func largePlan(t *testing.T, s *store.Store) {
	p := somePlan(plan.DefaultSessions)
	if err := s.BeginRun(t.Context(), run("aaaa", "s", noon()), p); err != nil {
		t.Fatal(err)
	}
	got, err := s.Unfinished(t.Context())
	if err != nil || len(got) != 1 || len(got[0].Plan.Sessions) != len(p.Sessions) {
		t.Fatalf("%d runs, %v", len(got), err)
	}
	last := len(p.Sessions) - 1
	if diff := cmp.Diff(p.Sessions[last], got[0].Plan.Sessions[last]); diff != "" {
		t.Errorf("the last session, -want +got:\n%s", diff)
	}
}

func slotRun(id, test string, start time.Time) store.Run {
	r := run(id, "s", start)
	r.Trigger, r.Slot = store.BySchedule, &store.Slot{Suite: "s", Test: test, Start: start}
	return r
}

func slotOnce(t *testing.T, s *store.Store) {
	first := slotRun("aaaa", "test.a", noon())
	begin(t, s, first)
	begin(t, s, first)
	if err := s.BeginRun(t.Context(), slotRun("bbbb", "test.a", noon()), somePlan(1)); !errors.Is(err, store.ErrSlotTaken) {
		t.Errorf("another run of the slot: %v, want ErrSlotTaken", err)
	}
	end(t, s, first, noon().Add(time.Minute))
	if err := s.BeginRun(t.Context(), slotRun("cccc", "test.a", noon().In(time.FixedZone("", 3600))), somePlan(1)); !errors.Is(err, store.ErrSlotTaken) {
		t.Errorf("another run after the first: %v, want ErrSlotTaken", err)
	}
	begin(t, s, slotRun("dddd", "test.b", noon()))
	begin(t, s, slotRun("eeee", "test.a", noon().Add(-time.Hour)))
	got, err := s.LastSlots(t.Context(), "s")
	if diff := cmp.Diff(map[string]time.Time{"test.a": noon(), "test.b": noon()}, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if got, err := s.LastSlots(t.Context(), "t"); err != nil || len(got) != 0 {
		t.Errorf("slots of another suite: %v, %v", got, err)
	}
	all, err := s.Runs(t.Context(), "", 0)
	if err != nil || len(all) != 3 {
		t.Errorf("%d runs, %v; a run whose slot was taken left something", len(all), err)
	}
}

func attempts(t *testing.T, s *store.Store) {
	r := run("aaaa", "s", noon())
	begin(t, s, r)
	try := func(session string, n int) store.Attempt {
		return store.Attempt{Run: "aaaa", Session: session, Attempt: n, HardEnd: noon().Add(time.Hour),
			Agents: map[netp.Role]netp.AgentID{netp.Initiator: "x", netp.Responder: "y"}}
	}
	for range 2 {
		if err := s.SaveAttempts(t.Context(), []store.Attempt{try("b", 2), try("b", 1), try("a", 1)}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, want ...store.Attempt) {
		t.Helper()
		got, err := s.Attempts(t.Context(), "aaaa")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", when, err, diff)
		}
	}
	check("during the run", try("a", 1), try("b", 1), try("b", 2))
	if err := s.SaveRecords(t.Context(), []netp.Record{record("aaaa", "b", noon())}); err != nil {
		t.Fatal(err)
	}
	check("with a record", try("a", 1), try("b", 1), try("b", 2))
	end(t, s, r, noon().Add(time.Minute))
	check("after the run", try("a", 1))
}

func standing(t *testing.T, s *store.Store) {
	installed := &store.StandingPlan{Suite: "s", Plan: somePlan(2), Installed: noon(), By: "ann@laptop"}
	state := func(serial uint64) plan.State { return plan.State{Lineage: "l", Serial: serial} }
	for i, c := range []struct {
		name string
		a    store.Application
		fail error
		want []store.StandingPlan
	}{
		{"install", store.Application{Suite: "s", After: state(1), Standing: installed}, nil, []store.StandingPlan{*installed}},
		{"another suite", store.Application{Suite: "t", After: state(1)}, nil, []store.StandingPlan{*installed}},
		{"stale", store.Application{Suite: "s", After: state(1)}, store.ErrConflict, []store.StandingPlan{*installed}},
		{"remove", store.Application{Suite: "s", Before: state(1), After: state(2)}, nil, nil},
	} {
		c.a.PlanHash = fmt.Sprint(i)
		if err := s.Apply(t.Context(), c.a); !errors.Is(err, c.fail) {
			t.Errorf("%s: %v, want %v", c.name, err, c.fail)
		}
		got, err := s.StandingPlans(t.Context())
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v, -want +got:\n%s", c.name, err, diff)
		}
	}
}

func notes(t *testing.T, s *store.Store) {
	for _, value := range []string{"one", "two"} {
		if err := s.SaveNote(t.Context(), "source.backbone", map[string]string{"revision": value}); err != nil {
			t.Fatal(err)
		}
	}
	var got map[string]string
	found, err := s.Note(t.Context(), "source.backbone", &got)
	if diff := cmp.Diff(map[string]string{"revision": "two"}, got); !found || err != nil || diff != "" {
		t.Errorf("%v, %v, -want +got:\n%s", found, err, diff)
	}
	for range 2 {
		if err := s.DeleteNote(t.Context(), "source.backbone"); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := s.Note(t.Context(), "source.backbone", &got); found || err != nil {
		t.Errorf("a deleted note: %v, %v", found, err)
	}
}
