package gitops

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// gitMinor is the oldest git 2.x accepted: from 2.31 on it takes its whole
// configuration from the environment, and the fixes of 2.39 close the known ways
// from a repository to the machine.
const gitMinor = 39

// git runs the git binary against one bare repository, with a configuration
// that comes from here and nowhere else.
type git struct {
	program string
	dir     string // the bare repository
	env     []string
	limits  limits
}

// limits are resource limits of a child; see limited.
type limits struct {
	fileBytes   int64
	memoryBytes int64
	cpu         time.Duration
}

// newGit prepares the environment for a repository's options.
func newGit(o RepositoryOptions, program, protocol, token string) *git {
	dir := filepath.Join(o.Dir, "repo")
	env := []string{
		"PATH=" + searchPath(program), "HOME=" + o.Dir, "LC_ALL=C",
		"GIT_DIR=" + dir,
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_ATTR_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
		"GIT_ALLOW_PROTOCOL=" + protocol, "GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1",
		"GIT_SSH_VARIANT=ssh", "GIT_SSH_COMMAND=" + sshCommand(o),
	}
	config := [][2]string{
		{"core.hooksPath", os.DevNull}, {"core.fsmonitor", "false"}, {"core.bigFileThreshold", "1m"},
		{"fetch.fsckObjects", "true"}, {"transfer.fsckObjects", "true"}, {"fetch.unpackLimit", "1"},
		{"submodule.recurse", "false"}, {"fetch.recurseSubmodules", "false"},
		{"credential.helper", ""}, {"pack.threads", "1"}, {"gc.auto", "0"}, {"maintenance.auto", "false"},
		{"http.lowSpeedLimit", "1000"}, {"http.lowSpeedTime", "20"}, {"http.followRedirects", "false"},
		{"transfer.bundleURI", "false"},
	}
	if token != "" {
		config = append(config, [2]string{"http.extraHeader", "Authorization: Basic " + basic(o.Username, token)})
	}
	if o.CAFile != "" {
		config = append(config, [2]string{"http.sslCAInfo", o.CAFile})
	}
	env = append(env, "GIT_CONFIG_COUNT="+strconv.Itoa(len(config)))
	for i, c := range config {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=%s", i, c[0]), fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", i, c[1]))
	}
	return &git{program: program, dir: dir, env: env,
		limits: limits{fileBytes: o.Budget.PackBytes, memoryBytes: 1 << 30, cpu: o.Timeout}}
}

func basic(user, token string) string {
	if user == "" {
		user = "git"
	}
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + token))
}

// searchPath is where git finds ssh, gpg and its own parts.
func searchPath(program string) string {
	list := []string{filepath.Dir(program), "/usr/local/bin", "/usr/bin", "/bin"}
	return strings.Join(list, string(os.PathListSeparator))
}

// sshCommand never asks, never trusts a new host and reads no configuration.
func sshCommand(o RepositoryOptions) string {
	args := []string{"ssh", "-F", os.DevNull, "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oIdentitiesOnly=yes",
		"-oConnectTimeout=15", "-oServerAliveInterval=10", "-oServerAliveCountMax=2",
		"-oForwardAgent=no", "-oClearAllForwardings=yes", "-oPermitLocalCommand=no", "-oUpdateHostKeys=no",
		"-oGlobalKnownHostsFile=" + os.DevNull, quote("-oUserKnownHostsFile=" + orDevNull(o.KnownHosts)),
		quote("-oIdentityFile=" + orNone(o.Identity))}
	return strings.Join(args, " ")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func orDevNull(path string) string {
	if path == "" {
		return os.DevNull
	}
	return path
}

func orNone(path string) string {
	if path == "" {
		return "none"
	}
	return path
}

// command makes a git command that ends with ctx, with all its children.
func (g *git) command(ctx context.Context, args ...string) *exec.Cmd {
	return limited(ctx, g.limits, g.program, args, g.env)
}

// run runs git to its end and returns at most limit bytes of its output.
func (g *git) run(ctx context.Context, limit int64, args ...string) ([]byte, error) {
	return output(ctx, g.command(ctx, args...), limit)
}

// ok runs a git command whose exit code 1 means no.
func (g *git) ok(ctx context.Context, args ...string) (bool, error) {
	_, err := g.run(ctx, 1<<16, args...)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// output runs a command and returns its output; more than limit bytes of it is
// an error and ends the command.
func output(ctx context.Context, cmd *exec.Cmd, limit int64) ([]byte, error) {
	var out []byte
	err := stream(ctx, cmd, func(r io.Reader) error {
		var err error
		out, err = io.ReadAll(io.LimitReader(r, limit+1))
		if err == nil && int64(len(out)) > limit {
			err = fmt.Errorf("more than %d bytes of output", limit)
		}
		return err
	})
	return out, err
}

// stream runs a command and has read take its output. When read fails the command
// is killed and read's error returned.
func stream(ctx context.Context, cmd *exec.Cmd, read func(io.Reader) error) error {
	said := &head{limit: 8 << 10}
	cmd.Stderr = said
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	readErr := read(pipe)
	if readErr != nil {
		_ = cmd.Cancel()
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w (the program said: %s)", timeUp(ctx), said.brief())
	case readErr != nil:
		return readErr
	case err != nil:
		return fmt.Errorf("%w: %s", err, said.brief())
	}
	return nil
}

// timeUp is what ended a context, in words.
func timeUp(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	return ctx.Err()
}

// head keeps the first bytes written to it and swallows the rest.
type head struct {
	buf   bytes.Buffer
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	if room := h.limit - h.buf.Len(); room > 0 {
		h.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// brief is what a program said, on one line without control characters.
func (h *head) brief() string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(h.buf.String(), "?"))
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return "no message"
	}
	if strings.Contains(text, "REMOTE HOST IDENTIFICATION HAS CHANGED") { // what to do comes last in a long text
		return "the server shows a host key, " + hostKey.FindString(text) + ", that is not the one in the known_hosts file: " +
			"if the server was given a new key, write that into the file; else somebody is between here and there"
	}
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + " …"
	}
	return text
}

var hostKey = regexp.MustCompile(`SHA256:[A-Za-z0-9+/]+`)

var versionForm = regexp.MustCompile(`^git version (\d+)\.(\d+)`)

// checkVersion refuses a git too old to take its configuration from us.
func (g *git) checkVersion(ctx context.Context) error {
	text, err := g.run(ctx, 1<<10, "version")
	if err != nil {
		return fmt.Errorf("ask git for its version: %w", err)
	}
	m := versionForm.FindSubmatch(text)
	if m == nil {
		return fmt.Errorf("git says %q for its version", text)
	}
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	if major < 2 || major == 2 && minor < gitMinor {
		return fmt.Errorf("git %s.%s is too old to fetch from repositories nobody vouches for: install 2.%d or later", m[1], m[2], gitMinor)
	}
	return nil
}
