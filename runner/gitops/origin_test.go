package gitops

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp/lang/diag"
)

// origin is a real repository that tests push to.
type origin struct {
	t   *testing.T
	dir string
	env []string
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	o := &origin{t: t, dir: t.TempDir()}
	o.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com"}
	o.git("init", "-q", "-b", "main")
	return o
}

func (o *origin) url() string { return "file://" + filepath.ToSlash(o.dir) }

func (o *origin) git(args ...string) string { o.t.Helper(); return o.feed("", args...) }

func (o *origin) feed(stdin string, args ...string) string {
	o.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = o.dir, o.env, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files, "" removing one, and commits; more are arguments of git commit.
func (o *origin) commit(files map[string]string, more ...string) Revision {
	o.t.Helper()
	for name, text := range files {
		full := filepath.Join(o.dir, name)
		if text == "" {
			must(o.t, os.RemoveAll(full))
			continue
		}
		must(o.t, os.MkdirAll(filepath.Dir(full), 0o755))
		must(o.t, os.WriteFile(full, []byte(text), 0o644))
	}
	o.git("add", "-A")
	o.git(append([]string{"commit", "-q", "--allow-empty", "-m", "change"}, more...)...)
	return o.head()
}

func (o *origin) head() Revision { return Revision("main@sha1:" + o.git("rev-parse", "main")) }

// tree commits a tree made by hand: lines as git mktree takes them.
func (o *origin) tree(lines string) Revision {
	o.t.Helper()
	tree := o.feed(lines, "mktree", "--missing")
	o.git("update-ref", "refs/heads/main", o.git("commit-tree", "-m", "by hand", tree))
	return o.head()
}

func (o *origin) blob(text string) string { return o.feed(text, "hash-object", "-w", "--stdin") }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, o RepositoryOptions) *Repository {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "private")
	}
	r, err := OpenRepository(t.Context(), o)
	must(t, err)
	return r
}

// wantFault checks a reason and a part of the message.
func wantFault(t *testing.T, err error, reason, part string) {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a fault %s", err, reason)
	}
	if f.Reason != reason || !strings.Contains(f.Error(), part) {
		t.Fatalf("got %s: %v; want %s with %q", f.Reason, f, reason, part)
	}
}

func suiteText(name string) string { return "suite \"" + name + "\" {\n}\n" }

// handed is one call of Reconcile.
type handed struct {
	revision Revision
	names    string
}

// watch is a watcher driven step by step.
type watch struct {
	*Watcher
	t       *testing.T
	calls   []handed
	saved   State
	fail    error
	planned diag.List // what Reconcile finds
}

func newWatch(t *testing.T, s Source, state State) *watch {
	t.Helper()
	w := &watch{t: t}
	var err error
	w.Watcher, err = NewWatcher(Config{Name: "test", Source: s, State: state, Now: time.Now,
		Save: func(s State) error { w.saved = s; return nil },
		Reconcile: func(_ context.Context, r Revision, suites []Suite) (diag.List, error) {
			var names []string
			for _, s := range suites {
				names = append(names, s.Dir+"="+s.Name)
			}
			w.calls = append(w.calls, handed{r, strings.Join(names, " ")})
			return w.planned, w.fail
		}})
	must(t, err)
	return w
}

// look makes one step and compares Ready, the reason and the number of calls so far.
func (w *watch) look(ready, reason string, calls int) Status {
	w.t.Helper()
	w.step(w.t.Context())
	return w.check(ready, reason, calls)
}

func (w *watch) check(ready, reason string, calls int) Status {
	w.t.Helper()
	s := w.Status()
	c := s.Condition(Ready)
	if c.Status != ready || c.Reason != reason {
		w.t.Fatalf("Ready is %s %s (%s), want %s %s", c.Status, c.Reason, c.Message, ready, reason)
	}
	if len(w.calls) != calls {
		w.t.Fatalf("Reconcile was called %d times (%v), want %d", len(w.calls), w.calls, calls)
	}
	return s
}
