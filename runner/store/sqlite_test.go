package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/store"
	"github.com/netpupper/netp/runner/store/storetest"
)

func open(t *testing.T, file string) *store.Store {
	t.Helper()
	return storetest.Database{Where: file}.Open(t)
}

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Database {
		file := filepath.Join(t.TempDir(), "new directory", "50% odd?name#.db")
		return storetest.Database{Where: file, Exec: func(t *testing.T, statement string) { change(t, file, statement) }}
	})
}

func saved(t *testing.T) (file string) {
	file = filepath.Join(t.TempDir(), "netp.db")
	s := open(t, file)
	r := netp.Record{Run: "r1", Suite: "s", Session: netp.Session{Addr: "a"}, Judgements: []netp.Judgement{}}
	if err := s.SaveRecords(t.Context(), []netp.Record{r}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReopenKeepsEverything(t *testing.T) {
	file := saved(t)
	got, err := open(t, file).Records(t.Context(), "r1")
	if err != nil || len(got) != 1 {
		t.Errorf("%d records, %v; want 1", len(got), err)
	}
}

func change(t *testing.T, file, statement string) {
	t.Helper()
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: file}).EscapedPath(), RawQuery: "_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedRecordIsNeverAnAnswer(t *testing.T) {
	for name, statement := range map[string]string{
		"body cut":       `UPDATE records SET body = substr(body, 1, length(body) - 1)`,
		"another's body": `UPDATE records SET session = 'b'`,
		"sum":            `UPDATE records SET sum = ''`,
	} {
		file := saved(t)
		change(t, file, statement)
		got, err := open(t, file).Records(t.Context(), "r1")
		var damaged *store.Damaged
		if !errors.As(err, &damaged) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: got %+v, %v; want Damaged naming the file", name, got, err)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database at all ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := saved(t)
	change(t, newer, `UPDATE netp_schema SET version = 99`)
	truncated := saved(t)
	if err := os.Truncate(truncated, 5000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, want string }{
		{"garbage", garbage, "is no SQLite database"},
		{"newer", newer, "newer version of netp"},
		{"truncated", truncated, "is damaged"},
		{"directory", t.TempDir(), "cannot be opened"},
		{"below a file", filepath.Join(garbage, "x.db"), "directory"},
	} {
		s, err := store.Open(t.Context(), c.file, nil)
		if err == nil {
			_, err = s.Records(t.Context(), "r1")
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%s: %v, want %q and the file's name", c.name, err, c.want)
		}
	}
}

func TestLockedByAnotherProcessIsSaid(t *testing.T) {
	file := saved(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		release := lock(t, file)
		var told []string
		s, err := store.Open(t.Context(), file, func(text string) { told = append(told, fmt.Sprint(time.Since(start).Round(time.Second), " ", text)) })
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "another process keeps the database locked; wait for it to end") || !strings.Contains(err.Error(), file) {
			t.Errorf("open a locked database: %v", err)
		}
		if took := time.Since(start).Round(time.Second); took < 13*time.Second || took > 17*time.Second {
			t.Errorf("gave up after %v, want about 15 s", took)
		}
		want := []string{"2s Waiting for the database " + file + ", for about 15 s: another process keeps it locked."}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		time.AfterFunc(5*time.Second, release)
		if s, err = store.Open(t.Context(), file, nil); err != nil {
			t.Fatalf("open a database that was locked for 5 s: %v", err)
		}
		s.Close()
	})
}

// lock has the database locked as by another process.
func lock(t *testing.T, file string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback(); db.Close() }
}
