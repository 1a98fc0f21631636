package store

import (
	"context"

	"github.com/netpupper/netp"
)

// Numbered is a record with its position in the order of writing, from 1.
type Numbered struct {
	Position uint64
	Record   netp.Record
}

// RecordsAfter lists records in the order they were written, from the first one
// after a position, at most limit. Sinks read them so, each at its own pace.
func (s *Store) RecordsAfter(ctx context.Context, position uint64, limit int) ([]Numbered, error) {
	var out []Numbered
	err := s.query(ctx, "read records in",
		`SELECT feed.position, records.run, records.session, records.body, records.sum
		 FROM feed JOIN records ON records.run = feed.run AND records.session = feed.session
		 WHERE feed.position > ? ORDER BY feed.position LIMIT ?`, []any{int64(position), limit},
		func(scan func(...any) error) error {
			var n Numbered
			var run, session, sum string
			var body []byte
			if err := scan(&n.Position, &run, &session, &body, &sum); err != nil {
				return err
			}
			if err := s.unpack(body, sum, &n.Record, "record", run, session); err != nil {
				return err
			}
			out = append(out, n)
			return nil
		})
	return out, err
}

// SinkPosition is what a sink has acknowledged: 0, the beginning, for a new one.
func (s *Store) SinkPosition(ctx context.Context, sink string) (uint64, error) {
	var position uint64
	err := s.query(ctx, "read the position of a sink in", `SELECT position FROM sinks WHERE name = ?`, []any{sink},
		func(scan func(...any) error) error { return scan(&position) })
	return position, err
}

// SetSinkPosition keeps what a sink has acknowledged.
func (s *Store) SetSinkPosition(ctx context.Context, sink string, position uint64) error {
	return s.write(ctx, "save the position of a sink in", func(t *transaction) error {
		_, err := t.exec(ctx, `INSERT INTO sinks (name, position) VALUES (?, ?)
			ON CONFLICT (name) DO UPDATE SET position = excluded.position`, sink, int64(position))
		return err
	})
}

// ForgetSink forgets that there is a sink: what it has not acknowledged no longer
// keeps records from being pruned. Should it come back, it begins anew.
func (s *Store) ForgetSink(ctx context.Context, sink string) error {
	return s.write(ctx, "forget a sink in", func(t *transaction) error {
		_, err := t.exec(ctx, `DELETE FROM sinks WHERE name = ?`, sink)
		return err
	})
}

// enqueue gives records the next positions. Transactions that write follow one
// another, so that no record becomes visible after one with a greater position; and
// a position is never given twice, whatever has been pruned.
func enqueue(ctx context.Context, t *transaction, records []netp.Record) error {
	if len(records) == 0 {
		return nil
	}
	var end int64
	if err := t.row(ctx, `SELECT position FROM feed_end`).Scan(&end); err != nil {
		return err
	}
	for _, r := range records {
		end++
		if _, err := t.exec(ctx, `INSERT INTO feed (position, run, session) VALUES (?, ?, ?)`, end, r.Run, r.Session.Addr); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `UPDATE feed_end SET position = ?`, end)
	return err
}
