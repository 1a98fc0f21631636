package gitops

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpupper/netp/lang/diag"
)

func openDir(t *testing.T, watched string, b Budget) *Directory {
	t.Helper()
	d, err := OpenDirectory(DirectoryOptions{Watched: watched, Dir: filepath.Join(t.TempDir(), "private"), Settle: 20 * time.Millisecond, Budget: b})
	must(t, err)
	return d
}

// TestDirectory walks through the ways in which directories change: a file written,
// renamed over another, a new directory, a link swapped, a fault.
func TestDirectory(t *testing.T) {
	base := t.TempDir()
	one, two := filepath.Join(base, "one"), filepath.Join(base, "two")
	link := filepath.Join(base, "current")
	write := func(text string, parts ...string) {
		t.Helper()
		name := filepath.Join(parts...)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(text), 0o644))
	}
	write(suiteText("wan"), one, "wan", "a.hcl")
	write(suiteText("two"), two, "a.hcl")
	if err := os.Symlink(one, link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	seen := make(chan string, 100)
	w, err := NewWatcher(Config{Name: "dir", Source: openDir(t, link, Budget{}), Interval: 1 << 50,
		Reconcile: func(_ context.Context, _ Revision, suites []Suite) (diag.List, error) {
			names := ""
			for _, s := range suites {
				names += s.Dir + "=" + s.Name + " "
			}
			seen <- names
			return nil, nil
		}})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	want := func(names string) {
		t.Helper()
		deadline := time.After(10 * time.Second)
		for {
			select {
			case got := <-seen:
				if got == names {
					return
				}
			case <-deadline:
				t.Fatalf("no %q within 10 s: %+v", names, w.Status())
			}
		}
	}
	want("wan=wan ")
	write(suiteText("van"), one, "wan", "a.hcl")
	want("wan=van ")
	write(suiteText("ren"), one, "wan", ".a.hcl.swp")
	must(t, os.Rename(filepath.Join(one, "wan", ".a.hcl.swp"), filepath.Join(one, "wan", "a.hcl")))
	want("wan=ren ")
	write(suiteText("new"), one, "deep", "er", "b.hcl")
	want("deep/er=new wan=ren ")
	write(suiteText("newer"), one, "deep", "er", "b.hcl") // in a directory that was not there at first
	want("deep/er=newer wan=ren ")
	must(t, os.Symlink(two, link+".tmp"))
	must(t, os.Rename(link+".tmp", link))
	want(".=two ")
	write(suiteText("three"), two, "a.hcl")
	want(".=three ")
	cancel()
	must(t, <-done)
}

func TestDirectoryRefuses(t *testing.T) {
	dir := suiteDir(t, map[string]string{"a.hcl": suiteText("wan"), "sub/x": "x"})
	_, err := openDir(t, filepath.Join(dir, "missing"), Budget{}).Head(t.Context())
	wantFault(t, err, ReasonFetch, "no such file")
	_, err = openDir(t, filepath.Join(dir, "sub"), Budget{}).Head(t.Context())
	wantFault(t, err, ReasonNoSuite, "no directory")
	_, err = openDir(t, dir, Budget{Entries: 2}).Head(t.Context())
	wantFault(t, err, ReasonTooLarge, "more than 2")
	_, err = openDir(t, dir, Budget{FileBytes: 5}).Head(t.Context())
	wantFault(t, err, ReasonTooLarge, "at most 5")
	must(t, os.Symlink("..", filepath.Join(dir, "sub", "loop")))
	_, err = openDir(t, dir, Budget{}).Head(t.Context())
	wantFault(t, err, ReasonFetch, "end inside")
	must(t, os.Remove(filepath.Join(dir, "sub", "loop")))
	must(t, os.Symlink(".", filepath.Join(dir, "sub", "loop")))
	_, err = openDir(t, dir, Budget{}).Head(t.Context())
	wantFault(t, err, ReasonFetch, "too many levels")
	if _, err := OpenDirectory(DirectoryOptions{Watched: dir, Dir: filepath.Join(dir, "private")}); err == nil {
		t.Error("a private directory in the watched one was taken")
	}
}
