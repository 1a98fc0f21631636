package gitops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Keys are the keys that may sign a head. They lie outside of the repository.
// With both set, either kind of signature counts.
type Keys struct {
	// AllowedSigners is a file as ssh-keygen(1) describes it: principal, options, key.
	AllowedSigners string
	// PGP is a directory of public keys, *.asc.
	PGP string
}

func (k Keys) configured() bool { return k.AllowedSigners != "" || k.PGP != "" }

// check refuses keys that are missing or could come from the repository.
func (k Keys) check(private string) error {
	for _, name := range []string{k.AllowedSigners, k.PGP} {
		if name == "" {
			continue
		}
		abs, err := filepath.Abs(name)
		if err != nil {
			return err
		}
		if _, err := os.Stat(abs); err != nil {
			return fmt.Errorf("keys for verification: %w", err)
		}
		if rel, err := filepath.Rel(private, abs); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("keys for verification: %s lies in the source's own directory %s: keep keys apart", abs, private)
		}
	}
	return nil
}

// verify checks the signature of a commit and says who made it; "" when no keys
// are configured. The key must be valid now: the date in a commit is its author's
// claim, and a stolen key that has expired could be used with any.
func (r *Repository) verify(ctx context.Context, commit string) (signer string, err error) {
	if !r.o.Keys.configured() {
		return "", nil
	}
	raw, err := r.git.run(ctx, 1<<20, "cat-file", "commit", commit)
	if err != nil {
		return "", fmt.Errorf("read commit %.12s: %w", commit, err)
	}
	payload, signature, err := splitSignature(raw)
	if err != nil {
		return "", fmt.Errorf("commit %.12s: %w", commit, err)
	}
	dir, err := os.MkdirTemp(r.o.Dir, "verify-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	v := verifier{dir: dir, signature: filepath.Join(dir, "signature"), payload: payload, env: slices.Clone(r.git.env), limits: r.git.limits}
	if err := os.WriteFile(v.signature, signature, 0o600); err != nil {
		return "", err
	}
	switch {
	case bytes.HasPrefix(signature, []byte("-----BEGIN SSH SIGNATURE-----")) && r.o.Keys.AllowedSigners != "":
		signer, err = v.ssh(ctx, r.o.Keys.AllowedSigners)
	case bytes.HasPrefix(signature, []byte("-----BEGIN PGP SIGNATURE-----")) && r.o.Keys.PGP != "":
		signer, err = v.pgp(ctx, r.o.Keys.PGP)
	default:
		err = errors.New("it has a signature of a kind for which no keys are configured")
	}
	if err != nil {
		return "", fmt.Errorf("commit %.12s: %w", commit, err)
	}
	return signer, nil
}

// splitSignature takes the signature out of a raw commit. What remains is what was
// signed, as git signs it: the commit without its gpgsig headers.
func splitSignature(raw []byte) (payload, signature []byte, err error) {
	headers, message, ok := bytes.Cut(raw, []byte("\n\n"))
	if !ok {
		return nil, nil, errors.New("it has no message")
	}
	inside, seen := "", 0
	for line := range bytes.Lines(append(slices.Clone(headers), '\n')) {
		name, value, _ := bytes.Cut(line, []byte(" "))
		switch {
		case string(name) == "gpgsig":
			seen++
			inside = "gpgsig"
			signature = append(signature, value...)
		case string(name) == "gpgsig-sha256":
			inside = "other"
		case line[0] == ' ' && inside == "gpgsig":
			signature = append(signature, line[1:]...)
		case line[0] == ' ' && inside == "other":
		default:
			inside = ""
			payload = append(payload, line...)
		}
	}
	switch seen {
	case 0:
		return nil, nil, errors.New("it is not signed")
	case 1:
		return append(append(payload, '\n'), message...), signature, nil
	}
	return nil, nil, errors.New("it has more than one signature")
}

// verifier asks the programs that made the formats about one signature.
type verifier struct {
	dir, signature string
	payload        []byte
	env            []string
	limits         limits
}

func (v *verifier) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	found, err := exec.LookPath(program)
	if err != nil {
		return nil, fmt.Errorf("verifying needs %s: %w", program, err)
	}
	cmd := limited(ctx, v.limits, found, args, v.env)
	cmd.Stdin = bytes.NewReader(v.payload)
	return output(ctx, cmd, 1<<20)
}

// ssh finds who holds the key and verifies; ssh-keygen applies validity and
// namespaces of the allowed signers.
func (v *verifier) ssh(ctx context.Context, allowed string) (string, error) {
	allowed, err := filepath.Abs(allowed)
	if err != nil {
		return "", err
	}
	now := "-Overify-time=" + time.Now().UTC().Format("20060102150405") + "Z"
	out, err := v.run(ctx, "ssh-keygen", "-Y", "find-principals", "-f", allowed, "-s", v.signature, now)
	if err != nil {
		return "", fmt.Errorf("its key is none of the allowed signers', or is not valid now: %w", err)
	}
	var last error
	for line := range strings.Lines(string(out)) {
		principal := strings.TrimSpace(line)
		if principal == "" || strings.HasPrefix(principal, "-") {
			continue
		}
		if _, last = v.run(ctx, "ssh-keygen", "-Y", "verify", "-n", "git", "-f", allowed, "-I", principal, "-s", v.signature, now); last == nil {
			return principal, nil
		}
	}
	return "", errors.Join(errors.New("its signature does not hold"), last)
}

// pgp verifies with a key ring that holds the configured keys only.
func (v *verifier) pgp(ctx context.Context, keys string) (string, error) {
	files, err := filepath.Glob(filepath.Join(keys, "*.asc"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("%s holds no *.asc file", keys)
	}
	base := []string{"--homedir", v.dir, "--batch", "--no-tty", "--no-autostart", "--no-options", "--no-auto-key-retrieve", "--status-fd", "1"}
	args := append(append(slices.Clone(base), "--import", "--"), files...)
	if _, err := v.run(ctx, "gpg", args...); err != nil {
		return "", fmt.Errorf("import the keys of %s: %w", keys, err)
	}
	out, err := v.run(ctx, "gpg", append(base, "--verify", "--", v.signature, "-")...)
	status := statusWords(out)
	if err != nil || status["GOODSIG"] == "" || status["VALIDSIG"] == "" {
		return "", fmt.Errorf("its PGP signature is not by a known and valid key: %w", errors.Join(err, errors.New(refusal(status))))
	}
	return status["GOODSIG"], nil
}

// statusWords reads gpg's machine-readable lines: keyword and the rest.
func statusWords(out []byte) map[string]string {
	words := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "[GNUPG:] "); ok {
			word, value, _ := strings.Cut(rest, " ")
			words[word] = value
		}
	}
	return words
}

func refusal(status map[string]string) string {
	for _, word := range []string{"EXPKEYSIG", "REVKEYSIG", "EXPSIG", "BADSIG", "NO_PUBKEY", "ERRSIG"} {
		if v, ok := status[word]; ok {
			return "gpg says " + word + " " + v
		}
	}
	return "gpg names no good signature"
}
