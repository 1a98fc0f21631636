package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/store"
)

// finished writes a run of one session that ended at a time, with a part and an
// attempt.
func finished(t *testing.T, s *store.Store, r store.Run, at time.Time) {
	t.Helper()
	begin(t, s, r)
	id := r.Report.Run
	p := part(1, netp.Initiator)
	p.Run, p.Session = id, "a"
	if err := s.SaveParts(t.Context(), []netp.Result{p}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveAttempts(t.Context(), []store.Attempt{{Run: id, Session: "lost", Attempt: 1, HardEnd: at}}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveRecords(t.Context(), []netp.Record{record(id, "a", at)}); err != nil {
		t.Fatal(err)
	}
	end(t, s, r, at)
}

func pruned(t *testing.T, s *store.Store, before time.Time, want int) {
	t.Helper()
	if n, err := s.Prune(t.Context(), before); n != want || err != nil {
		t.Errorf("pruned %d, %v; want %d", n, err, want)
	}
}

func prune(t *testing.T, s *store.Store) {
	day := 24 * time.Hour
	begin(t, s, run("0000", "s", noon().Add(-9*day))) // old, and not ended
	finished(t, s, slotRun("1111", "test.a", noon().Add(-5*day)), noon().Add(-5*day))
	finished(t, s, slotRun("2222", "test.a", noon().Add(-4*day)), noon().Add(-4*day))
	finished(t, s, slotRun("3333", "test.b", noon().Add(-4*day)), noon())
	pruned(t, s, noon().Add(-day), 2)
	pruned(t, s, noon().Add(-day), 0)
	kept, err := s.Runs(t.Context(), "", 0)
	if err != nil || len(kept) != 2 || kept[0].Report.Run != "3333" || kept[1].Report.Run != "0000" {
		t.Errorf("kept %+v, %v", kept, err)
	}
	records, err := s.History(t.Context(), store.Past{Path: "x->y"})
	if diff := cmp.Diff([]netp.Record{record("3333", "a", noon())}, records); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if left, err := s.Attempts(t.Context(), "1111"); err != nil || len(left) != 0 {
		t.Errorf("attempts of a pruned run: %v, %v", left, err)
	}
	slots, err := s.LastSlots(t.Context(), "s")
	want := map[string]time.Time{"test.a": noon().Add(-4 * day), "test.b": noon().Add(-4 * day)}
	if diff := cmp.Diff(want, slots); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if err := s.BeginRun(t.Context(), slotRun("4444", "test.a", noon().Add(-4*day)), somePlan(1)); !errors.Is(err, store.ErrSlotTaken) {
		t.Errorf("the newest slot after its run is gone: %v, want ErrSlotTaken", err)
	}
}

func pruneAcknowledged(t *testing.T, s *store.Store) {
	finished(t, s, run("1111", "s", noon()), noon())
	finished(t, s, run("2222", "s", noon()), noon())
	later := noon().Add(time.Hour)
	for _, c := range []struct {
		sink     string
		position uint64
		want     int
	}{{"sink.slow", 0, 0}, {"sink.fast", 2, 0}, {"sink.slow", 1, 1}} {
		if err := s.SetSinkPosition(t.Context(), c.sink, c.position); err != nil {
			t.Fatal(err)
		}
		pruned(t, s, later, c.want)
	}
	left, err := s.RecordsAfter(t.Context(), 1, 10)
	if err != nil || len(left) != 1 || left[0].Record.Run != "2222" {
		t.Errorf("the slow sink reads %+v, %v", left, err)
	}
	if err := s.ForgetSink(t.Context(), "sink.slow"); err != nil {
		t.Fatal(err)
	}
	pruned(t, s, later, 1)
}

func prunePositions(t *testing.T, s *store.Store) {
	finished(t, s, run("1111", "s", noon()), noon())
	pruned(t, s, noon().Add(time.Hour), 1)
	finished(t, s, run("2222", "s", noon()), noon())
	got, err := s.RecordsAfter(t.Context(), 0, 10)
	if err != nil || len(got) != 1 || got[0].Position != 2 {
		t.Errorf("after everything was pruned: %+v, %v; want position 2", got, err)
	}
}

// pruneInterrupted cuts pruning off again and again: in the end everything is gone,
// and no run was counted twice. The answer to a commit may be lost, and its count.
func pruneInterrupted(t *testing.T, s *store.Store) {
	const runs = 30
	for i := range runs {
		finished(t, s, run(fmt.Sprintf("%04d", i), "s", noon()), noon())
	}
	total := 0
	for cut := time.Millisecond; ; cut += time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), cut)
		n, err := s.Prune(ctx, noon().Add(time.Hour))
		cancel()
		total += n
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	if kept, err := s.Runs(t.Context(), "", 0); total > runs || err != nil || len(kept) != 0 {
		t.Errorf("%d runs were pruned of %d, %d are left, %v", total, runs, len(kept), err)
	}
	if left, err := s.RecordsAfter(t.Context(), 0, 10); err != nil || len(left) != 0 {
		t.Errorf("%d records are left, %v", len(left), err)
	}
}

func pruneLarge(t *testing.T, s *store.Store) {
	const sessions = 1200
	r := run("1111", "s", noon())
	begin(t, s, r)
	var records []netp.Record
	for i := range sessions {
		records = append(records, record("1111", fmt.Sprint(i), noon()))
	}
	if err := s.SaveRecords(t.Context(), records); err != nil {
		t.Fatal(err)
	}
	end(t, s, r, noon())
	pruned(t, s, noon().Add(time.Hour), 1)
	if left, err := s.Records(t.Context(), "1111"); err != nil || len(left) != 0 {
		t.Errorf("%d records left, %v", len(left), err)
	}
}
