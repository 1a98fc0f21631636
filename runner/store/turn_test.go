package store

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestWritersWaitInTurn has one that writes and many that want to: they take no connection from those who read, give up when
// told, and get their turn.
func TestWritersWaitInTurn(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	writing, end := make(chan struct{}), make(chan struct{})
	const writers = 20
	done, comes := make(chan error, writers+1), make(chan struct{})
	go func() {
		done <- s.write(t.Context(), "hold", func(*transaction) error { close(writing); <-end; return nil })
	}()
	<-writing
	for range writers {
		go func() {
			comes <- struct{}{}
			done <- s.write(t.Context(), "write", func(*transaction) error { return nil })
		}()
		<-comes
	}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.write(given, "write", func(*transaction) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a writer that was told to give up: %v", err)
	}
	for range 200 {
		if _, err := s.Runs(t.Context(), "", 0); err != nil {
			t.Fatal(err)
		}
	}
	close(end)
	for range writers + 1 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestFull has a database that may not grow: that its disk is full is told apart.
func TestFull(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.db.SetMaxOpenConns(1) // the limit is the connection's
	if _, err := s.db.Exec("PRAGMA max_page_count = 1"); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1<<20)
	rand.Read(noise) // never fails
	var away *Away
	if err := s.SaveNote(t.Context(), "large", noise); !errors.As(err, &away) || !strings.Contains(away.Why, "full") {
		t.Errorf("%v, want that the disk is full", err)
	}
}

func TestAmbiguousListsSome(t *testing.T) {
	runs := strings.Fields(strings.Repeat("r ", 7))
	if got := (&Ambiguous{ID: "01", Runs: runs}).Error(); got != "run 01 is ambiguous: r, r, r, r, r and 2 more" {
		t.Errorf("got %q", got)
	}
	if got := (&Ambiguous{ID: "01", Runs: runs[:2]}).Error(); got != "run 01 is ambiguous: r, r" {
		t.Errorf("got %q", got)
	}
}
