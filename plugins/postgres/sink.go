package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
)

// sink writes each batch in one transaction.
type sink struct {
	config struct {
		URL     string `json:"url"`
		Schema  string `json:"schema"`
		Timeout string `json:"timeout"`
	}
	connect *pgx.ConnConfig
	conn    *pgx.Conn // nil before the first Write and after a lost connection
}

func newSink() sdk.Sink { return new(sink) }

func (*sink) Schema() sdk.Schema {
	return sdk.Schema{
		{Name: "url", Type: sdk.String, Required: true, Sensitive: true, Doc: `Connection string: "postgres://user:password@host:5432/database?sslmode=verify-full", or keyword=value pairs.`},
		{Name: "schema", Type: sdk.String, Doc: "Schema that holds the tables, which must exist; the account's default when left out."},
		{Name: "timeout", Type: sdk.String, Default: "10s", Doc: "How long connecting may take."},
	}
}

func (s *sink) Configure(_ context.Context, c sdk.Config) error {
	if err := c.Decode(&s.config); err != nil {
		return err
	}
	timeout, err := time.ParseDuration(s.config.Timeout)
	if err != nil || timeout <= 0 {
		return sdk.Invalid("timeout", `It is a duration, like "10s".`)
	}
	if s.connect, err = pgx.ParseConfig(s.config.URL); err != nil || s.config.URL == "" {
		return sdk.Invalid("url", `It is no connection string; write it like "postgres://user:password@host:5432/database".`)
	}
	s.connect.ConnectTimeout = timeout
	s.connect.RuntimeParams["application_name"] = "netp-sink-postgres"
	if s.config.Schema != "" {
		s.connect.RuntimeParams["search_path"] = pgx.Identifier{s.config.Schema}.Sanitize()
	}
	return nil
}

// Write stores the records, over whatever is there under their ids; those the database
// refuses for what they are become rejected ones.
func (s *sink) Write(ctx context.Context, records []netp.Record) error {
	if len(records) == 0 {
		return nil
	}
	err := s.open(ctx)
	if err == nil {
		err = sdk.Isolate(ctx, records, s.store)
	}
	if s.conn != nil && s.conn.IsClosed() {
		s.conn = nil
	}
	return err
}

func (s *sink) open(ctx context.Context) error {
	if s.conn != nil {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, s.connect)
	if err != nil {
		return err
	}
	if err := prepare(ctx, conn); err != nil {
		return errors.Join(err, conn.Close(ctx))
	}
	s.conn = conn
	return nil
}

func (s *sink) store(ctx context.Context, records []netp.Record) error {
	batch := new(pgx.Batch)
	for _, r := range records {
		if err := queue(batch, r); err != nil {
			return sdk.Permanent(fmt.Errorf("record %s: %w", r.ID, err))
		}
	}
	err := pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	if fault := (*pgconn.PgError)(nil); errors.As(err, &fault) && len(fault.Code) == 5 {
		switch fault.Code[:2] {
		case "22", "23", "54": // data exception, integrity constraint violation, program limit exceeded
			return sdk.Permanent(err)
		}
	}
	return err
}

// queue adds the statements for one record.
func queue(batch *pgx.Batch, r netp.Record) error {
	whole, err := json.Marshal(r)
	if err != nil {
		return err
	}
	tags := r.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	var failure *string
	if f := r.Result.Failure; f != nil {
		failure = (*string)(&f.Kind)
	}
	path := r.Session.Path
	batch.Queue(insertRecord, r.ID, r.Run, r.Suite, r.Revision, r.Test, r.Session.Addr, string(r.Session.Kind), path.Key(), string(path.Source), path.Dest, path.Via, tags,
		string(r.Status), failure, r.Attempts, moment(r.Scheduled), moment(r.Result.Started), moment(r.Result.Ended), r.Written, whole)
	batch.Queue(deleteAssertions, r.ID)
	for i, j := range r.Judgements {
		batch.Queue(insertAssertion, r.ID, i, j.Assertion, string(j.Severity), string(j.Status), j.Condition, j.Message, j.Reason, list(j.Estimates), list(j.Limits))
	}
	names, values := metrics(r)
	batch.Queue(deleteMetrics, r.ID)
	batch.Queue(insertMetrics, r.ID, names, values)
	return nil
}

// moment is NULL for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// list makes an empty list of none, for JSON.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// metrics are the point figures of a record by name, sorted.
func metrics(r netp.Record) (names []string, values []float64) {
	all := sdk.Figures(r.Result)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		names, values = append(names, name), append(values, all[name])
	}
	return names, values
}

func (s *sink) Close() error {
	if s.conn == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return s.conn.Close(ctx)
}
