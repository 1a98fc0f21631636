package gitops

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHostileTrees refuses what a tree can hold to harm who reads it. Each head
// comes on top of a good one.
func TestHostileTrees(t *testing.T) {
	o := newOrigin(t)
	file := o.blob(suiteText("wan"))
	suite := "100644 blob " + file + "\ta.hcl\n"
	empty := o.feed("", "mktree")
	nest := func(leaf string, depth, width int) string { // depth levels of trees, width times the same each
		tree := leaf
		for range depth {
			var lines strings.Builder
			for i := range width {
				fmt.Fprintf(&lines, "040000 tree %s\td%03d\n", tree, i)
			}
			tree = o.feed(lines.String(), "mktree")
		}
		return tree
	}
	in := func(tree string) string { return suite + "040000 tree " + tree + "\tsub\n" }
	for _, c := range []struct{ name, lines, reason, part string }{
		{"symlink", suite + "120000 blob " + o.blob("/etc/passwd") + "\tpasswd\n", ReasonUnsafe, "symbolic link"},
		{"suite file that is a link", "120000 blob " + o.blob("/etc/passwd") + "\tb.hcl\n", ReasonUnsafe, "symbolic link"},
		{"submodule", suite + "160000 commit " + strings.Repeat("1", 40) + "\tmodule\n", ReasonUnsafe, "submodule"},
		{"10^6 files in shared trees", in(nest(o.feed(suite, "mktree"), 6, 10)), ReasonTooLarge, "more than 10000"},
		{"10^20 empty trees", in(nest(empty, 20, 10)), ReasonTooLarge, "more than 10000"},
		{"deep", in(nest(empty, 40, 1)), ReasonTooLarge, "deep"},
		{"big blob", suite + "100644 blob " + o.blob(strings.Repeat("#", 1<<20+1)) + "\tb.hcl\n", ReasonTooLarge, "1048577 bytes"},
		{"newline in a name", suite + "100644 blob " + file + "\t\"b\\n.hcl\"\n", ReasonUnsafe, "plain file name"},
		{"backslash in a name", suite + "100644 blob " + file + "\t\"x\\\\b.hcl\"\n", ReasonUnsafe, "plain file name"},
		{"link behind a dot", suite + "120000 blob " + o.blob("/etc/passwd") + "\t.link.hcl\n", "", ""},
		{"no suite", "100644 blob " + file + "\tREADME\n", ReasonNoSuite, "no directory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o.t = t
			head := o.tree(c.lines)
			private := filepath.Join(t.TempDir(), "private")
			snap, err := open(t, RepositoryOptions{URL: o.url(), Dir: private}).Fetch(t.Context(), "")
			if c.reason == "" { // a leading dot: left where it is
				if err != nil || snap.Revision != head {
					t.Fatalf("got %+v, %v", snap, err)
				}
				if names, _ := os.ReadDir(snap.Dir); len(names) != 1 {
					t.Fatalf("wrote %v, want a.hcl alone", names)
				}
				return
			}
			wantFault(t, err, c.reason, c.part)
			if left, _ := filepath.Glob(filepath.Join(private, "rev-*")); len(left) > 0 {
				t.Errorf("files were left in %v", left)
			}
		})
	}
}

