package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/netpupper/netp"
)

// Past says which records of a path are asked for.
type Past struct {
	// Path is an address, path.core["syd->mel"], a whole block, path.core or
	// path.carrier["telco-a"], a pair, syd->mel, whatever block it is in, or a pair by
	// one interface, syd->mel via telco-a.
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
	if pair, via, found := strings.Cut(past.Path, " via "); found && !isAddress(past.Path) {
		return s.historyVia(ctx, past, pair, via)
	}
	condition, args := past.where()
	return s.listed(ctx, condition, args, past.Limit, 0)
}

// isAddress tells an address from a pair: it ends with an index.
func isAddress(path string) bool { return strings.HasSuffix(path, `"]`) }

// viaPage is how many records of a pair are read at a time to find those of one interface, which only their bodies name.
const viaPage = 200

func (s *Store) historyVia(ctx context.Context, past Past, pair, via string) ([]netp.Record, error) {
	var out []netp.Record
	whole := past
	whole.Path = pair
	condition, args := whole.where()
	for at := 0; ; at += viaPage {
		page, err := s.listed(ctx, condition, args, viaPage, at)
		if err != nil {
			return nil, err
		}
		if at == 0 && len(page) > 0 { // what is written meanwhile moves no page
			condition, args = condition+` AND written <= ?`, append(args, page[0].Written.UnixNano())
		}
		for _, r := range page {
			if r.Session.Path.Via == via {
				out = append(out, r)
			}
			if past.Limit > 0 && len(out) == past.Limit {
				return out, nil
			}
		}
		if len(page) < viaPage {
			return out, nil
		}
	}
}

// listed reads the records that meet a condition, the latest first: at most limit, 0 for all, after those that are skipped.
func (s *Store) listed(ctx context.Context, condition string, args []any, limit, skip int) ([]netp.Record, error) {
	keys := condition + ` ORDER BY written DESC, session`
	if limit > 0 {
		keys, args = keys+` LIMIT ? OFFSET ?`, slices.Concat(args, []any{limit, skip})
	}
	// The inner SELECT finds and sorts keys, not bodies.
	return s.records(ctx, selectRecord+`WHERE (run, session) IN (SELECT run, session FROM records WHERE `+keys+`) ORDER BY written DESC, session`, args...)
}

// where is the condition on records.
func (p Past) where() (string, []any) {
	condition, args := p.ofPath()
	if p.Suite != "" {
		condition, args = condition+` AND suite = ?`, append(args, p.Suite)
	}
	if p.Test != "" {
		condition, args = condition+` AND test = ?`, append(args, p.Test)
	}
	if !p.Since.IsZero() { // the zero time is long before what an int64 of nanoseconds holds
		condition, args = condition+` AND written >= ?`, append(args, p.Since.UnixNano())
	}
	return condition, args
}

// ofPath is the condition on the path. Addresses of a block are its own with an index
// in brackets, and so is the one of a block with for_each; \ comes after [.
func (p Past) ofPath() (string, []any) {
	inside := []any{p.Path + "[", p.Path + `\`}
	switch {
	case isAddress(p.Path):
		return `(path = ? OR path >= ? AND path < ?)`, append([]any{p.Path}, inside...)
	case strings.Contains(p.Path, "->"):
		return `pair = ?`, []any{p.Path}
	}
	return `path >= ? AND path < ?`, inside
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
