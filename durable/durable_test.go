package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestWriteFileReplaces(t *testing.T) {
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{"WriteFile": WriteFile, "Replace": Replace} {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		for _, c := range []struct {
			text string
			mode fs.FileMode
		}{{"first", 0o600}, {"second", 0o640}, {"", 0o600}} {
			if err := write(path, []byte(c.text), c.mode); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			got, err := os.ReadFile(path)
			info, _ := os.Stat(path)
			if err != nil || string(got) != c.text || runtime.GOOS != "windows" && info.Mode() != c.mode {
				t.Errorf("%s: %q with mode %v, %v; want %q with %v", name, got, info.Mode(), err, c.text, c.mode)
			}
		}
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
			t.Errorf("%s: left %v, %v; want the file alone", name, files, err)
		}
	}
}

// TestNothingIsLeftOfAFailure: what cannot be put into its place is removed, and what was there stays.
func TestNothingIsLeftOfAFailure(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(taken, []byte("text"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 || !files[0].IsDir() {
		t.Errorf("left %v, %v; want the directory alone", files, err)
	}
	if err := WriteFile(filepath.Join(dir, "missing", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into no directory: %v; want that it does not exist", err)
	}
}

func TestLeftover(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), ".1.part"+leftover+"*") // as a crash leaves it
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for name, want := range map[string]bool{filepath.Base(f.Name()): true, "1.part": false, ".part": false, "a.new-1": false} {
		if got := Leftover(name); got != want {
			t.Errorf("%s is a leftover: %v; want %v", name, got, want)
		}
	}
}
