package gitops

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/netpupper/netp/lang/diag"
)

// TestFollow walks a repository through its life: good, bad and mended commits,
// a vanished suite, a restart, a rewritten and a deleted branch.
func TestFollow(t *testing.T) {
	o := newOrigin(t)
	private := filepath.Join(t.TempDir(), "private")
	options := RepositoryOptions{URL: o.url(), Dir: private}
	first := o.commit(map[string]string{"wan/a.hcl": suiteText("wan"), "lan/b.hcl": suiteText("lan"), "README": "x", "wan/modules/m/m.hcl": "variable \"x\" {}\n"})
	w := newWatch(t, open(t, options), State{})
	s := w.look(True, ReasonSucceeded, 1)
	if got, want := w.calls[0], (handed{first, "lan=lan wan=wan"}); got != want {
		t.Errorf("handed over %v, want %v", got, want)
	}
	if s.LastApplied != first || s.LastAttempted != first || w.saved.Good != first || len(s.Suites) != 2 {
		t.Errorf("status %+v, saved %+v", s, w.saved)
	}
	if c := s.Condition(SourceVerified); c.Status != Unknown || c.Reason != "NotConfigured" {
		t.Errorf("SourceVerified without keys is %+v", c)
	}
	w.look(True, ReasonSucceeded, 1) // nothing new, nothing handed over
	w.Reconcile()
	w.look(True, ReasonSucceeded, 2) // on demand, again

	bad := o.commit(map[string]string{"wan/a.hcl": "suite \"wan\" {\n  confidence = \n}\n"})
	s = w.look(False, ReasonLoad, 2)
	if s.LastApplied != first || s.LastAttempted != bad || w.saved.Good != first {
		t.Errorf("after a bad commit: applied %s, attempted %s, good %s", s.LastApplied, s.LastAttempted, w.saved.Good)
	}
	if len(s.Diagnostics) == 0 || s.Diagnostics[0].Range == nil || s.Diagnostics[0].Range.Filename != "wan/a.hcl" {
		t.Errorf("diagnostics %+v, want one in wan/a.hcl", s.Diagnostics)
	}
	if c := s.Condition(Stalled); c.Status != True || !strings.Contains(c.Message, "wan/a.hcl:2") {
		t.Errorf("Stalled is %+v, want True with the line", c)
	}

	// A restart with a bad head brings the last good revision back.
	w = newWatch(t, open(t, options), w.saved)
	s = w.look(False, ReasonLoad, 1)
	if w.calls[0].revision != first || s.LastApplied != first {
		t.Errorf("after a restart %v was handed over, want %s", w.calls, first)
	}

	mended := o.commit(map[string]string{"wan/a.hcl": "", "wan/modules": ""})
	s = w.look(True, ReasonSucceeded, 2)
	if got, want := w.calls[1], (handed{mended, "lan=lan"}); got != want {
		t.Errorf("handed over %v, want %v: a suite vanished", got, want)
	}
	if len(s.Diagnostics) != 0 || s.Condition(Stalled).Status != False {
		t.Errorf("a mended revision leaves %+v", s)
	}

	o.git("reset", "-q", "--hard", strings.TrimPrefix(first.Digest(), "sha1:"))
	w.look(False, ReasonRewritten, 2)
	o.commit(map[string]string{"lan/b.hcl": suiteText("other")})
	s = w.look(False, ReasonRewritten, 2)
	if s.LastApplied != mended || w.saved.Good != mended || s.Condition(Stalled).Status != True {
		t.Errorf("after a force-push: %+v", s)
	}
	o.git("checkout", "-q", "--detach")
	o.git("branch", "-q", "-D", "main")
	if s = w.look(False, ReasonNoBranch, 2); s.LastApplied != mended || s.Condition(Stalled).Status != False {
		t.Errorf("after the branch was deleted: %+v", s)
	}
	must(t, os.RemoveAll(o.dir))
	if s = w.look(False, ReasonFetch, 2); s.LastApplied != mended {
		t.Errorf("after the repository was deleted: %+v", s)
	}
	// And a restart in this state still brings back what was good.
	w = newWatch(t, open(t, options), w.saved)
	w.look(False, ReasonFetch, 1)
	if w.calls[0].revision != mended {
		t.Errorf("handed over %v, want %s", w.calls, mended)
	}
	if left, _ := filepath.Glob(filepath.Join(private, "rev-*")); len(left) != 1 {
		t.Errorf("%d copies of revisions are left, want the applied one", len(left))
	}
}

