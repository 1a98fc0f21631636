package store

import (
	"context"
	"fmt"
	"strconv"
)

// SaveAttempts stores tries at sessions before they are ordered, all in one commit.
// One that is there already is replaced.
func (s *Store) SaveAttempts(ctx context.Context, attempts []Attempt) error {
	return s.write(ctx, "save attempts in", func(t *transaction) error {
		for _, a := range attempts {
			body, sum, err := pack(a, attemptName(a)...)
			if err != nil {
				return fmt.Errorf("attempt at session %s: %w", a.Session, err)
			}
			_, err = t.exec(ctx, `INSERT INTO attempts (run, session, attempt, body, sum) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (run, session, attempt) DO UPDATE SET body = excluded.body, sum = excluded.sum`,
				a.Run, a.Session, a.Attempt, body, sum)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func attemptName(a Attempt) []string { return []string{a.Run, a.Session, strconv.Itoa(a.Attempt)} }

// Attempts lists the tries at the sessions of a run, by session and number. Once
// the run has ended only those remain whose session has no record.
func (s *Store) Attempts(ctx context.Context, run string) ([]Attempt, error) {
	var out []Attempt
	err := s.query(ctx, "read attempts in",
		`SELECT session, attempt, body, sum FROM attempts WHERE run = ? ORDER BY session, attempt`, []any{run},
		func(scan func(...any) error) error {
			a := Attempt{Run: run}
			var body []byte
			var sum string
			if err := scan(&a.Session, &a.Attempt, &body, &sum); err != nil {
				return err
			}
			if err := s.unpack(body, sum, &a, "attempt", attemptName(a)...); err != nil {
				return err
			}
			out = append(out, a)
			return nil
		})
	return out, err
}
