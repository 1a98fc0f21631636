package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/netpupper/netp"
)

// Run is one run as the history keeps it.
type Run struct {
	// Report is the account without its records. Until the run has finished its
	// Ended is zero and its Status empty.
	Report   netp.Report `json:"report"`
	PlanHash string      `json:"plan_hash,omitempty"`
	Version  string      `json:"netp_version,omitempty"`
	Sessions int         `json:"sessions"` // planned
	Trigger  Trigger     `json:"trigger,omitempty"`
	Slot     *Slot       `json:"slot,omitempty"` // of a standing test
	Terms    Terms       `json:"terms,omitzero"`
}

// Finished reports whether the run came to its end; one that did not was killed
// or is still running.
func (r Run) Finished() bool { return !r.Report.Ended.IsZero() }

// With gives the run's report with its records. That of a run that has not ended
// counts those that are there.
func (r Run) With(records []netp.Record) netp.Report {
	report := r.Report
	report.Records = records
	if !r.Finished() {
		report.Counts = netp.Counts{}
		for _, record := range records {
			report.Counts.Add(record.Status)
		}
	}
	return report
}

// SaveRun writes a run when it starts, and again with the outcome when it ends.
// With the outcome its stored plan goes, and so do the attempts at all sessions
// that have their record.
func (s *Store) SaveRun(ctx context.Context, r Run) error {
	return s.write(ctx, "save run in", func(t *transaction) error { return saveRun(ctx, t, r) })
}

func saveRun(ctx context.Context, t *transaction, r Run) error {
	r.Report.Records = nil
	id, ended := r.Report.Run, int64(0)
	if r.Finished() {
		ended = r.Report.Ended.UnixNano()
	}
	body, sum, err := pack(r, id)
	if err != nil {
		return fmt.Errorf("run %s: %w", id, err)
	}
	_, err = t.exec(ctx, `INSERT INTO runs (id, suite, started, ended, body, sum) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, body = excluded.body, sum = excluded.sum`,
		id, r.Report.Suite, r.Report.Started.UnixNano(), ended, body, sum)
	if err != nil || !r.Finished() {
		return err
	}
	return t.each(ctx, []any{id},
		`DELETE FROM begun WHERE run = ?`,
		`DELETE FROM attempts WHERE run = ? AND EXISTS
			(SELECT 1 FROM records WHERE records.run = attempts.run AND records.session = attempts.session)`)
}

// Runs lists runs, the latest first: at most limit (0 for all) and only those of
// the suite unless it is "".
func (s *Store) Runs(ctx context.Context, suite string, limit int) ([]Run, error) {
	text, args := `SELECT id, body, sum FROM runs`, []any{}
	if suite != "" {
		text, args = text+` WHERE suite = ?`, append(args, suite)
	}
	text += ` ORDER BY started DESC, id DESC`
	if limit > 0 {
		text, args = text+` LIMIT ?`, append(args, limit)
	}
	return s.runs(ctx, text, args)
}

func (s *Store) runs(ctx context.Context, text string, args []any) ([]Run, error) {
	var out []Run
	err := s.query(ctx, "list runs in", text, args, func(scan func(...any) error) error {
		var id, sum string
		var body []byte
		if err := scan(&id, &body, &sum); err != nil {
			return err
		}
		var r Run
		if err := s.unpack(body, sum, &r, "run", id); err != nil {
			return err
		}
		out = append(out, r)
		return nil
	})
	return out, err
}

var idPart = regexp.MustCompile(`^[0-9a-f-]+$`)

// FindRun looks a run up by its id, or by a beginning or end of it (at least four
// characters) that no other run has. Errors are ErrNotFound and *Ambiguous.
func (s *Store) FindRun(ctx context.Context, id string) (Run, error) {
	id = strings.ToLower(id)
	if len(id) < 4 || len(id) > 36 || !idPart.MatchString(id) {
		return Run{}, fmt.Errorf("run %q: %w: an id has the form 0199c3a1-…, and four characters of it at least", id, ErrNotFound)
	}
	found, err := s.runs(ctx, `SELECT id, body, sum FROM runs WHERE id LIKE ? OR id LIKE ? ORDER BY started DESC LIMIT 10`, []any{id + "%", "%" + id})
	switch {
	case err != nil:
		return Run{}, err
	case len(found) == 0:
		return Run{}, fmt.Errorf("run %s in %s: %w", id, s.where, ErrNotFound)
	case len(found) > 1:
		a := &Ambiguous{ID: id}
		for _, r := range found {
			a.Runs = append(a.Runs, r.Report.Run)
		}
		return Run{}, a
	}
	return found[0], nil
}