// TestPathTraversal: trees that git itself would not make. Its check of fetched
// objects refuses them before they are listed.
func TestPathTraversal(t *testing.T) {
	for _, name := range []string{"..", ".git", "a/b"} {
		o := newOrigin(t)
		blob := o.blob(suiteText("wan"))
		tree := o.feed("100644 blob "+blob+"\tXX.hcl\n", "mktree")
		raw := o.feed("", "cat-file", "tree", tree)
		_, id, _ := strings.Cut(raw, "\x00")
		forged := o.feed("100644 "+name+"\x00"+id, "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
		o.git("update-ref", "refs/heads/main", o.git("commit-tree", "-m", "x", forged))
		_, err := open(t, RepositoryOptions{URL: o.url()}).Fetch(t.Context(), "")
		if err == nil {
			t.Errorf("a tree with the entry %q was taken", name)
		}
	}
	for name, want := range map[string]bool{"a/b.hcl": true, "ä.hcl": true, "../a": false, "/a": false, "a//b": false, "a/../b": false,
		".git/config": false, "a/.GIT/x": false, "c:a": false, `a\b`: false, "a\nb": false, "a\u202eb": false, "": false, "a.": false, "\xff": false} {
		if got := safePath(name); got != want {
			t.Errorf("safePath(%q) is %v, want %v", name, got, want)
		}
	}
}

// TestPackBudget stops a pack that is larger than allowed, and recovers.
func TestPackBudget(t *testing.T) {
	o := newOrigin(t)
	noise := make([]byte, 3<<20)
	state := uint64(1)
	for i := range noise { // xorshift: does not compress
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		noise[i] = byte(state)
	}
	o.commit(map[string]string{"a.hcl": suiteText("wan"), "noise.bin": string(noise)})
	r := open(t, RepositoryOptions{URL: o.url(), Path: "", Budget: Budget{PackBytes: 1 << 20}})
	_, err := r.Fetch(t.Context(), "")
	wantFault(t, err, ReasonTooLarge, "pack of more than 1048576")
	good := o.commit(map[string]string{"noise.bin": ""})
	if snap, err := r.Fetch(t.Context(), ""); err != nil || snap.Revision != good {
		t.Errorf("after the file went: %+v, %v", snap, err)
	}
	next := o.commit(map[string]string{"b.hcl": "# another\n"})
	if snap, err := r.Fetch(t.Context(), good); err != nil || snap.Revision != next {
		t.Errorf("with the file in the history before the good commit: %+v, %v", snap, err)
	}
	o.commit(map[string]string{"noise.bin": string(noise)})
	o.commit(map[string]string{"noise.bin": ""})
	_, err = r.Fetch(t.Context(), next)
	wantFault(t, err, ReasonTooLarge, "Take it out of the branch's history")
	o.git("reset", "-q", "--hard", next.commit())
	mended := o.commit(map[string]string{"b.hcl": "# once more\n"})
	if snap, err := r.Fetch(t.Context(), next); err != nil || snap.Revision != mended {
		t.Errorf("after its commit went: %+v, %v", snap, err)
	}
}

// TestNothingRuns: hooks, filters and configuration of a repository stay dead.
func TestNothingRuns(t *testing.T) {
	o := newOrigin(t)
	canary := filepath.Join(t.TempDir(), "canary")
	script := "#!/bin/sh\ntouch " + canary + "\n"
	o.commit(map[string]string{"s/a.hcl": suiteText("wan"), "hooks/post-checkout": script, "s/.gitattributes": "* filter=evil\n",
		".gitmodules": "[submodule \"x\"]\n\tpath = x\n\turl = https://example.com/x\n"})
	private := filepath.Join(t.TempDir(), "private")
	r := open(t, RepositoryOptions{URL: o.url(), Dir: private})
	if _, err := r.Fetch(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	// Even hooks that got into the private repository are not run.
	for _, hook := range []string{"post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"} {
		must(t, os.MkdirAll(filepath.Join(private, "repo", "hooks"), 0o700))
		must(t, os.WriteFile(filepath.Join(private, "repo", "hooks", hook), []byte(script), 0o755))
	}
	o.commit(map[string]string{"s/a.hcl": suiteText("van")})
	snap, err := r.Fetch(t.Context(), "")
	must(t, err)
	if _, err := os.Stat(canary); err == nil {
		t.Error("a hook ran")
	}
	text, err := os.ReadFile(filepath.Join(snap.Dir, "s", "a.hcl"))
	if err != nil || string(text) != suiteText("van") {
		t.Errorf("the suite reads %q, %v", text, err)
	}
	if names, _ := os.ReadDir(snap.Dir); len(names) != 1 {
		t.Errorf("wrote %v, want the suite alone", names)
	}
}

// TestHangingServer: a server that stops in the middle ends with the time limit.
func TestHangingServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { // begins a TLS record of 16 KiB and never ends it
				defer c.Close()
				_, _ = c.Write([]byte{0x16, 3, 3, 0x40, 0, 2})
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	r := open(t, RepositoryOptions{URL: "https://" + listener.Addr().String() + "/x.git", Timeout: time.Second})
	_, err = r.Head(t.Context())
	wantFault(t, err, ReasonFetch, "no answer in time")
}

// TestCommitRace: the branch moves between looking and fetching; what is handed
// over is one commit, whole.
func TestCommitRace(t *testing.T) {
	o := newOrigin(t)
	o.commit(map[string]string{"a.hcl": suiteText("wan")})
	r := open(t, RepositoryOptions{URL: o.url()})
	seen, err := r.Head(t.Context())
	must(t, err)
	later := o.commit(map[string]string{"a.hcl": suiteText("van"), "b.hcl": "# two\n"})
	snap, err := r.Fetch(t.Context(), seen)
	if err != nil || snap.Revision != later {
		t.Fatalf("got %+v, %v; want %s", snap, err, later)
	}
	o.commit(map[string]string{"a.hcl": suiteText("again")})
	again, err := r.At(t.Context(), later)
	must(t, err)
	text, err := os.ReadFile(filepath.Join(again.Dir, "a.hcl"))
	if err != nil || string(text) != suiteText("van") {
		t.Errorf("at %s the suite reads %q, %v", later, text, err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, url := range []string{"", "--upload-pack=touch x", "-x", "ext::sh -c x", "http://example.com/x", "git://example.com/x", "https://u:p@example.com/x",
		"ssh://-oProxyCommand=x/y", "ssh://host/$(x) y", "git@-host:x", "file://host/x", "file:///a\nb", "https://example.com/x?y", "/srv/x"} {
		if _, err := checkURL(url); err == nil {
			t.Errorf("the URL %q was taken", url)
		}
	}
	for url, want := range map[string]string{"https://example.com/a/b.git": "https", "ssh://git@example.com:22/a.git": "ssh", "git@example.com:a/b.git": "ssh",
		"file:///srv/a b.git": "file", "ssh://git@[::1]:2222/a": "ssh"} {
		if got, err := checkURL(url); got != want || err != nil {
			t.Errorf("checkURL(%q) is %q, %v; want %q", url, got, err, want)
		}
	}
	for _, branch := range []string{"-x", "a..b", "a b", "a:b", "+a", "a~1", "a@{1}", "/a", "a/", "a.lock", "x/.y", "*", strings.Repeat("a", maxBranch+1)} {
		if checkBranch(branch) == nil {
			t.Errorf("the branch %q was taken", branch)
		}
	}
	if err := checkBranch(strings.Repeat("a", maxBranch)); err != nil {
		t.Error(err)
	}
	private := t.TempDir()
	for name, o := range map[string]RepositoryOptions{
		"path":      {URL: "file:///x", Dir: private, Path: "../x"},
		"ssh":       {URL: "git@example.com:x", Dir: private},
		"keys":      {URL: "file:///x", Dir: private, Keys: Keys{AllowedSigners: filepath.Join(private, "missing")}},
		"keys here": {URL: "file:///x", Dir: private, Keys: Keys{PGP: private}},
		"no dir":    {URL: "file:///x"},
	} {
		if _, err := OpenRepository(t.Context(), o); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
