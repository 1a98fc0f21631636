package hold

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func claim(t *testing.T, path string, since time.Time) *os.File {
	t.Helper()
	file, err := Claim(path, since)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestClaimTellsWhoHoldsIt(t *testing.T) {
	path, since := filepath.Join(t.TempDir(), "lock"), time.Date(2026, 11, 23, 12, 0, 0, 1, time.UTC)
	if _, _, err := HolderOf(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("HolderOf a file that is not there: %v", err)
	}
	claim(t, path, since.Add(-time.Hour).In(time.FixedZone("a longer name", 3600))).Close()
	if by, held, err := HolderOf(path); held || err != nil {
		t.Errorf("HolderOf a file that was let go: %v, %t, %v", by, held, err)
	}
	file := claim(t, path, since)
	defer file.Close()
	want := Holder{os.Getpid(), since}
	if by, held, err := HolderOf(path); by != want || !held || err != nil {
		t.Errorf("HolderOf = %v, %t, %v, want %v", by, held, err, want)
	}
	_, err := Claim(path, since)
	if refused := (*Held)(nil); !errors.As(err, &refused) || refused.By != want || !errors.Is(err, ErrHeld) {
		t.Errorf("the second Claim = %v, want held by %v", err, want)
	}
}

func TestHeldWithoutWord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, err = Claim(path, time.Now())
	if refused := (*Held)(nil); !errors.As(err, &refused) || refused.By != (Holder{}) {
		t.Errorf("Claim = %v, want held by nobody known", err)
	}
}

// Those who look keep nobody from claiming.
func TestClaimBearsWithThoseWhoLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "lock")
		claim(t, path, time.Now()).Close()
		looking, err := os.Open(path)
		if err == nil {
			err = share(looking)
		}
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(pause+pause/2, func() { looking.Close() })
		claim(t, path, time.Now()).Close()
	})
}
