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
// Version 3, 2026-11: when runs ended; begun (the plans of unfinished runs), slots,
// attempts, standing, notes; pruned, and a counter for the feed, so that what has
// grown old can go. A run of before counts as ended with its last record.
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
	}, {
		`ALTER TABLE runs ADD COLUMN ended BIGINT NOT NULL DEFAULT 0`,
		`UPDATE runs SET ended = COALESCE((SELECT MAX(written) FROM records WHERE records.run = runs.id), started)`,
		`CREATE INDEX runs_by_end ON runs (ended)`,
		`CREATE TABLE begun (
			run TEXT PRIMARY KEY, body BLOB NOT NULL, sum TEXT NOT NULL)`,
		`CREATE TABLE slots (
			suite TEXT NOT NULL, test TEXT NOT NULL, start BIGINT NOT NULL, run TEXT NOT NULL,
			PRIMARY KEY (suite, test, start))`,
		`CREATE INDEX slots_by_run ON slots (run)`,
		`CREATE TABLE attempts (
			run TEXT NOT NULL, session TEXT NOT NULL, attempt BIGINT NOT NULL,
			body BLOB NOT NULL, sum TEXT NOT NULL,
			PRIMARY KEY (run, session, attempt))`,
		`CREATE TABLE standing (
			suite TEXT PRIMARY KEY, body BLOB NOT NULL, sum TEXT NOT NULL)`,
		`CREATE TABLE notes (
			name TEXT PRIMARY KEY, body BLOB NOT NULL, sum TEXT NOT NULL)`,
		`CREATE TABLE pruned (run TEXT PRIMARY KEY)`,
		`CREATE TABLE feed_end (position BIGINT NOT NULL)`,
		`INSERT INTO feed_end (position) SELECT COALESCE(MAX(position), 0) FROM feed`,
		`CREATE INDEX feed_by_run ON feed (run, position)`,
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
		err := t.row(ctx, `SELECT version FROM netp_schema`).Scan(&version)
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
		if s.dialect.migrate != "" {
			if _, err := t.exec(ctx, s.dialect.migrate); err != nil {
				return err
			}
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
