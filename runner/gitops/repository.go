package gitops

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// RepositoryOptions say which branch of which repository to follow.
type RepositoryOptions struct {
	// URL is https://host/path, ssh://[user@]host[:port]/path, user@host:path or
	// file:///path. It holds no password.
	URL string
	// Branch without refs/heads/; default main.
	Branch string
	// Path is the directory of the repository that holds the suites, with slashes; "" is all of it.
	Path string
	// Dir is a private directory for the objects and the files; it is made with
	// mode 0700 and belongs to this source alone.
	Dir string
	// Keys verify the head. The zero value accepts unsigned commits.
	Keys Keys
	// AllowRewrite takes a head that does not descend from the last good one.
	AllowRewrite bool
	// Identity and KnownHosts are the files of the ssh client; both are needed for ssh.
	Identity, KnownHosts string
	// Username (default git) and TokenFile are the credentials for https.
	Username, TokenFile string
	// CAFile holds certificate authorities for https; "" means the system's.
	CAFile string
	// Git is the git binary; default: the one in the search path.
	Git string
	// Timeout bounds each exchange with the server; default 60 s.
	Timeout time.Duration
	Budget  Budget
}

// Repository is a Source: a branch of a git repository. Use OpenRepository.
type Repository struct {
	o        RepositoryOptions
	git      *git
	maxPacks int // so many fetches later the local repository is tidied
}

var (
	scpForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9._~/][A-Za-z0-9._~/+@-]*$`)
	urlForm    = regexp.MustCompile(`^(https|ssh)://([A-Za-z0-9_][A-Za-z0-9._-]*@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/[A-Za-z0-9._~/+@%-]*$`)
	fileForm   = regexp.MustCompile(`^file:///[^\x00-\x1f\x7f?#]+$`)
	branchForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// OpenRepository checks the options, makes the private directory and asks git for
// its version. It does not talk to the server.
func OpenRepository(ctx context.Context, o RepositoryOptions) (*Repository, error) {
	o.Branch = cmp.Or(o.Branch, "main")
	o.Timeout = cmp.Or(o.Timeout, time.Minute)
	o.Git = cmp.Or(o.Git, "git")
	o.Budget = o.Budget.complete()
	protocol, err := checkURL(o.URL)
	if err != nil {
		return nil, err
	}
	if err := checkBranch(o.Branch); err != nil {
		return nil, err
	}
	if o.Path != "" && !safePath(o.Path) {
		return nil, fmt.Errorf("path %q is not a plain directory inside the repository", o.Path)
	}
	if protocol == "ssh" && (o.Identity == "" || o.KnownHosts == "") {
		return nil, fmt.Errorf("repository %s: ssh needs a key file and a known_hosts file: nothing is asked and no host is trusted on first sight", o.URL)
	}
	token, err := readToken(o.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("repository %s: %w", o.URL, err)
	}
	program, err := exec.LookPath(o.Git)
	if err != nil {
		return nil, fmt.Errorf("find git: %w", err)
	}
	if o.Dir, err = privateDir(o.Dir); err != nil {
		return nil, err
	}
	if err := o.Keys.check(o.Dir); err != nil {
		return nil, err
	}
	if err := removeAll(o.Dir, "rev-*", "verify-*"); err != nil {
		return nil, err
	}
	r := &Repository{o: o, git: newGit(o, program, protocol, token), maxPacks: 50}
	return r, r.git.checkVersion(ctx)
}

func checkURL(url string) (protocol string, err error) {
	switch {
	case urlForm.MatchString(url), fileForm.MatchString(url):
		protocol, _, _ = strings.Cut(url, ":")
		return protocol, nil
	case scpForm.MatchString(url):
		return "ssh", nil
	}
	return "", errors.New("the repository's URL must be https://host/path, ssh://user@host/path, user@host:path or file:///path, without password, query or spaces")
}

// maxBranch is the longest name of a branch [B].
const maxBranch = 200

func checkBranch(name string) error {
	if len(name) > maxBranch || !branchForm.MatchString(name) || strings.Contains(name, "..") || strings.Contains(name, "//") ||
		strings.Contains(name, "@{") || strings.Contains(name, "/.") || strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, "/") {
		return fmt.Errorf("branch %q is not a plain branch name", name)
	}
	return nil
}

func readToken(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, "\r\n\x00") {
		return "", fmt.Errorf("%s does not hold one line with a token", file)
	}
	return token, nil
}

