package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPrompt has a person at a terminal asked whether standing tests may change, and
// answer in each way: only yes changes something.
func TestPrompt(t *testing.T) {
	d := deploy(t, buildNetp(t))
	d.edge("a", "b")
	admin, err := os.ReadFile(d.path("controller/admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	d.env = []string{"NETP_CONTROLLER=https://" + d.http, "NETP_TOKEN=" + string(admin), "CI=", "NETP_IN_AUTOMATION=", "NETP_INPUT=", "TERM=xterm"}
	suite := t.TempDir()
	writeText(t, filepath.Join(suite, "suite.hcl"), meshSuite("hand", `every = "1h"`, ""))
	apply := []string{"apply", "-inconclusive=pass", suite}
	for _, c := range []struct {
		name, typed string
		args        []string
		code        int
		says        string
		standing    int
	}{
		{"no", "no\n", apply, 1, "not approved; nothing was changed", 0},
		{"nothing", "\n", apply, 1, "not approved; nothing was changed", 0},
		{"nearly yes", "y\n", apply, 1, "not approved; nothing was changed", 0},
		{"end of input", "\x04", apply, 1, "not approved; nothing was changed", 0},
		{"Ctrl-C", "\x03", apply, 130, "interrupted; nothing was changed", 0},
		{"yes", "yes\n", apply, 0, "exit 0", 1},
		{"Ctrl-C of destroy", "\x03", []string{"destroy", "hand"}, 130, "interrupted; nothing was changed", 1},
		{"yes to destroy", " yes \n", []string{"destroy", "hand"}, 0, "Ended the standing tests, 1 in all.", 0},
	} {
		p := d.atTerminal(c.args...)
		p.awaitOutput("Only yes will be accepted: ")
		p.types(c.typed)
		if code, out := p.exit(), p.out.String(); code != c.code || !strings.Contains(strings.Join(strings.Fields(out), " "), c.says) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s", c.name, code, c.code, c.says, out)
		}
		if s := d.status().Standing; len(s) != c.standing {
			t.Errorf("%s: the standing tests are %+v, want %d", c.name, s, c.standing)
		}
	}
}

// typist is a process whose terminal a test has.
type typist struct {
	*process
	terminal *os.File
}

// atTerminal starts netp on a terminal of its own.
func (d *deployment) atTerminal(args ...string) typist {
	d.t.Helper()
	ours, its := pseudoTerminal(d.t)
	p := typist{&process{t: d.t, cmd: exec.Command(d.binary, args...), out: new(text), log: new(text), ended: make(chan struct{})}, ours}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = its, its, its
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p.cmd.Env = append(os.Environ(), d.env...)
	if err := p.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	its.Close()
	go func() {
		io.Copy(p.out, ours) // until nobody has the other end
		p.cmd.Wait()
		close(p.ended)
	}()
	d.t.Cleanup(p.kill)
	return p
}

func (p typist) types(keys string) {
	p.t.Helper()
	if _, err := p.terminal.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// pseudoTerminal makes a terminal: what is written to one end is typed at the other.
func pseudoTerminal(t *testing.T) (ours, its *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	fd := int(ours.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if its, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return ours, its
}
