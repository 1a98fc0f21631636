package store

import (
	"context"
	"strings"
	"time"

	"github.com/netpupper/netp"
)

// Past says which records of a path are asked for.
type Past struct {
	// Path is an address, path.core["syd->mel"], a whole block, path.core, or a pair,
	// syd->mel, whatever block it is in.
	Path string
	// Suite and Test, test.voice, are those of the records; "" for any.
	Suite, Test string
	// Since is when they were written at the earliest; zero for any time.
	Since time.Time
	// Limit is how many there may be; 0 for all.
	Limit int
}

// History lists records of a path, the latest first.
func (s *Store) History(ctx context.Context, past Past) ([]netp.Record, error) {
	keys, args := past.where()
	if past.Suite != "" {
		keys, args = keys+` AND suite = ?`, append(args, past.Suite)
	}
	if past.Test != "" {
		keys, args = keys+` AND test = ?`, append(args, past.Test)
	}
	if !past.Since.IsZero() { // the zero time is long before what an int64 of nanoseconds holds
		keys, args = keys+` AND written >= ?`, append(args, past.Since.UnixNano())
	}
	keys += ` ORDER BY written DESC, session`
	if past.Limit > 0 {
		keys, args = keys+` LIMIT ?`, append(args, past.Limit)
	}
	// The inner SELECT finds and sorts keys, not bodies.
	return s.records(ctx, selectRecord+`WHERE (run, session) IN (SELECT run, session FROM records WHERE `+keys+`) ORDER BY written DESC, session`, args...)
}

// where is the condition on the path. Addresses of a block are its own with an index
// in brackets; \ comes after [.
func (p Past) where() (string, []any) {
	switch {
	case strings.HasSuffix(p.Path, `"]`):
		return `path = ?`, []any{p.Path}
	case strings.Contains(p.Path, "->"):
		return `pair = ?`, []any{p.Path}
	}
	return `path >= ? AND path < ?`, []any{p.Path + "[", p.Path + `\`}
}

// KnownPath is a path that has records.
type KnownPath struct {
	Path   string    `json:"path"`   // path.core["syd->mel"]
	Latest time.Time `json:"latest"` // when the latest record was written
}

// Paths lists the paths that have records, by address. It takes a step of the index
// for each, however many records there are.
func (s *Store) Paths(ctx context.Context) ([]KnownPath, error) {
	out := []KnownPath{}
	err := s.query(ctx, "list paths in",
		`WITH RECURSIVE known (path) AS (
			SELECT MIN(path) FROM records
			UNION ALL
			SELECT (SELECT MIN(path) FROM records WHERE records.path > known.path) FROM known WHERE known.path IS NOT NULL)
		 SELECT path, (SELECT MAX(written) FROM records WHERE records.path = known.path) FROM known WHERE path IS NOT NULL`, nil,
		func(scan func(...any) error) error {
			var p KnownPath
			var latest int64
			if err := scan(&p.Path, &latest); err != nil {
				return err
			}
			p.Latest = time.Unix(0, latest).UTC()
			out = append(out, p)
			return nil
		})
	return out, err
}
