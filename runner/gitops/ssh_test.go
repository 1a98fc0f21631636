package gitops

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpupper/netp/testsuites/freeport"
)

// TestOverSSH fetches from a real sshd on loopback, and from none whose key is unknown.
func TestOverSSH(t *testing.T) {
	const sshd = "/usr/sbin/sshd"
	if _, err := os.Stat(sshd); err != nil {
		t.Skip("sshd is not installed (openssh-server)")
	}
	if os.Getuid() != 0 {
		t.Skip("sshd needs root to let the test log in")
	}
	o := newOrigin(t)
	head := o.commit(map[string]string{"a.hcl": suiteText("wan")})
	hostKey, hostLine := sshKey(t, "host", "")
	userKey, userLine := sshKey(t, "user", "")
	dir := t.TempDir()
	file := func(name, text string) string {
		full := filepath.Join(dir, name)
		must(t, os.WriteFile(full, []byte(text), 0o600))
		return full
	}
	port := freeport.Port(t)
	must(t, os.MkdirAll("/run/sshd", 0o755))
	config := file("sshd_config", fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s\nAuthorizedKeysFile %s\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n",
		port, hostKey, file("authorized_keys", userLine[len("user "):])))
	cmd := exec.Command(sshd, "-D", "-e", "-f", config)
	must(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	awaitPort(t, port)

	options := RepositoryOptions{URL: fmt.Sprintf("ssh://root@127.0.0.1:%d%s", port, o.dir), Identity: userKey, Timeout: 20 * time.Second,
		KnownHosts: file("known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s", port, hostLine[len("host "):]))}
	if got, err := open(t, options).Head(t.Context()); err != nil || got != head {
		t.Fatalf("over ssh: %s, %v; want %s", got, err, head)
	}
	if snap, err := open(t, options).Fetch(t.Context(), ""); err != nil || snap.Revision != head {
		t.Fatalf("over ssh: %+v, %v; want %s", snap, err, head)
	}
	options.KnownHosts = file("nobody", "")
	_, err := open(t, options).Head(t.Context())
	wantFault(t, err, ReasonFetch, "Host key verification failed")
	options.KnownHosts = file("changed", fmt.Sprintf("[127.0.0.1]:%d %s", port, userLine[len("user "):]))
	_, err = open(t, options).Head(t.Context())
	wantFault(t, err, ReasonFetch, "not the one in the known_hosts file")
}

func awaitPort(t *testing.T, port int) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing answers at port %d: %v", port, err)
		}
	}
}