// TestHistoryIsDeepened finds the last good commit behind many others, and its
// absence in a history of the same length.
func TestHistoryIsDeepened(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a.hcl": suiteText("wan")})
	r := open(t, RepositoryOptions{URL: o.url()})
	if _, err := r.Fetch(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	var stream strings.Builder
	for range 30 {
		stream.WriteString("commit refs/heads/main\ncommitter a <a@example.com> 1700000000 +0000\ndata 1\nx\n")
		if stream.Len() < 100 {
			stream.WriteString("from " + first.commit() + "\n")
		}
	}
	o.feed(stream.String(), "fast-import", "--quiet")
	snap, err := r.Fetch(t.Context(), first)
	if err != nil || snap.Revision != o.head() {
		t.Fatalf("30 commits later: %+v, %v", snap, err)
	}
	unrelated := strings.Replace(stream.String(), "from "+first.commit()+"\n", "", 1)
	o.feed("reset refs/heads/main\n"+unrelated+"M 100644 inline a.hcl\ndata 2\n#\n\n", "fast-import", "--quiet", "--force")
	_, err = r.Fetch(t.Context(), first)
	wantFault(t, err, ReasonRewritten, "does not follow")
	allowed := open(t, RepositoryOptions{URL: o.url(), AllowRewrite: true})
	if _, err := allowed.Fetch(t.Context(), first); err != nil {
		t.Errorf("with AllowRewrite: %v", err)
	}
}

// TestTidy keeps the number of packs bounded, and the good commit readable.
func TestTidy(t *testing.T) {
	o := newOrigin(t)
	good := o.commit(map[string]string{"a.hcl": suiteText("wan")})
	r := open(t, RepositoryOptions{URL: o.url(), AllowRewrite: true})
	r.maxPacks = 2
	for i := range 6 {
		if i > 0 {
			o.commit(map[string]string{"a.hcl": suiteText("van" + strings.Repeat("x", i))}, "--amend")
		}
		if _, err := r.Fetch(t.Context(), good); err != nil {
			t.Fatal(err)
		}
	}
	if packs, _ := filepath.Glob(filepath.Join(r.git.dir, "objects", "pack", "*.pack")); len(packs) == 0 || len(packs) > 3 {
		t.Errorf("%d packs after 6 fetches, want 1 to 3", len(packs))
	}
	snap, err := r.At(t.Context(), good)
	must(t, err)
	if text, err := os.ReadFile(filepath.Join(snap.Dir, "a.hcl")); err != nil || string(text) != suiteText("wan") {
		t.Errorf("the good revision reads %q, %v", text, err)
	}
}

// TestReconcileFails keeps the high-water mark where it was and tries again.
func TestReconcileFails(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"a.hcl": suiteText("wan")})
	w := newWatch(t, open(t, RepositoryOptions{URL: o.url()}), State{})
	w.fail = errors.New("the store is away")
	if s := w.look(False, ReasonReconcile, 1); s.LastApplied != "" || w.saved.Good != "" || s.Condition(Stalled).Status != False {
		t.Errorf("status %+v", s)
	}
	w.fail = nil
	w.look(True, ReasonSucceeded, 2)
}

// renewed is look after Refresh.
func (w *watch) renewed(ready, reason string, calls int) Status {
	w.t.Helper()
	if w.renew(w.t.Context()) {
		w.step(w.t.Context())
	}
	return w.check(ready, reason, calls)
}