// privateDir makes a directory only its owner can enter.
func privateDir(dir string) (string, error) {
	if dir == "" {
		return "", errors.New("a source needs a directory of its own")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o700)
}

// Origin is the URL and the branch.
func (r *Repository) Origin() string { return r.o.URL + "#" + r.o.Branch }

// Watch waits: a repository has to be asked.
func (r *Repository) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

const headRef = "refs/netp/head"

func (r *Repository) revision(commit string) Revision {
	return Revision(r.o.Branch + "@sha1:" + commit)
}

// Head asks the server for the branch's commit and fetches nothing.
func (r *Repository) Head(ctx context.Context) (Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	if err := r.ready(ctx); err != nil {
		return "", asFault(err, ReasonFetch, "")
	}
	ref := "refs/heads/" + r.o.Branch
	out, err := r.git.run(ctx, 1<<20, "ls-remote", "-q", "--", r.o.URL, ref)
	if err != nil {
		return "", fault(ReasonFetch, "ask %s for its branches: %w", r.o.URL, err)
	}
	for line := range strings.Lines(string(out)) {
		id, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if name == ref && commitForm.MatchString(id) {
			return r.revision(id), nil
		}
	}
	return "", fault(ReasonNoBranch, "%s has no branch %s: what was applied last stays until the branch is back or the repository is removed from the configuration", r.o.URL, r.o.Branch)
}

// tidy packs what the good commit and the last head need into one, when many
// fetches have left many packs. If that fails the repository is made anew: the
// server has just answered.
func (r *Repository) tidy(ctx context.Context, good string) error {
	packs, _ := filepath.Glob(filepath.Join(r.git.dir, "objects", "pack", "*.pack"))
	if len(packs) <= r.maxPacks {
		return nil
	}
	var err error
	if good != "" {
		_, err = r.git.run(ctx, 1<<10, "update-ref", "refs/netp/good", good)
	}
	if err == nil {
		_, err = r.git.run(ctx, 1<<16, "repack", "-a", "-d", "-q")
	}
	if err != nil {
		return errors.Join(os.RemoveAll(r.git.dir), r.ready(ctx))
	}
	return nil
}

// ready makes the bare repository, if it is not there whole.
func (r *Repository) ready(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(r.git.dir, "netp-ready")); err == nil {
		return removeLeftovers(r.git.dir)
	}
	if err := os.RemoveAll(r.git.dir); err != nil {
		return err
	}
	if _, err := r.git.run(ctx, 1<<16, "init", "-q", "--bare", "--template=", "--object-format=sha1", "--", r.git.dir); err != nil {
		return fmt.Errorf("make a local repository: %w", err)
	}
	return os.WriteFile(filepath.Join(r.git.dir, "netp-ready"), nil, 0o600)
}

// removeLeftovers takes away what a killed git leaves behind: it runs once at a
// time here, so every lock and unfinished pack is stale.
func removeLeftovers(dir string) error {
	return removeAll(dir, "*.lock", "refs/netp/*.lock", "objects/pack/tmp_*", "objects/pack/.tmp-*", "objects/tmp_*")
}

