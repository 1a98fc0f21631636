package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// migrations bring the schema from version n to n+1, in order; they are never
// changed once released, only added to. The version is the number applied.
//
// Version 1, 2026-11: runs, parts, records, states, plans.
// Version 2, 2026-11: feed (the order records were written in), sinks.
func migrations() [][]string {
	return [][]string{{
		`CREATE TABLE runs (
			id TEXT PRIMARY KEY, suite TEXT NOT NULL, started BIGINT NOT NULL,
			body BLOB NOT NULL, sum TEXT NOT NULL)`,
		`CREATE INDEX runs_by_suite ON runs (suite, started)`,
		`CREATE TABLE parts (
			run TEXT NOT NULL, session TEXT NOT NULL, attempt BIGINT NOT NULL, part TEXT NOT NULL,
			body BLOB, sum TEXT NOT NULL,
			PRIMARY KEY (run, session, attempt, part))`,
		`CREATE TABLE records (
			run TEXT NOT NULL, session TEXT NOT NULL,
			suite TEXT NOT NULL, test TEXT NOT NULL, path TEXT NOT NULL, pair TEXT NOT NULL,
			status TEXT NOT NULL, written BIGINT NOT NULL,
			body BLOB NOT NULL, sum TEXT NOT NULL,
			PRIMARY KEY (run, session))`,
		`CREATE INDEX records_by_path ON records (path, written)`,
		`CREATE INDEX records_by_pair ON records (pair, written)`,
		`CREATE TABLE states (
			suite TEXT PRIMARY KEY, serial BIGINT NOT NULL, body BLOB NOT NULL, sum TEXT NOT NULL)`,
		`CREATE TABLE plans (
			hash TEXT PRIMARY KEY, suite TEXT NOT NULL, run TEXT NOT NULL)`,
	}, {
		`CREATE TABLE feed (
			position BIGINT PRIMARY KEY, run TEXT NOT NULL, session TEXT NOT NULL)`,
		`INSERT INTO feed (position, run, session)
			SELECT ROW_NUMBER() OVER (ORDER BY written, run, session), run, session FROM records`,
		`CREATE TABLE sinks (
			name TEXT PRIMARY KEY, position BIGINT NOT NULL)`,
	}}
}

// migrate applies what the database lacks. Two processes that open a new file at
// once both succeed: the transaction takes the write lock when it begins.
func (s *Store) migrate(ctx context.Context) error {
	return s.write(ctx, "prepare database", func(t *transaction) error {
		if _, err := t.exec(ctx, `CREATE TABLE IF NOT EXISTS netp_schema (version BIGINT NOT NULL)`); err != nil {
			return err
		}
		version := 0
		err := t.tx.QueryRowContext(ctx, `SELECT version FROM netp_schema`).Scan(&version)
		if errors.Is(err, sql.ErrNoRows) {
			_, err = t.exec(ctx, `INSERT INTO netp_schema (version) VALUES (0)`)
		}
		if err != nil {
			return err
		}
		steps := migrations()
		if version > len(steps) {
			return fmt.Errorf("%w (schema %d, this one knows %d); use that version", ErrNewer, version, len(steps))
		}
		if version == len(steps) {
			return nil
		}
		for _, step := range steps[version:] {
			for _, statement := range step {
				if _, err := t.exec(ctx, s.dialect.schema(statement)); err != nil {
					return err
				}
			}
		}
		_, err = t.exec(ctx, `UPDATE netp_schema SET version = ?`, len(steps))
		return err
	})
}
