package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/testsuites/freeport"
)

// sshKey makes a key pair and gives the private key's file and the public key.
func sshKey(t *testing.T) (file, public string) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed (openssh-client)")
	}
	file = filepath.Join(t.TempDir(), "key")
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file).CombinedOutput(); err != nil {
		t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return file, string(text)
}

// sshServer runs sshd on loopback and lets the user's key in; it gives its address.
func sshServer(t *testing.T, hostKey, user string) string {
	t.Helper()
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("sshd is not installed (openssh-server)")
	}
	if os.Getuid() != 0 {
		t.Skip("sshd needs root to let the test log in")
	}
	dir := t.TempDir()
	address := freeport.Address(t)
	host, port, _ := strings.Cut(address, ":")
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	config := writeText(t, filepath.Join(dir, "sshd_config"), fmt.Sprintf(
		"ListenAddress %s:%s\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n",
		host, port, hostKey, writeText(t, filepath.Join(dir, "authorized_keys"), user)))
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "sshd answers", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return address
}

// TestSignedCommitsOverSSH follows a repository over ssh that takes only commits of
// known keys, and whose suites see only the environment they are given.
func TestSignedCommitsOverSSH(t *testing.T) {
	o := newOrigin(t)
	hostKey, hostPublic := sshKey(t)
	userKey, userPublic := sshKey(t)
	alice, alicePublic := sshKey(t)
	address := sshServer(t, hostKey, userPublic)
	host, port, _ := strings.Cut(address, ":")
	dir := t.TempDir()
	known := writeText(t, filepath.Join(dir, "known_hosts"), fmt.Sprintf("[%s]:%s %s", host, port, hostPublic))
	signers := writeText(t, filepath.Join(dir, "signers"), `alice@example.com namespaces="git" `+alicePublic)
	o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", "")})
	d := &deployment{t: t, binary: buildNetp(t), dir: t.TempDir(), http: freeport.Address(t), bus: freeport.Address(t),
		flags: []string{"-interval", "500ms", "-suite-env", "NETP_TEST_SHARED"},
		env: []string{"NETP_TEST_SHARED=shared", "NETP_TEST_SECRET=secret",
			"NETP_CONTROLLER_REPO=ssh://root@" + address + o.bare, "NETP_CONTROLLER_SSH_KEY=" + userKey,
			"NETP_CONTROLLER_KNOWN_HOSTS=" + known, "NETP_CONTROLLER_ALLOWED_SIGNERS=" + signers}}
	d.startController()
	unsigned := d.unready("wan", gitops.ReasonUnverified, "")
	if c := unsigned.Condition(gitops.SourceVerified); c.Status != gitops.False {
		t.Errorf("an unsigned commit is verified as %+v", c)
	}
	d.edge("a", "b")

	o.git("config", "gpg.format", "ssh")
	o.git("config", "user.signingkey", alice)
	o.git("config", "commit.gpgsign", "true")
	signed := o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", `locals { word = env("NETP_TEST_SHARED") }`)})
	d.ready("wan", signed)
	if c := d.source("wan").Condition(gitops.SourceVerified); c.Status != gitops.True || !strings.Contains(c.Message, "alice@example.com") {
		t.Errorf("a signed commit is verified as %+v", c)
	}
	d.all("mesh", 2)

	o.push(map[string]string{"mesh/suite.hcl": meshSuite("mesh", "", `locals { word = env("NETP_TEST_SECRET") }`)})
	spy := d.unready("wan", gitops.ReasonLoad, signed)
	if text := fmt.Sprint(spy.Diagnostics); !strings.Contains(text, "NETP_TEST_SECRET") || strings.Contains(text, `"secret"`) {
		t.Errorf("a suite that looks at the controller's environment: %s", text)
	}
}