func removeAll(dir string, patterns ...string) error {
	for _, pattern := range patterns {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range names {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Fetch brings the branch's commit, compares it with the good one, verifies its
// signature and writes its suites. All steps work on one commit id: a branch that
// moves meanwhile changes nothing.
func (r *Repository) Fetch(ctx context.Context, good Revision) (*Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*r.o.Timeout)
	defer cancel()
	if err := r.ready(ctx); err != nil {
		return nil, asFault(err, ReasonFetch, "")
	}
	if err := r.tidy(ctx, good.commit()); err != nil {
		return nil, asFault(err, ReasonFetch, "")
	}
	if err := r.fetch(ctx, 1); err != nil {
		return nil, asFault(err, ReasonFetch, "")
	}
	commit, err := r.fetched(ctx)
	if err != nil {
		return nil, asFault(err, ReasonFetch, "")
	}
	rev := r.revision(commit)
	if err := r.descends(ctx, good.commit(), commit); err != nil {
		return nil, asFault(err, ReasonFetch, rev)
	}
	signer, err := r.verify(ctx, commit)
	if err != nil {
		return nil, asFault(err, ReasonUnverified, rev)
	}
	snap, err := r.write(ctx, rev)
	if err != nil {
		return nil, err
	}
	snap.Signer = signer
	return snap, nil
}

// At writes the suites of a commit that was fetched before.
func (r *Repository) At(ctx context.Context, rev Revision) (*Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	if !commitForm.MatchString(rev.commit()) {
		return nil, asFault(fmt.Errorf("%q is not a commit", rev), ReasonFetch, rev)
	}
	return r.write(ctx, rev)
}

func (r *Repository) write(ctx context.Context, rev Revision) (*Snapshot, error) {
	snap := &Snapshot{Revision: rev}
	files, err := r.list(ctx, rev.commit())
	if err == nil {
		snap.Suites, files, err = choose(files, r.o.Budget)
	}
	if err == nil {
		snap.Dir, err = os.MkdirTemp(r.o.Dir, "rev-")
	}
	if err != nil {
		return nil, asFault(err, ReasonFetch, rev)
	}
	if err := r.extract(ctx, snap.Dir, files); err != nil {
		os.RemoveAll(snap.Dir)
		return nil, asFault(err, ReasonFetch, rev)
	}
	return snap, nil
}

// fetch brings the branch with so many commits of history.
func (r *Repository) fetch(ctx context.Context, depth int) error {
	_, err := r.git.run(ctx, 1<<16, "fetch", "-q", "--force", "--depth="+strconv.Itoa(depth), "--no-tags", "--no-recurse-submodules",
		"--no-write-fetch-head", "--no-auto-maintenance", "--", r.o.URL, "+refs/heads/"+r.o.Branch+":"+headRef)
	switch {
	case err == nil:
		return nil
	case strings.Contains(err.Error(), "File too large") && depth > 1:
		return fault(ReasonTooLarge, "the commits of %s since the last good one need a pack of more than %d bytes; a large file counts also when a later commit removes it. Take it out of the branch's history: a branch that follows the last good commit without it is taken: %w",
			r.o.URL, r.o.Budget.PackBytes, err)
	case strings.Contains(err.Error(), "File too large"):
		return fault(ReasonTooLarge, "the commit of %s needs a pack of more than %d bytes: %w", r.o.URL, r.o.Budget.PackBytes, err)
	case strings.Contains(err.Error(), "fsck error") || strings.Contains(err.Error(), "fsck_"):
		return fault(ReasonUnsafe, "git refuses an object of %s: %w", r.o.URL, err)
	}
	return fmt.Errorf("fetch from %s: %w", r.o.URL, err)
}

func (r *Repository) fetched(ctx context.Context) (string, error) {
	out, err := r.git.run(ctx, 1<<10, "rev-parse", "--verify", "-q", headRef+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("read what was fetched: %w", err)
	}
	id := string(bytes.TrimSpace(out))
	if !commitForm.MatchString(id) {
		return "", fmt.Errorf("git names a commit %q", id)
	}
	return id, nil
}

// descends checks that a head follows the last good commit. It asks for more
// history until it sees that commit, the beginning, or the budget's end; not much more
// at a time, for what came before the good commit counts in the pack, too.
func (r *Repository) descends(ctx context.Context, good, head string) error {
	if good == "" || good == head || r.o.AllowRewrite {
		return nil
	}
	before := ""
	for depth := 1; ; depth = min(depth*2, r.o.Budget.Commits) {
		if depth > 1 {
			if err := r.fetch(ctx, depth); err != nil {
				return err
			}
			if now, err := r.fetched(ctx); err != nil || now != head {
				return errors.Join(fmt.Errorf("branch %s moved while its history was read: the next look takes the newer commit", r.o.Branch), err)
			}
		}
		known, err := r.reaches(ctx, good, head)
		if err != nil || known {
			return err
		}
		count, err := r.git.run(ctx, 1<<10, "rev-list", "--count", head)
		if err != nil {
			return fmt.Errorf("count commits: %w", err)
		}
		if depth > 1 && string(count) == before || depth >= r.o.Budget.Commits {
			return fault(ReasonRewritten, "commit %.12s does not follow %.12s, the last that was applied: the branch was rewritten or set back. Set it to a descendant, or allow rewriting for this repository", head, good)
		}
		before = string(count)
	}
}

// reaches reports whether good is an ancestor of head in the history seen so far.
func (r *Repository) reaches(ctx context.Context, good, head string) (bool, error) {
	if _, err := r.git.run(ctx, 1<<10, "cat-file", "-e", good+"^{commit}"); err != nil {
		return false, ctx.Err() // not among what was fetched so far
	}
	yes, err := r.git.ok(ctx, "merge-base", "--is-ancestor", good, head)
	if err != nil {
		return false, fmt.Errorf("compare commits: %w", err)
	}
	return yes, nil
}
