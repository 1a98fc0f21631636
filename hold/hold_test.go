package hold

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

const prefix = "netp-it-"

func temporary(t *testing.T, parent string) *Directory {
	t.Helper()
	d, err := Temporary(parent, prefix)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpenHolds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	file, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrHeld) {
		t.Errorf("the second Open = %v, want ErrHeld", err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	again.Close()
}

func TestReleaseLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	d := temporary(t, parent)
	if err := os.WriteFile(filepath.Join(d.Path(), "socket"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Release(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// leave makes a directory as a process leaves it, with the text of its lock file.
func leave(t *testing.T, parent, name, lock, text string) string {
	t.Helper()
	path := filepath.Join(parent, prefix+name)
	if err := errors.Join(os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, lock), []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTemporarySweepsWhatKilledProcessesLeft(t *testing.T) {
	parent := t.TempDir()
	dead, starting := leave(t, parent, "dead", lockName, "held\n"), leave(t, parent, "starting", lockName, "")
	kept, elsewhere := leave(t, parent, "kept", "netp.lock", "held\n"), leave(t, t.TempDir(), "elsewhere", lockName, "held\n")
	link := filepath.Join(parent, prefix+"link")
	if err := os.Symlink(elsewhere, link); err != nil {
		t.Fatal(err)
	}
	alive := temporary(t, parent)
	defer alive.Release()
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead process's directory is still there: %v", err)
	}
	defer temporary(t, parent).Release()
	for what, path := range map[string]string{
		"the living process's directory": alive.Path(), "the one of a process that starts": starting, "one that is not temporary": kept,
		"a link": link, "where the link leads": elsewhere,
	} {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTemporaryLeavesTheDirectoriesOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to give a directory to another user")
	}
	parent := t.TempDir()
	others := leave(t, parent, "others", lockName, "held\n")
	if err := os.Chown(others, 12345, -1); err != nil {
		t.Fatal(err)
	}
	defer temporary(t, parent).Release()
	if _, err := os.Stat(others); err != nil {
		t.Error(err)
	}
}