// TestRefresh hands over again what is applied, whatever the source is like, and
// until it is taken; but never an earlier revision after a part of a later one.
// TestWarnings: what suites and plans warn of is told while the revision is applied, as it is now.
func TestWarnings(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"lan/a.hcl": suiteText("lan") + "agent \"idle\" {\n}\n"})
	w := newWatch(t, open(t, RepositoryOptions{URL: o.url()}), State{})
	warned := func(want ...string) {
		t.Helper()
		var got []string
		for _, d := range w.Status().Diagnostics {
			got = append(got, d.Summary+" "+d.Range.Filename)
		}
		if !slices.Equal(got, want) {
			t.Errorf("warnings %q, want %q", got, want)
		}
	}
	w.look(True, ReasonSucceeded, 1)
	warned("Unused declaration lan/a.hcl")
	w.planned = diag.List{{Severity: diag.Warning, Summary: "No agent yet", Range: &diag.Range{Filename: "lan/a.hcl"}}}
	w.renewed(True, ReasonSucceeded, 2)
	warned("Unused declaration lan/a.hcl", "No agent yet lan/a.hcl")
	w.planned = nil
	w.renewed(True, ReasonSucceeded, 3)
	warned("Unused declaration lan/a.hcl")
	o.commit(map[string]string{"lan/a.hcl": suiteText("lan")})
	w.look(True, ReasonSucceeded, 4)
	warned()
}

func TestRefresh(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a.hcl": suiteText("wan")})
	w := newWatch(t, open(t, RepositoryOptions{URL: o.url()}), State{})
	w.renewed(True, ReasonSucceeded, 1) // nothing was applied before: an ordinary look
	w.renewed(True, ReasonSucceeded, 2)
	w.look(True, ReasonSucceeded, 2)

	o.commit(map[string]string{"a.hcl": "suite {"})
	w.look(False, ReasonLoad, 2)
	w.renewed(False, ReasonLoad, 3) // the fault of the newer revision is still told
	o.commit(map[string]string{"a.hcl": suiteText("wan")})
	w.look(True, ReasonSucceeded, 4)

	w.fail = errors.New("an agent is missing")
	w.renewed(False, ReasonReconcile, 5)
	w.look(False, ReasonReconcile, 6)
	w.fail = nil
	w.look(True, ReasonSucceeded, 7)
	w.look(True, ReasonSucceeded, 7)

	w.fail = errors.New("locked")
	third := o.commit(map[string]string{"a.hcl": suiteText("van")})
	w.look(False, ReasonReconcile, 8)
	w.renewed(False, ReasonReconcile, 9)
	if got := w.calls[8].revision; got != third {
		t.Errorf("after a part of %s was taken, %s was handed over", third, got)
	}
	if w.calls[1].revision != first || w.calls[2].revision != first {
		t.Errorf("handed over %v", w.calls)
	}
}

// TestOriginChanges forgets the mark of another repository.
func TestOriginChanges(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"a.hcl": suiteText("wan")})
	w := newWatch(t, open(t, RepositoryOptions{URL: o.url()}), State{Origin: "elsewhere", Good: "main@sha1:" + Revision(strings.Repeat("1", 40))})
	w.look(True, ReasonSucceeded, 1)
}

// TestRun drives the loop: the first look, a poll, suspend and resume.
func TestRun(t *testing.T) {
	o := newOrigin(t)
	first := o.commit(map[string]string{"a.hcl": suiteText("wan")})
	seen := make(chan Revision, 10)
	w, err := NewWatcher(Config{Name: "run", Source: open(t, RepositoryOptions{URL: o.url()}), Interval: 1 << 50, Suspended: true,
		Reconcile: func(_ context.Context, r Revision, _ []Suite) (diag.List, error) { seen <- r; return nil, nil }})
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	w.Resume()
	if got := <-seen; got != first {
		t.Errorf("first %s, want %s", got, first)
	}
	second := o.commit(map[string]string{"a.hcl": suiteText("van")})
	w.Poll()
	if got := <-seen; got != second {
		t.Errorf("then %s, want %s", got, second)
	}
	w.Suspend()
	w.Reconcile()
	if !w.Status().Suspended || len(seen) != 0 {
		t.Error("a suspended watcher goes on")
	}
	w.Resume()
	if got := <-seen; got != second {
		t.Errorf("on demand %s, want %s", got, second)
	}
	cancel()
	must(t, <-done)
}
