package store

import (
	"context"
	"fmt"
	"strconv"

	"github.com/netpupper/netp"
)

// SaveParts stores parts as they come from agents, all in one commit. A part that
// is there already, under the key (run, session, attempt, part), stays as it was.
func (s *Store) SaveParts(ctx context.Context, parts []netp.Result) error {
	bodies, sums := make([][]byte, len(parts)), make([]string, len(parts))
	for i, p := range parts { // before the turn: others write meanwhile
		var err error
		if bodies[i], sums[i], err = pack(p, partName(p)...); err != nil {
			return fmt.Errorf("part of session %s: %w", p.Session, err)
		}
	}
	return s.write(ctx, "save results in", func(t *transaction) error {
		for i, p := range parts {
			_, err := t.exec(ctx, `INSERT INTO parts (run, session, attempt, part, body, sum) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT DO NOTHING`, p.Run, p.Session, p.Attempt, string(p.Part), bodies[i], sums[i])
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func partName(p netp.Result) []string {
	return []string{p.Run, p.Session, strconv.Itoa(p.Attempt), string(p.Part)}
}

// Parts lists the parts of a session that no record holds: those of a session
// without a record yet, and those that came after it.
func (s *Store) Parts(ctx context.Context, run, session string) ([]netp.Result, error) {
	var out []netp.Result
	err := s.query(ctx, "read results in",
		`SELECT attempt, part, body, sum FROM parts WHERE run = ? AND session = ? AND body IS NOT NULL ORDER BY attempt, part`,
		[]any{run, session}, func(scan func(...any) error) error {
			p := netp.Result{Run: run, Session: session}
			var role, sum string
			var body []byte
			if err := scan(&p.Attempt, &role, &body, &sum); err != nil {
				return err
			}
			p.Part = netp.Role(role)
			if err := s.unpack(body, sum, &p, "part", partName(p)...); err != nil {
				return err
			}
			out = append(out, p)
			return nil
		})
	return out, err
}

// SaveRecords stores terminal records, all in one commit; the bodies of their
// parts go, for the record holds them, and their keys stay. A record that is there
// already, just as it is, stays; when a session has another one nothing at all is
// stored, and the error is ErrRecorded.
func (s *Store) SaveRecords(ctx context.Context, records []netp.Record) error {
	return s.write(ctx, "save records in", func(t *transaction) error {
		var fresh []netp.Record
		for _, r := range records {
			added, err := saveRecord(ctx, t, r)
			if err != nil {
				return err
			}
			if added {
				fresh = append(fresh, r)
			}
		}
		return enqueue(ctx, t, fresh)
	})
}

// saveRecord says whether the record was not there yet.
func saveRecord(ctx context.Context, t *transaction, r netp.Record) (bool, error) {
	session := r.Session.Addr
	body, sum, err := pack(r, r.Run, session)
	if err != nil {
		return false, fmt.Errorf("record of session %s: %w", session, err)
	}
	n, err := t.exec(ctx, `INSERT INTO records (run, session, suite, test, path, pair, status, written, body, sum)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		r.Run, session, r.Suite, r.Test, r.Session.Path.Addr, r.Session.Path.Key(), string(r.Status), r.Written.UnixNano(), body, sum)
	if err != nil {
		return false, err
	}
	if n == 0 {
		var there string
		err := t.row(ctx, `SELECT sum FROM records WHERE run = ? AND session = ?`, r.Run, session).Scan(&there)
		if err == nil && there != sum {
			err = fmt.Errorf("session %s of run %s: %w", session, r.Run, ErrRecorded)
		}
		return false, err
	}
	_, err = t.exec(ctx, `UPDATE parts SET body = NULL WHERE run = ? AND session = ?`, r.Run, session)
	return true, err
}

const selectRecord = `SELECT run, session, body, sum FROM records `

// Records lists the records of a run, ordered by session.
func (s *Store) Records(ctx context.Context, run string) ([]netp.Record, error) {
	return s.records(ctx, selectRecord+`WHERE run = ? ORDER BY session`, run)
}

func (s *Store) records(ctx context.Context, text string, args ...any) ([]netp.Record, error) {
	var out []netp.Record
	err := s.query(ctx, "read records in", text, args, func(scan func(...any) error) error {
		var run, session, sum string
		var body []byte
		if err := scan(&run, &session, &body, &sum); err != nil {
			return err
		}
		var r netp.Record
		if err := s.unpack(body, sum, &r, "record", run, session); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	})
	return out, err
}
