package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/netpupper/netp/plan"
)

// State loads what has been applied of a suite; the zero State when nothing was.
func (s *Store) State(ctx context.Context, suite string) (plan.State, error) {
	var state plan.State
	err := s.query(ctx, "read state in", `SELECT body, sum FROM states WHERE suite = ?`, []any{suite},
		func(scan func(...any) error) error {
			var body []byte
			var sum string
			if err := scan(&body, &sum); err != nil {
				return err
			}
			return s.unpack(body, sum, &state, "state of suite", suite)
		})
	return state, err
}

// Application is a plan being applied.
type Application struct {
	Suite    string
	PlanHash string
	Run      string
	// Before is the state the plan was made against, After what it becomes. After's
	// serial must be greater.
	Before, After plan.State
	// Standing is what becomes installed of the suite; nil for nothing.
	Standing *StandingPlan
}

// Apply notes that a plan is applied, replaces the state and what is installed of
// the suite: all of it or nothing. It returns ErrConflict when the state is not the
// one the plan was made against, and ErrApplied when the plan was applied before.
func (s *Store) Apply(ctx context.Context, a Application) error {
	if a.After.Serial <= a.Before.Serial {
		return fmt.Errorf("apply suite %s: serial %d does not follow %d", a.Suite, a.After.Serial, a.Before.Serial)
	}
	body, sum, err := pack(a.After, a.Suite)
	if err != nil {
		return fmt.Errorf("apply suite %s: %w", a.Suite, err)
	}
	again := false
	return s.write(ctx, "save state in", func(t *transaction) error {
		n, err := t.exec(ctx, `INSERT INTO plans (hash, suite, run) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, a.PlanHash, a.Suite, a.Run)
		if err != nil {
			return err
		}
		if n == 0 && again { // perhaps only the answer to the first try was lost
			return wasApplied(ctx, t, a.Suite, sum)
		}
		if n == 0 {
			return ErrApplied
		}
		again = true
		current, err := s.currentState(ctx, t, a.Suite)
		if err != nil {
			return err
		}
		if current.Lineage != a.Before.Lineage || current.Serial != a.Before.Serial {
			return ErrConflict
		}
		_, err = t.exec(ctx, `INSERT INTO states (suite, serial, body, sum) VALUES (?, ?, ?, ?)
			ON CONFLICT (suite) DO UPDATE SET serial = excluded.serial, body = excluded.body, sum = excluded.sum`,
			a.Suite, int64(a.After.Serial), body, sum)
		if err != nil {
			return err
		}
		return install(ctx, t, a.Suite, a.Standing)
	})
}

// wasApplied is ErrApplied unless a suite's state is the one with a checksum.
func wasApplied(ctx context.Context, t *transaction, suite, sum string) error {
	var there string
	err := t.row(ctx, `SELECT sum FROM states WHERE suite = ?`, suite).Scan(&there)
	if errors.Is(err, sql.ErrNoRows) || err == nil && there != sum {
		return ErrApplied
	}
	return err
}

func (s *Store) currentState(ctx context.Context, t *transaction, suite string) (plan.State, error) {
	var state plan.State
	var body []byte
	var sum string
	err := t.row(ctx, `SELECT body, sum FROM states WHERE suite = ?`, suite).Scan(&body, &sum)
	if errors.Is(err, sql.ErrNoRows) {
		return state, nil
	}
	if err != nil {
		return state, err
	}
	return state, s.unpack(body, sum, &state, "state of suite", suite)
}

// Applied reports whether the plan with this hash was applied, and by which run.
func (s *Store) Applied(ctx context.Context, planHash string) (run string, ok bool, err error) {
	err = s.query(ctx, "read plans in", `SELECT run FROM plans WHERE hash = ?`, []any{planHash}, func(scan func(...any) error) error {
		ok = true
		return scan(&run)
	})
	return run, ok, err
}
