package store

import (
	"context"
	"fmt"
	"time"

	"github.com/netpupper/netp/plan"
)

// BeginRun writes a run that begins with the plan that it executes and, for a turn
// of a standing test, takes the slot: all in one commit. The error is ErrSlotTaken
// when another run has the slot.
func (s *Store) BeginRun(ctx context.Context, r Run, p *plan.Plan) error {
	id := r.Report.Run
	body, sum, err := pack(p, id)
	if err != nil {
		return fmt.Errorf("begin run %s: plan: %w", id, err)
	}
	return s.write(ctx, "begin run in", func(t *transaction) error {
		if err := takeSlot(ctx, t, id, r.Slot); err != nil {
			return err
		}
		if err := saveRun(ctx, t, r); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO begun (run, body, sum) VALUES (?, ?, ?)
			ON CONFLICT (run) DO UPDATE SET body = excluded.body, sum = excluded.sum`, id, body, sum)
		return err
	})
}

func takeSlot(ctx context.Context, t *transaction, run string, slot *Slot) error {
	if slot == nil {
		return nil
	}
	start := slot.Start.UnixNano()
	n, err := t.exec(ctx, `INSERT INTO slots (suite, test, start, run) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, slot.Suite, slot.Test, start, run)
	if err != nil || n > 0 {
		return err
	}
	var holder string
	err = t.row(ctx, `SELECT run FROM slots WHERE suite = ? AND test = ? AND start = ?`, slot.Suite, slot.Test, start).Scan(&holder)
	if err == nil && holder != run {
		err = fmt.Errorf("%s of suite %s at %s, by run %s: %w", slot.Test, slot.Suite, slot.Start.Format(time.RFC3339), holder, ErrSlotTaken)
	}
	return err
}

// Unfinished lists the runs that began with BeginRun and have not ended, the oldest
// first.
func (s *Store) Unfinished(ctx context.Context) ([]Unfinished, error) {
	var out []Unfinished
	err := s.query(ctx, "list unfinished runs in",
		`SELECT runs.id, runs.body, runs.sum, begun.body, begun.sum
		 FROM begun JOIN runs ON runs.id = begun.run ORDER BY runs.started, runs.id`, nil,
		func(scan func(...any) error) error {
			var id, runSum, planSum string
			var runBody, planBody []byte
			if err := scan(&id, &runBody, &runSum, &planBody, &planSum); err != nil {
				return err
			}
			u := Unfinished{Plan: new(plan.Plan)}
			if err := s.unpack(runBody, runSum, &u.Run, "run", id); err != nil {
				return err
			}
			if err := s.unpack(planBody, planSum, u.Plan, "plan of run", id); err != nil {
				return err
			}
			out = append(out, u)
			return nil
		})
	return out, err
}
