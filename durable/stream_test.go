//go:build unix

package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var writers = map[string]func(string, []byte, fs.FileMode) error{"WriteFile": WriteFile, "Replace": Replace}

// TestLinksStay: what a link leads to is replaced, or made.
func TestLinksStay(t *testing.T) {
	for name, write := range writers {
		for _, c := range []struct{ name, link, file string }{
			{"to a file", "file", "file"},
			{"to a link", "next", "file"},
			{"to nothing", "new", "new"},
			{"absolute", "/new", "new"},
			{"through a linked directory", "there/../beside", "real/beside"},
		} {
			t.Run(name+" "+c.name, func(t *testing.T) {
				dir := t.TempDir()
				if err := errors.Join(os.MkdirAll(filepath.Join(dir, "real", "inner"), 0o700), os.WriteFile(filepath.Join(dir, "file"), []byte("old"), 0o600),
					os.Symlink("file", filepath.Join(dir, "next")), os.Symlink("real/inner", filepath.Join(dir, "there"))); err != nil {
					t.Fatal(err)
				}
				target, link := c.link, filepath.Join(dir, "link")
				if filepath.IsAbs(target) {
					target = dir + target
				}
				if err := os.Symlink(target, link); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(Probe(link), write(link, []byte("text"), 0o600)); err != nil {
					t.Fatal(err)
				}
				if got, err := os.Readlink(link); err != nil || got != target {
					t.Errorf("the link is to %q, %v; want %q", got, err, target)
				}
				if got, err := os.ReadFile(filepath.Join(dir, c.file)); err != nil || string(got) != "text" {
					t.Errorf("%s holds %q, %v", c.file, got, err)
				}
			})
		}
	}
}

func TestLinksThatGoRoundAreNotFollowed(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("link", link); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"Probe": Probe(link), "Replace": Replace(link, nil, 0o600)} {
		if !errors.Is(err, syscall.ELOOP) {
			t.Errorf("%s: %v; want that there are too many links", what, err)
		}
	}
}

// TestStreamsAreWrittenTo: a FIFO and an open pipe take what is written, also through a link, and stay what they are.
func TestStreamsAreWrittenTo(t *testing.T) {
	for name, write := range writers {
		dir := t.TempDir()
		fifo := filepath.Join(dir, "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		ours, err := os.OpenFile(fifo, os.O_RDWR, 0) // so that nothing waits for the other end
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		defer w.Close()
		for path, from := range map[string]*os.File{fifo: ours, fmt.Sprintf("/dev/fd/%d", w.Fd()): r} {
			link := filepath.Join(dir, "link"+filepath.Base(path))
			if err := os.Symlink(path, link); err != nil {
				t.Fatal(err)
			}
			for _, to := range []string{path, link} {
				if err := errors.Join(Probe(to), write(to, []byte("text"), 0o600)); err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				got := make([]byte, len("text"))
				if _, err := io.ReadFull(from, got); err != nil || string(got) != "text" {
					t.Errorf("%s: %s gave %q, %v", name, to, got, err)
				}
			}
		}
		if info, err := os.Lstat(fifo); err != nil || info.Mode().Type() != fs.ModeNamedPipe {
			t.Errorf("%s: the FIFO became %v, %v", name, info.Mode(), err)
		}
	}
}

// TestOpenFilesGoOn: what is written to an open file goes behind what is there.
func TestOpenFilesGoOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, before := f.WriteString("before ")
	err = Replace(fmt.Sprintf("/dev/fd/%d", f.Fd()), []byte("text"), 0o600)
	_, after := f.WriteString(" after")
	got, read := os.ReadFile(path)
	if err := errors.Join(before, err, after, read); err != nil || string(got) != "before text after" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestProbe(t *testing.T) {
	dir := t.TempDir()
	for path, want := range map[string]string{
		dir: "it is a directory", filepath.Join(dir, "missing", "file"): "no such file or directory", "/dev/fd/999": "no such file or directory", filepath.Join(dir, "file"): "",
	} {
		if err := Probe(path); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", path, err, want)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 {
		t.Errorf("left %v, %v", files, err)
	}
}

func TestTheOwnerIsKept(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to give a file to somebody else")
	}
	const user, group = 4711, 4712
	path := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.WriteFile(path, []byte("old"), 0o640), os.Chown(path, user, group), Replace(path, []byte("new"), 0o640)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); s.Uid != user || s.Gid != group || info.Mode() != 0o640 {
		t.Errorf("owner %d, group %d, mode %v; want %d, %d and 0640", s.Uid, s.Gid, info.Mode(), user, group)
	}
}
