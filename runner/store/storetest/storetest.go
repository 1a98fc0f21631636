// Package storetest is what every database behind the store must pass. It tests
// behaviour that all share; what is a database's own (files, locks, errors) is
// tested beside its dialect. Start with Run.
package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

// Database is one that the store may open, at first an empty one.
type Database struct {
	// Where is what store.Open takes.
	Where string
	// Exec runs a statement behind the store's back.
	Exec func(t *testing.T, statement string)
}

// Open opens the store until the test ends.
func (d Database) Open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), d.Where, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Run tests stores; fresh gives a new database each time.
func Run(t *testing.T, fresh func(t *testing.T) Database) {
	for name, test := range map[string]func(*testing.T, *store.Store){
		"parts are stored once":                partsOnce,
		"the longest names":                    longestNames,
		"one record per session":               recordOnce,
		"a record takes its parts' place":      recordReplacesParts,
		"the history of paths":                 history,
		"the history of a pair by interface":   historyVia,
		"no records are of no path":            noPaths,
		"runs":                                 runs,
		"state is guarded by its serial":       state,
		"concurrent writers lose nothing":      concurrent,
		"a failed batch of records is not":     batch,
		"sinks read records in order":          feed,
		"a run that begins is unfinished":      unfinished,
		"a large plan is kept":                 largePlan,
		"a slot is taken once":                 slotOnce,
		"attempts last until the run's end":    attempts,
		"standing tests change with the state": standing,
		"notes":                                notes,
		"old runs go":                          prune,
		"sinks keep what they lack":            pruneAcknowledged,
		"positions are never given twice":      prunePositions,
		"pruning goes on where it was cut off": pruneInterrupted,
		"many sessions go in small commits":    pruneLarge,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t).Open(t)) })
	}
	for name, test := range map[string]func(*testing.T, Database){
		"two may open a new one at once":            openTogether,
		"two stores give each position once":        feedTogether,
		"of two stores one takes the slot":          slotTogether,
		"of two stores one changes the state":       stateTogether,
		"what is damaged is never an answer":        damaged,
		"a write that ends half-way leaves nothing": halfway,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func part(attempt int, role netp.Role) netp.Result {
	return netp.Result{Run: "r1", Session: `test.a["x->y"]`, Attempt: attempt, Part: role, Agent: "x", Completed: true,
		Metrics: map[string]netp.Measurement{"loss.ratio": {Ratio: &netp.Ratio{Events: 1, Trials: 10}}}}
}

func record(run, session string, written time.Time) netp.Record {
	return netp.Record{ID: run + "/" + session, Run: run, Suite: "s", Test: "test.a", Status: netp.Pass, Written: written, Judgements: []netp.Judgement{},
		Session: netp.Session{Addr: session, Path: netp.Path{Addr: `path.p["x->y"]`, Source: "x", Dest: "y"}}}
}

// noon is a fixed moment; it round-trips through JSON.
func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func partsOnce(t *testing.T, s *store.Store) {
	first := part(1, netp.Initiator)
	again := part(1, netp.Initiator)
	again.Agent = "another"
	for _, batch := range [][]netp.Result{{first}, {again, part(1, netp.Responder), part(2, netp.Initiator)}, {first}} {
		if err := s.SaveParts(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Parts(t.Context(), first.Run, first.Session)
	want := []netp.Result{first, part(1, netp.Responder), part(2, netp.Initiator)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// longestNames keeps the longest that agents may send (package wire), of letters that no index compresses.
func longestNames(t *testing.T, s *store.Store) {
	random := rand.NewChaCha8([32]byte{1})
	name := func(length int) string {
		b := make([]byte, length)
		for i := range b {
			b[i] = '!' + byte(random.Uint64()%93)
		}
		return string(b)
	}
	p := part(1, netp.Initiator)
	p.Run, p.Session = name(64), name(2000)
	if err := s.SaveParts(t.Context(), []netp.Result{p}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Parts(t.Context(), p.Run, p.Session); err != nil || len(got) != 1 {
		t.Errorf("%d parts, %v", len(got), err)
	}
	if err := s.SaveRecords(t.Context(), []netp.Record{record(p.Run, p.Session, noon())}); err != nil {
		t.Error(err)
	}
}

func recordOnce(t *testing.T, s *store.Store) {
	first := record("r1", "a", noon())
	second := first
	second.Status = netp.Fail
	for range 2 { // a write whose answer was lost is made again
		if err := s.SaveRecords(t.Context(), []netp.Record{first}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SaveRecords(t.Context(), []netp.Record{second}); !errors.Is(err, store.ErrRecorded) {
		t.Errorf("second record: %v, want ErrRecorded", err)
	}
	got, err := s.Records(t.Context(), "r1")
	if diff := cmp.Diff([]netp.Record{first}, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if told, err := s.RecordsAfter(t.Context(), 0, 10); err != nil || len(told) != 1 {
		t.Errorf("sinks read %d records, %v; want 1", len(told), err)
	}
}

func recordReplacesParts(t *testing.T, s *store.Store) {
	p := part(1, netp.Initiator)
	r := record(p.Run, p.Session, noon())
	if err := s.SaveParts(t.Context(), []netp.Result{p}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveRecords(t.Context(), []netp.Record{r}); err != nil {
		t.Fatal(err)
	}
	late := part(2, netp.Initiator)
	if err := s.SaveParts(t.Context(), []netp.Result{p, late}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Parts(t.Context(), p.Run, p.Session)
	if diff := cmp.Diff([]netp.Result{late}, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

func run(id, suite string, started time.Time) store.Run {
	return store.Run{Report: netp.Report{Run: id, Suite: suite, Started: started}, Sessions: 3}
}

func runs(t *testing.T, s *store.Store) {
	first := run("0199c3a1-0000-7000-8000-00000000aaaa", "s", noon())
	second := run("0199c3a1-0000-7000-8000-00000000bbbb", "t", noon().Add(time.Second))
	for _, r := range []store.Run{first, second} {
		if err := s.SaveRun(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if first.Finished() {
		t.Error("a run without an end is finished")
	}
	first.Report.Ended, first.Report.Status = noon().Add(time.Minute), netp.Pass
	if err := s.SaveRun(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		suite string
		limit int
		want  []store.Run
	}{
		{"", 0, []store.Run{second, first}}, {"s", 0, []store.Run{first}}, {"", 1, []store.Run{second}}, {"none", 0, nil},
	} {
		got, err := s.Runs(t.Context(), c.suite, c.limit)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("runs of %q limit %d: %v, -want +got:\n%s", c.suite, c.limit, err, diff)
		}
	}
	findRuns(t, s, first)
}

func findRuns(t *testing.T, s *store.Store, first store.Run) {
	for _, id := range []string{first.Report.Run, "0000AAAA", "aaaa"} {
		got, err := s.FindRun(t.Context(), id)
		if diff := cmp.Diff(first, got); err != nil || diff != "" {
			t.Errorf("find %q: %v, -want +got:\n%s", id, err, diff)
		}
	}
	for _, id := range []string{"", "%%%%", "aaa", "ffffffff", "____", first.Report.Run + "0"} {
		if _, err := s.FindRun(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("find %q: %v, want ErrNotFound", id, err)
		}
	}
	var ambiguous *store.Ambiguous
	if _, err := s.FindRun(t.Context(), "0199c3a1"); !errors.As(err, &ambiguous) || len(ambiguous.Runs) != 2 {
		t.Errorf("find a shared beginning: %v, want Ambiguous with two runs", err)
	}
}

func state(t *testing.T, s *store.Store) {
	empty, err := s.State(t.Context(), "s")
	if diff := cmp.Diff(plan.State{}, empty); err != nil || diff != "" {
		t.Fatalf("%v, -want +got:\n%s", err, diff)
	}
	one := plan.State{Lineage: "l", Serial: 1, Tests: map[string]map[string]string{"test.a": {"interval": "1s"}}}
	two := plan.State{Lineage: "l", Serial: 2, Tests: one.Tests}
	for _, c := range []struct {
		name string
		a    store.Application
		want error
	}{
		{"first", store.Application{Suite: "s", PlanHash: "h1", Run: "r1", After: one}, nil},
		{"same plan", store.Application{Suite: "s", PlanHash: "h1", Run: "r2", Before: one, After: two}, store.ErrApplied},
		{"stale", store.Application{Suite: "s", PlanHash: "h2", After: one}, store.ErrConflict},
		{"other suite", store.Application{Suite: "t", PlanHash: "h3", After: one}, nil},
		{"next", store.Application{Suite: "s", PlanHash: "h4", Before: one, After: two}, nil},
		{"foreign lineage", store.Application{Suite: "s", PlanHash: "h5", Before: plan.State{Lineage: "m", Serial: 2}, After: plan.State{Lineage: "m", Serial: 3}}, store.ErrConflict},
	} {
		if err := s.Apply(t.Context(), c.a); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	if err := s.Apply(t.Context(), store.Application{Suite: "s", PlanHash: "h6", Before: two, After: two}); err == nil {
		t.Error("a serial that does not grow was accepted")
	}
	got, err := s.State(t.Context(), "s")
	if diff := cmp.Diff(two, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if by, ok, err := s.Applied(t.Context(), "h1"); by != "r1" || !ok || err != nil {
		t.Errorf("Applied(h1) = %q, %v, %v", by, ok, err)
	}
	if _, ok, err := s.Applied(t.Context(), "h2"); ok || err != nil {
		t.Errorf("a refused plan counts as applied: %v, %v", ok, err)
	}
}

func concurrent(t *testing.T, s *store.Store) {
	const writers, each = 4, 10
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			for i := range each {
				r := record("r1", fmt.Sprintf("session %d of writer %d", i, w), noon())
				if err := s.SaveRecords(t.Context(), []netp.Record{r}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	got, err := s.Records(t.Context(), "r1")
	if err != nil || len(got) != writers*each {
		t.Errorf("%d records, %v; want %d", len(got), err, writers*each)
	}
}

func batch(t *testing.T, s *store.Store) {
	a, b := record("r1", "a", noon()), record("r1", "b", noon())
	if err := s.SaveRecords(t.Context(), []netp.Record{a}); err != nil {
		t.Fatal(err)
	}
	a.Status = netp.Fail
	if err := s.SaveRecords(t.Context(), []netp.Record{b, a}); !errors.Is(err, store.ErrRecorded) {
		t.Errorf("batch with a duplicate: %v, want ErrRecorded", err)
	}
	got, err := s.Records(t.Context(), "r1")
	if err != nil || len(got) != 1 {
		t.Errorf("%d records after the failed batch, %v; want 1", len(got), err)
	}
}

func feed(t *testing.T, s *store.Store) {
	var want []netp.Record
	for i := range 5 {
		r := record("r", fmt.Sprintf("s%d", 4-i), noon().Add(-time.Duration(i)*time.Hour))
		want = append(want, r)
		if err := s.SaveRecords(t.Context(), []netp.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	var got []netp.Record
	position, err := s.SinkPosition(t.Context(), "sink.x")
	for err == nil {
		var page []store.Numbered
		if page, err = s.RecordsAfter(t.Context(), position, 2); len(page) == 0 {
			break
		}
		for _, n := range page {
			if n.Position <= position {
				t.Fatalf("position %d does not follow %d", n.Position, position)
			}
			position = n.Position
			got = append(got, n.Record)
		}
		err = s.SetSinkPosition(t.Context(), "sink.x", position)
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if p, err := s.SinkPosition(t.Context(), "sink.x"); err != nil || p != position {
		t.Errorf("position %d, %v; want %d", p, err, position)
	}
	if p, err := s.SinkPosition(t.Context(), "sink.new"); err != nil || p != 0 {
		t.Errorf("position of a new sink %d, %v; want 0", p, err)
	}
}
