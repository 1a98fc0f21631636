package store

import (
	"context"
	"fmt"
	"time"
)

// install replaces what is installed of a suite, or removes it when there is
// nothing to install.
func install(ctx context.Context, t *transaction, suite string, p *StandingPlan) error {
	if p == nil {
		_, err := t.exec(ctx, `DELETE FROM standing WHERE suite = ?`, suite)
		return err
	}
	body, sum, err := pack(p, suite)
	if err != nil {
		return fmt.Errorf("standing tests of suite %s: %w", suite, err)
	}
	_, err = t.exec(ctx, `INSERT INTO standing (suite, body, sum) VALUES (?, ?, ?)
		ON CONFLICT (suite) DO UPDATE SET body = excluded.body, sum = excluded.sum`, suite, body, sum)
	return err
}

// StandingPlans lists what is installed, by suite.
func (s *Store) StandingPlans(ctx context.Context) ([]StandingPlan, error) {
	var out []StandingPlan
	err := s.query(ctx, "list standing tests in", `SELECT suite, body, sum FROM standing ORDER BY suite`, nil,
		func(scan func(...any) error) error {
			var p StandingPlan
			var suite, sum string
			var body []byte
			if err := scan(&suite, &body, &sum); err != nil {
				return err
			}
			if err := s.unpack(body, sum, &p, "standing tests of suite", suite); err != nil {
				return err
			}
			out = append(out, p)
			return nil
		})
	return out, err
}

// LastSlots gives the newest slot that was begun of each test of a suite, in UTC,
// by the test's address.
func (s *Store) LastSlots(ctx context.Context, suite string) (map[string]time.Time, error) {
	out := make(map[string]time.Time)
	err := s.query(ctx, "read slots in", `SELECT test, MAX(start) FROM slots WHERE suite = ? GROUP BY test`, []any{suite},
		func(scan func(...any) error) error {
			var test string
			var start int64
			if err := scan(&test, &start); err != nil {
				return err
			}
			out[test] = time.Unix(0, start).UTC()
			return nil
		})
	return out, err
}
