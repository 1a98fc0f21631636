// Package pgtest runs a real PostgreSQL server for tests. Start with Start.
package pgtest

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"github.com/netpupper/netp/testsuites/freeport"
)

// Server is a PostgreSQL server of its own, gone when the test ends. It listens on
// a unix socket, where it trusts everybody, and on loopback, where it wants
// passwords. It is not thread-safe.
type Server struct {
	// Port is its TCP port on 127.0.0.1.
	Port int

	t         *testing.T
	bin, root string
	running   bool
}

// Start starts a server; without PostgreSQL on the machine the test is skipped.
func Start(t *testing.T) *Server {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs unix sockets and users")
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if path, err := exec.LookPath("initdb"); err == nil && len(found) == 0 {
		found = append(found, path)
	}
	if len(found) == 0 {
		t.Skip("needs PostgreSQL: apt-get install postgresql")
	}
	slices.Sort(found)
	root, err := os.MkdirTemp("", "netp-pg") // short: the path of a socket may have 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, bin: filepath.Dir(found[len(found)-1]), root: root, Port: freeport.Port(t)}
	t.Cleanup(func() {
		if s.running {
			s.Stop()
		}
		_ = os.RemoveAll(root)
	})
	s.run("initdb", "-D", s.data(), "--auth-local=trust", "--auth-host=scram-sha-256", "-U", "postgres", "-N", "-E", "UTF8", "--locale=C.UTF-8")
	s.Start()
	return s
}

func (s *Server) data() string { return filepath.Join(s.root, "data") }

// Start starts the server again after Stop.
func (s *Server) Start() {
	s.t.Helper()
	options := fmt.Sprintf("-c listen_addresses=127.0.0.1 -p %d -c fsync=off -k %s", s.Port, s.root)
	s.run("pg_ctl", "-D", s.data(), "-l", filepath.Join(s.root, "log"), "-o", options, "-w", "-t", "120", "start")
	s.running = true
}

// Stop stops the server at once, as a crash would: connections are cut and what was
// not committed is lost.
func (s *Server) Stop() {
	s.t.Helper()
	s.run("pg_ctl", "-D", s.data(), "-m", "immediate", "-w", "-t", "120", "stop")
	s.running = false
}

// URL names a database for an account, over the unix socket.
func (s *Server) URL(account, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(account), Path: "/" + database}
	u.RawQuery = url.Values{"host": {s.root}, "port": {strconv.Itoa(s.Port)}}.Encode()
	return u.String()
}

// NetURL names a database for an account with a password, over TCP on loopback.
func (s *Server) NetURL(account, password, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(account, password), Host: fmt.Sprintf("127.0.0.1:%d", s.Port), Path: "/" + database}
	return u.String() + "?sslmode=disable"
}

func (s *Server) run(name string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.root
	s.asPostgres(cmd)
	out, err := os.CreateTemp(s.root, name+"-*") // a pipe would be held open by the server
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		log, _ := os.ReadFile(filepath.Join(s.root, "log"))
		s.t.Fatalf("%s: %v\n%s%s", name, err, text, log)
	}
}

// asPostgres makes a command run as the user postgres when this test runs as root,
// which PostgreSQL refuses to be.
func (s *Server) asPostgres(cmd *exec.Cmd) {
	if os.Getuid() != 0 {
		return
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		s.t.Skip("needs a user postgres when run as root")
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(s.root, uid, gid); err != nil {
		s.t.Fatal(err)
	}
	become(cmd, uid, gid)
}
