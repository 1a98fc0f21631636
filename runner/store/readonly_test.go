package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/store"
)

func TestOpenToRead(t *testing.T) {
	file := saved(t)
	for _, name := range []string{"alone", "while another writes"} {
		if name != "alone" {
			defer open(t, file).Close()
		}
		before := filesBeside(t, file)
		s, err := store.OpenToRead(t.Context(), file, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got, err := s.Records(t.Context(), "r1"); err != nil || len(got) != 1 {
			t.Errorf("%s: %d records, %v; want 1", name, len(got), err)
		}
		if err := s.SaveRun(t.Context(), store.Run{Report: netp.Report{Run: "r2"}}); err == nil {
			t.Errorf("%s: it was written to", name)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if after := filesBeside(t, file); after != before {
			t.Errorf("%s: %d files became %d", name, before, after)
		}
	}
}

func filesBeside(t *testing.T, file string) int {
	t.Helper()
	list, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestOpenToReadOfAnotherVersion(t *testing.T) {
	if _, err := store.OpenToRead(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
	file := saved(t)
	change(t, file, `UPDATE netp_schema SET version = version - 1`)
	if _, err := store.OpenToRead(t.Context(), file, nil); err == nil {
		t.Error("an older database was opened")
	}
	change(t, file, `UPDATE netp_schema SET version = version + 2`)
	if _, err := store.OpenToRead(t.Context(), file, nil); !errors.Is(err, store.ErrNewer) {
		t.Errorf("a newer database: %v", err)
	}
}
