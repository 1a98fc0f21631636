package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plugins/sdk"
	"github.com/netpupper/netp/plugins/sdk/sinktest"
	"github.com/netpupper/netp/testsuites/pgtest"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func TestPostgres(t *testing.T) {
	server := pgtest.Start(t)
	url := server.URL("postgres", "postgres")
	admin := connect(t, url)
	schemas := 0
	c := sinktest.Case{New: newSink, Wrong: []sinktest.Wrong{
		{Name: "no address", Arguments: map[string]any{"url": ""}, Attribute: "url"},
		{Name: "nonsense", Arguments: map[string]any{"url": "postgres://x:y:z"}, Attribute: "url"},
		{Name: "timeout", Arguments: map[string]any{"url": "host=x", "timeout": "-1s"}, Attribute: "timeout"},
	}}
	c.Receiver = func(t *testing.T) sinktest.Receiver {
		schemas++
		schema := fmt.Sprintf("Odd %d", schemas)
		if _, err := admin.Exec(t.Context(), fmt.Sprintf("CREATE SCHEMA %q", schema)); err != nil {
			t.Fatal(err)
		}
		return sinktest.Receiver{
			Arguments: map[string]any{"schema": schema}, Secrets: map[string]string{"url": url},
			IDs: func(t *testing.T) []string {
				conn := connect(t, url)
				rows, err := conn.Query(t.Context(), fmt.Sprintf("SELECT id FROM %q.netp_record", schema))
				var ids []string
				if err == nil {
					ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
				}
				if err != nil && !strings.Contains(err.Error(), "42P01") { // before the first Write there is no table
					t.Fatal(err)
				}
				return ids
			},
		}
	}
	sinktest.Run(t, c)
	t.Run("rows", func(t *testing.T) { rows(t, c, admin) })
	t.Run("poison", func(t *testing.T) { poison(t, c) })
	t.Run("lost connection", func(t *testing.T) { lost(t, c, admin) })
	t.Run("account that may only write", func(t *testing.T) { humble(t, c, admin, server.URL("writer", "postgres")) })
}

func rows(t *testing.T, c sinktest.Case, admin *pgx.Conn) {
	r := c.Receiver(t)
	records := sinktest.Records(5)
	sink := sinktest.Open(t, c, r)
	changed := slices.Clone(records)
	changed[1].Judgements = nil
	for _, batch := range [][]netp.Record{changed, records} { // the second replaces the first
		if err := sink.Write(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	schema := fmt.Sprintf("%q", r.Arguments["schema"])
	var status, path, class string
	var whole []byte
	row := admin.QueryRow(t.Context(), `SELECT status, path, tags->>'class', record FROM `+schema+`.netp_record WHERE id = $1`, records[1].ID)
	if err := row.Scan(&status, &path, &class, &whole); err != nil || status != "fail" || path != "syd->mel" || class != "realtime" {
		t.Errorf("record: %s %s %s, %v", status, path, class, err)
	}
	var back netp.Record
	if err := json.Unmarshal(whole, &back); err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(records[1])
	got, _ := json.Marshal(back)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	for query, want := range map[string]float64{
		`SELECT count(*) FROM SCHEMA.netp_assertion`:                                                                                         8,
		`SELECT value FROM SCHEMA.netp_metric WHERE metric = 'delay.p99' AND record_id = '` + records[1].ID + `'`:                            records[1].Result.Metrics["delay"].Distribution.Member("p99"),
		`SELECT (estimates->0->>'high')::float8 FROM SCHEMA.netp_assertion WHERE assertion = 'loss' AND record_id = '` + records[1].ID + `'`: 0.002,
		`SELECT count(*) FROM SCHEMA.netp_metric WHERE record_id = '` + records[4].ID + `'`:                                                  0,
		`SELECT count(*) FROM SCHEMA.netp_record WHERE failure = 'unreachable' AND started IS NULL`:                                          1,
	} {
		var got float64
		if err := admin.QueryRow(t.Context(), strings.ReplaceAll(query, "SCHEMA", schema)).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", query, got, err, want)
		}
	}
}

func poison(t *testing.T, c sinktest.Case) {
	r := c.Receiver(t)
	records := sinktest.Records(8)
	records[3].Result.Failure = &netp.Failure{Kind: netp.FailureInternal, Detail: "a \x00 that jsonb cannot hold"}
	var rejected *sdk.Rejected
	if err := sinktest.Open(t, c, r).Write(t.Context(), records); !errors.As(err, &rejected) || len(rejected.Records) != 1 || rejected.Records[0].ID != records[3].ID {
		t.Errorf("Write = %v, want the fourth record rejected", err)
	}
	if got := len(r.IDs(t)); got != 7 {
		t.Errorf("%d records stored, want 7", got)
	}
}

func lost(t *testing.T, c sinktest.Case, admin *pgx.Conn) {
	r := c.Receiver(t)
	s := sinktest.Open(t, c, r)
	records := sinktest.Records(4)
	if err := s.Write(t.Context(), records[:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'netp-sink-postgres'`); err != nil {
		t.Fatal(err)
	}
	var rejected *sdk.Rejected
	if err := s.Write(t.Context(), records); err == nil || errors.As(err, &rejected) {
		t.Errorf("Write over a lost connection = %v, want an error that is retried", err)
	}
	if err := s.Write(t.Context(), records); err != nil {
		t.Errorf("Write after that: %v", err)
	}
	if got := len(r.IDs(t)); got != 4 {
		t.Errorf("%d records, want 4", got)
	}
}

func humble(t *testing.T, c sinktest.Case, admin *pgx.Conn, url string) {
	r := c.Receiver(t)
	if err := sinktest.Open(t, c, r).Write(t.Context(), sinktest.Records(1)); err != nil {
		t.Fatal(err)
	}
	schema := r.Arguments["schema"]
	for _, statement := range []string{
		`CREATE ROLE writer LOGIN`, fmt.Sprintf(`GRANT USAGE ON SCHEMA %q TO writer`, schema),
		fmt.Sprintf(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %q TO writer`, schema),
	} {
		if _, err := admin.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	r.Secrets = map[string]string{"url": url}
	if err := sinktest.Open(t, c, r).Write(t.Context(), sinktest.Records(3)); err != nil {
		t.Errorf("Write: %v", err)
	}
}
