package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

func openTogether(t *testing.T, d Database) {
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			s, err := store.Open(t.Context(), d.Where, nil)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	group.Wait()
}

// feedTogether has two stores write while a sink reads through a third: the sink
// must see every record, each once, in the order of the positions.
func feedTogether(t *testing.T, d Database) {
	const writers, each = 2, 60
	reader := d.Open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var group sync.WaitGroup
	for w := range writers {
		s := d.Open(t)
		group.Go(func() {
			for i := range each {
				r := record(fmt.Sprintf("run%d", w), fmt.Sprintf("session %d", i), noon())
				if err := s.SaveRecords(ctx, []netp.Record{r}); err != nil {
					t.Error(err)
					cancel()
					return
				}
			}
		})
	}
	seen, position := map[string]bool{}, uint64(0)
	for len(seen) < writers*each && ctx.Err() == nil {
		page, err := reader.RecordsAfter(ctx, position, 7)
		if err != nil {
			t.Error(err)
			break
		}
		for _, n := range page {
			if n.Position != position+1 || seen[n.Record.ID] {
				t.Fatalf("position %d with %s follows %d; seen before: %v", n.Position, n.Record.ID, position, seen[n.Record.ID])
			}
			position, seen[n.Record.ID] = n.Position, true
		}
	}
	group.Wait()
	if len(seen) != writers*each {
		t.Errorf("the sink saw %d records, want %d", len(seen), writers*each)
	}
}

// race calls try at the same moment with several stores, and counts those that
// succeed; the others must fail with lost.
func race(t *testing.T, d Database, lost error, try func(i int, s *store.Store) error) (won int) {
	t.Helper()
	const stores = 3
	var mu sync.Mutex
	var group sync.WaitGroup
	gate := make(chan struct{})
	for i := range stores {
		s := d.Open(t)
		group.Go(func() {
			<-gate
			err := try(i, s)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, lost):
				t.Errorf("%v, want %v", err, lost)
			}
		})
	}
	close(gate)
	group.Wait()
	return won
}

func slotTogether(t *testing.T, d Database) {
	for turn := range 5 {
		start := noon().Add(time.Duration(turn) * time.Minute)
		won := race(t, d, store.ErrSlotTaken, func(i int, s *store.Store) error {
			return s.BeginRun(t.Context(), slotRun(fmt.Sprintf("%04d-%04d", turn, i), "test.a", start), somePlan(1))
		})
		if won != 1 {
			t.Errorf("%d runs took one slot", won)
		}
	}
	if all, err := d.Open(t).Unfinished(t.Context()); err != nil || len(all) != 5 {
		t.Errorf("%d runs, %v; want one for each of 5 slots", len(all), err)
	}
}

func stateTogether(t *testing.T, d Database) {
	won := race(t, d, store.ErrConflict, func(i int, s *store.Store) error {
		return s.Apply(t.Context(), store.Application{Suite: "s", PlanHash: fmt.Sprint(i), After: plan.State{Lineage: fmt.Sprint(i), Serial: 1}})
	})
	if won != 1 {
		t.Errorf("%d changed one state", won)
	}
}

// damaged changes each kind of body behind the store's back.
func damaged(t *testing.T, d Database) {
	s := d.Open(t)
	finished(t, s, run("0000", "s", noon()), noon())
	begin(t, s, run("1111", "s", noon()))
	p := part(1, netp.Initiator)
	if err := s.SaveParts(t.Context(), []netp.Result{p}); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveNote(t.Context(), "n", 1); err != nil {
		t.Fatal(err)
	}
	installed := &store.StandingPlan{Suite: "s", Plan: somePlan(1)}
	if err := s.Apply(t.Context(), store.Application{Suite: "s", PlanHash: "h", After: plan.State{Serial: 1}, Standing: installed}); err != nil {
		t.Fatal(err)
	}
	for table, read := range map[string]func() error{
		"runs":     func() error { _, err := s.Runs(t.Context(), "", 0); return err },
		"records":  func() error { _, err := s.Records(t.Context(), "0000"); return err },
		"parts":    func() error { _, err := s.Parts(t.Context(), p.Run, p.Session); return err },
		"attempts": func() error { _, err := s.Attempts(t.Context(), "0000"); return err },
		"begun":    func() error { _, err := s.Unfinished(t.Context()); return err },
		"states":   func() error { _, err := s.State(t.Context(), "s"); return err },
		"standing": func() error { _, err := s.StandingPlans(t.Context()); return err },
		"notes":    func() error { var v int; _, err := s.Note(t.Context(), "n", &v); return err },
	} {
		if err := read(); err != nil {
			t.Errorf("%s before the damage: %v", table, err)
		}
		d.Exec(t, "UPDATE "+table+" SET body = substr(body, 1, length(body) - 1)")
		var damage *store.Damaged
		if err := read(); !errors.As(err, &damage) {
			t.Errorf("%s with a body cut short: %v, want Damaged", table, err)
		}
		d.Exec(t, "UPDATE "+table+" SET sum = ''")
		if err := read(); !errors.As(err, &damage) {
			t.Errorf("%s with another sum: %v, want Damaged", table, err)
		}
		if table == "runs" { // which the unfinished ones are read from, too
			d.Exec(t, "DELETE FROM runs")
			begin(t, s, run("1111", "s", noon()))
		}
	}
}

// halfway cancels writes of many rows: each is there as a whole, or not at all.
func halfway(t *testing.T, d Database) {
	s := d.Open(t)
	const batches, size = 20, 50
	for b := range batches {
		var records []netp.Record
		for i := range size {
			records = append(records, record(fmt.Sprintf("run%d", b), fmt.Sprint(i), noon()))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(b)*time.Millisecond)
		_ = s.SaveRecords(ctx, records) // it may end in time
		cancel()
		if got, err := s.Records(t.Context(), fmt.Sprintf("run%d", b)); err != nil || len(got) != 0 && len(got) != size {
			t.Errorf("%d records of a batch of %d, %v", len(got), size, err)
		}
		if err := s.SaveRecords(t.Context(), records); err != nil {
			t.Errorf("the same write again: %v", err)
		}
	}
	if all, err := s.RecordsAfter(t.Context(), 0, 2*batches*size); err != nil || len(all) != batches*size || all[len(all)-1].Position != batches*size {
		t.Errorf("%d records in the feed, %v; want %d without a gap", len(all), err, batches*size)
	}
}
