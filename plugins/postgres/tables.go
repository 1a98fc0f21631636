package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// The tables. Figures are in SI units; netp_metric names them as a condition does:
// loss.ratio, delay.p99. netp_record.record is the whole record, and what netp itself
// reads; the other columns are there to search by.
const createTables = `
CREATE TABLE netp_record (
	id        text PRIMARY KEY,
	run       text NOT NULL,
	suite     text NOT NULL,
	revision  text NOT NULL,
	test      text NOT NULL,
	session   text NOT NULL,
	kind      text NOT NULL,
	path      text NOT NULL,
	source    text NOT NULL,
	dest      text NOT NULL,
	via       text NOT NULL,
	tags      jsonb NOT NULL,
	status    text NOT NULL,
	failure   text,
	attempts  integer NOT NULL,
	scheduled timestamptz,
	started   timestamptz,
	ended     timestamptz,
	written   timestamptz NOT NULL,
	record    jsonb NOT NULL
);
CREATE INDEX netp_record_written ON netp_record (written);
CREATE INDEX netp_record_test ON netp_record (suite, test, path, written);
CREATE TABLE netp_assertion (
	record_id text NOT NULL REFERENCES netp_record (id) ON DELETE CASCADE,
	position  integer NOT NULL,
	assertion text NOT NULL,
	severity  text NOT NULL,
	status    text NOT NULL,
	condition text NOT NULL,
	message   text NOT NULL,
	reason    text NOT NULL,
	estimates jsonb NOT NULL,
	limits    jsonb NOT NULL,
	PRIMARY KEY (record_id, position)
);
CREATE TABLE netp_metric (
	record_id text NOT NULL REFERENCES netp_record (id) ON DELETE CASCADE,
	metric    text NOT NULL,
	value     double precision NOT NULL,
	PRIMARY KEY (record_id, metric)
);`

// prepare makes the tables when they are not there. An account that may only write
// works with tables that somebody else made.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('netp sink tables'))`); err != nil {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT to_regclass('netp_metric') IS NOT NULL`).Scan(&there); err != nil || there {
			return err
		}
		if _, err := tx.Exec(ctx, createTables); err != nil {
			return fmt.Errorf("create the tables: %w", err)
		}
		return nil
	})
}

const insertRecord = `
INSERT INTO netp_record (id, run, suite, revision, test, session, kind, path, source, dest, via, tags,
	status, failure, attempts, scheduled, started, ended, written, record)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
ON CONFLICT (id) DO UPDATE SET run = excluded.run, suite = excluded.suite, revision = excluded.revision,
	test = excluded.test, session = excluded.session, kind = excluded.kind, path = excluded.path,
	source = excluded.source, dest = excluded.dest, via = excluded.via, tags = excluded.tags,
	status = excluded.status, failure = excluded.failure, attempts = excluded.attempts,
	scheduled = excluded.scheduled, started = excluded.started, ended = excluded.ended,
	written = excluded.written, record = excluded.record`

const (
	deleteAssertions = `DELETE FROM netp_assertion WHERE record_id = $1`
	insertAssertion  = `
INSERT INTO netp_assertion (record_id, position, assertion, severity, status, condition, message, reason, estimates, limits)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`
	deleteMetrics = `DELETE FROM netp_metric WHERE record_id = $1`
	insertMetrics = `
INSERT INTO netp_metric (record_id, metric, value) SELECT $1, * FROM unnest($2::text[], $3::double precision[])`
)
