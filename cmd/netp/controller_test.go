package main

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/config"
	"github.com/netpupper/netp/runner/store"
)

const day = 24 * time.Hour

// pruning has a controller that keeps runs for a day delete the others.
func pruning(t *testing.T, retention time.Duration) (s *store.Store, log *bytes.Buffer, end func() error) {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	log = new(bytes.Buffer)
	d := &controllerDaemon{store: s, logger: slog.New(slog.NewTextHandler(log, nil)), settings: config.Controller{Retention: retention}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.prune(ctx) }()
	return s, log, func() error { cancel(); return <-ended }
}

// finish writes a run that began and ended now.
func finish(t *testing.T, s *store.Store, id string) {
	t.Helper()
	r := store.Run{Report: netp.Report{Run: id, Suite: "s", Status: netp.Pass, Started: time.Now(), Ended: time.Now()}}
	if err := s.SaveRun(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func kept(t *testing.T, s *store.Store) string {
	t.Helper()
	synctest.Wait()
	runs, err := s.Runs(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range runs {
		ids = append(ids, r.Report.Run)
	}
	return strings.Join(ids, " ")
}

func TestPruneKeepsRunsForTheRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log, end := pruning(t, day)
		defer s.Close()
		finish(t, s, "1111")
		time.Sleep(90 * time.Minute)
		finish(t, s, "2222")
		for _, c := range []struct {
			after time.Duration
			want  string
		}{
			{day - time.Hour, "2222 1111"}, // 1111 is 24:30 h old, and the hour has not struck
			{30 * time.Minute, "2222"},
			{59 * time.Minute, "2222"}, // 2222 is 24:29 h old
			{time.Minute, ""},
		} {
			time.Sleep(c.after)
			if got := kept(t, s); got != c.want {
				t.Errorf("%v later: kept %q, want %q", c.after, got, c.want)
			}
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), `msg="old runs deleted" runs=1`); n != 2 {
			t.Errorf("the log tells %d times of a deleted run, want 2:\n%s", n, log)
		}
	})
}

func TestPruneTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log, end := pruning(t, day)
		synctest.Wait()
		s.Close() // from now on nothing succeeds
		time.Sleep(3*time.Hour + time.Minute)
		if err := end(); err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), `level=ERROR msg="old runs not deleted; the next hour tries again"`); n != 3 {
			t.Errorf("the log tells %d times of failure, want 3:\n%s", n, log)
		}
	})
}

func TestPruneNothingWithoutARetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, end := pruning(t, 0)
		defer s.Close()
		finish(t, s, "1111")
		time.Sleep(1000 * day)
		if got := kept(t, s); got != "1111" {
			t.Errorf("kept %q", got)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
