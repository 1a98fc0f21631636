package gitops

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sshKey makes a key and its line for allowed signers, with options before the key.
func sshKey(t *testing.T, principal, options string) (file, line string) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	file = filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	pub, err := os.ReadFile(file + ".pub")
	must(t, err)
	return file, principal + " " + options + " " + string(pub)
}

// sign makes git sign commits with an ssh key.
func (o *origin) sign(key string) {
	o.git("config", "gpg.format", "ssh")
	o.git("config", "user.signingkey", key)
}

func TestSSHSignatures(t *testing.T) {
	alice, aliceLine := sshKey(t, "alice@example.com", "namespaces=\"git\"")
	mallory, _ := sshKey(t, "mallory", "")
	expired, expiredLine := sshKey(t, "bob@example.com", "valid-before=\"20200101\"")
	files, filesLine := sshKey(t, "carol@example.com", "namespaces=\"file\"")
	allowed := filepath.Join(t.TempDir(), "allowed_signers")
	must(t, os.WriteFile(allowed, []byte(aliceLine+expiredLine+filesLine), 0o600))

	o := newOrigin(t)
	o.sign(alice)
	good := o.commit(map[string]string{"a.hcl": suiteText("wan")}, "-S")
	w := newWatch(t, open(t, RepositoryOptions{URL: o.url(), Keys: Keys{AllowedSigners: allowed}}), State{})
	s := w.look(True, ReasonSucceeded, 1)
	if c := s.Condition(SourceVerified); c.Status != True || c.Message != "signed by alice@example.com" {
		t.Errorf("SourceVerified is %+v", c)
	}

	back := func() { o.git("reset", "-q", "--hard", good.commit()) }
	refused := func(name, part string) {
		t.Helper()
		s := w.look(False, ReasonUnverified, 1)
		c := s.Condition(SourceVerified)
		if c.Status != False || !strings.Contains(c.Message, part) || s.LastApplied != good || w.saved.Good != good {
			t.Errorf("%s: %+v; applied %s", name, c, s.LastApplied)
		}
		back()
	}
	o.commit(map[string]string{"a.hcl": suiteText("van")})
	refused("unsigned", "not signed")
	o.sign(mallory)
	o.commit(nil, "-S")
	refused("wrong key", "none of the allowed signers")
	o.sign(files)
	o.commit(nil, "-S")
	refused("wrong namespace", "")
	o.sign(expired)
	o.env = append(o.env, "GIT_COMMITTER_DATE=2019-06-01T00:00:00Z", "GIT_AUTHOR_DATE=2019-06-01T00:00:00Z")
	o.commit(nil, "-S")
	refused("expired key with an old date", "not valid now")

	// A good signature over another commit.
	raw := o.git("cat-file", "commit", good.commit())
	child := "tree " + o.git("rev-parse", "main^{tree}") + "\nparent " + good.commit() + strings.TrimPrefix(raw, raw[:strings.Index(raw, "\nauthor")])
	forged := o.feed(child+"\n", "hash-object", "-t", "commit", "-w", "--stdin")
	o.git("update-ref", "refs/heads/main", forged)
	refused("signature of another commit", "does not hold")

	if s := w.look(True, ReasonSucceeded, 1); s.Condition(SourceVerified).Status != True {
		t.Errorf("back at the good head: %+v", s.Conditions)
	}
}

func TestPGPSignatures(t *testing.T) {
	if _, err := exec.LookPath("gpg"); err != nil {
		t.Skip("gpg is not installed")
	}
	home, err := os.MkdirTemp("", "gpg") // short: gpg's agent has a socket in it
	must(t, err)
	defer os.RemoveAll(home)
	gpg := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--passphrase", ""}, args...)...).Output()
		if err != nil {
			t.Fatalf("gpg %v: %v", args, err)
		}
		return string(out)
	}
	defer func() { _ = exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run() }()
	for _, who := range []string{"alice", "mallory"} {
		gpg("--quick-generate-key", who+"@example.com", "ed25519", "sign", "never")
	}
	keys := t.TempDir()
	must(t, os.WriteFile(filepath.Join(keys, "alice.asc"), []byte(gpg("--armor", "--export", "alice@example.com")), 0o600))

	o := newOrigin(t)
	o.env = append(o.env, "GNUPGHOME="+home)
	good := o.commit(map[string]string{"a.hcl": suiteText("wan")}, "-Salice@example.com")
	r := open(t, RepositoryOptions{URL: o.url(), Keys: Keys{PGP: keys}})
	snap, err := r.Fetch(t.Context(), "")
	must(t, err)
	if !strings.Contains(snap.Signer, "alice@example.com") {
		t.Errorf("signed by %q", snap.Signer)
	}
	o.commit(nil, "-Smallory@example.com")
	_, err = r.Fetch(t.Context(), good)
	wantFault(t, err, ReasonUnverified, "not by a known")
	o.commit(nil)
	_, err = r.Fetch(t.Context(), good)
	wantFault(t, err, ReasonUnverified, "not signed")
	// The key expires: the same commit is not taken anew.
	o.git("reset", "-q", "--hard", good.commit())
	fingerprint := strings.Split(gpg("--with-colons", "--list-keys", "alice@example.com"), "fpr:::::::::")[1][:40]
	gpg("--quick-set-expire", fingerprint, "seconds=1")
	must(t, os.WriteFile(filepath.Join(keys, "alice.asc"), []byte(gpg("--armor", "--export", "alice@example.com")), 0o600))
	deadline := time.Now().Add(10 * time.Second)
	for err = nil; err == nil && time.Now().Before(deadline); {
		_, err = r.Fetch(t.Context(), good)
	}
	wantFault(t, err, ReasonUnverified, "EXPKEYSIG")
}

func TestSplitSignature(t *testing.T) {
	commit := "tree 1\nauthor a\ngpgsig A\n B\n \ngpgsig-sha256 C\n D\ncommitter c\n\ngpgsig not here\n"
	payload, signature, err := splitSignature([]byte(commit))
	if err != nil || string(signature) != "A\nB\n\n" || string(payload) != "tree 1\nauthor a\ncommitter c\n\ngpgsig not here\n" {
		t.Errorf("got %q and %q, %v", payload, signature, err)
	}
	for _, bad := range []string{"", "tree 1\n\nx", "gpgsig A\ngpgsig B\n\nx"} {
		if _, _, err := splitSignature([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
