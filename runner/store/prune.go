package store

import (
	"context"
	"math"
	"time"
)

// pruneBatch is how many rows a commit of Prune deletes at most, so that it never
// keeps others from writing for long.
const pruneBatch = 500

// Prune deletes the runs that ended before a time with everything that belongs to
// them, and says how many. It keeps a run for as long as a sink has not acknowledged
// all its records; a sink is known from its first SetSinkPosition until ForgetSink.
// Of the slots of each test the newest stays. What it was interrupted in, the next
// call continues.
func (s *Store) Prune(ctx context.Context, before time.Time) (runs int, err error) {
	for {
		for left := true; left; {
			if left, err = s.dismantle(ctx); err != nil {
				return runs, err
			}
		}
		n, err := s.condemn(ctx, before)
		if n == 0 || err != nil {
			return runs, err
		}
		runs += n
	}
}

// condemn takes runs out of the list. From then on their records are no run's, and
// are deleted bit by bit.
func (s *Store) condemn(ctx context.Context, before time.Time) (runs int, err error) {
	err = s.write(ctx, "prune", func(t *transaction) error {
		var acknowledged int64
		if err := t.row(ctx, `SELECT COALESCE(MIN(position), ?) FROM sinks`, int64(math.MaxInt64)).Scan(&acknowledged); err != nil {
			return err
		}
		n, err := t.exec(ctx, `INSERT INTO pruned (run) SELECT id FROM runs
			WHERE ended > 0 AND ended < ? AND NOT EXISTS
				(SELECT 1 FROM feed WHERE feed.run = runs.id AND feed.position > ?)
			ORDER BY ended LIMIT ?`, before.UnixNano(), acknowledged, pruneBatch)
		if err != nil {
			return err
		}
		runs = int(n)
		return t.each(ctx, nil,
			`DELETE FROM runs WHERE id IN (SELECT run FROM pruned)`,
			`DELETE FROM slots WHERE run IN (SELECT run FROM pruned) AND EXISTS
				(SELECT 1 FROM slots AS newer WHERE newer.suite = slots.suite AND newer.test = slots.test AND newer.start > slots.start)`)
	})
	return runs, err
}

// dismantle deletes a part of what belongs to condemned runs, and in the end their
// names; left says that there was something.
func (s *Store) dismantle(ctx context.Context) (left bool, err error) {
	err = s.write(ctx, "prune", func(t *transaction) error {
		left = false
		for _, text := range []string{
			`DELETE FROM feed WHERE position IN
				(SELECT position FROM feed WHERE run IN (SELECT run FROM pruned) LIMIT ?)`,
			`DELETE FROM records WHERE (run, session) IN
				(SELECT run, session FROM records WHERE run IN (SELECT run FROM pruned) LIMIT ?)`,
			`DELETE FROM parts WHERE (run, session, attempt, part) IN
				(SELECT run, session, attempt, part FROM parts WHERE run IN (SELECT run FROM pruned) LIMIT ?)`,
			`DELETE FROM attempts WHERE (run, session, attempt) IN
				(SELECT run, session, attempt FROM attempts WHERE run IN (SELECT run FROM pruned) LIMIT ?)`,
		} {
			n, err := t.exec(ctx, text, pruneBatch)
			if err != nil {
				return err
			}
			left = left || n > 0
		}
		if left {
			return nil
		}
		_, err := t.exec(ctx, `DELETE FROM pruned`)
		return err
	})
	return left, err
}
