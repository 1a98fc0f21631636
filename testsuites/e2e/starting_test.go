package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/testsuites/pgtest"
)

// trapdoor is the way to a server. It shuts when a client asks for something, and cuts
// everybody off until it is opened again.
type trapdoor struct {
	address, server string // of TCP, and a socket of the host

	mu   sync.Mutex // guards what follows
	asks []byte     // what shuts it; nil for nothing
	shut bool
}

func newTrapdoor(t *testing.T, server string) *trapdoor {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &trapdoor{address: l.Addr().String(), server: server}
	var all sync.WaitGroup
	t.Cleanup(all.Wait)
	t.Cleanup(func() { l.Close() })
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { d.pass(client) })
		}
	})
	return d
}

// set says what shuts the door, and opens it.
func (d *trapdoor) set(asks string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asks, d.shut = []byte(asks), false
}

// closedTo reports whether what a client says does not pass.
func (d *trapdoor) closedTo(said []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shut = d.shut || len(d.asks) > 0 && bytes.Contains(said, d.asks)
	return d.shut
}

func (d *trapdoor) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", d.server)
	if err != nil {
		return
	}
	defer server.Close()
	var back sync.WaitGroup
	defer back.Wait()
	back.Go(func() {
		_, _ = io.Copy(client, server) // it ends with either
		client.Close()
	})
	defer server.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil || d.closedTo(buffer[:n]) {
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// TestStoreLeavesAStartingController has a database go away as soon as the controller is
// up and asks what the last one left, for longer than it is waited for: the controller
// says so, tells it to who asks, and begins when the database is back.
func TestStoreLeavesAStartingController(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	socket, err := url.Parse(server.URL("postgres", "postgres"))
	if err != nil {
		t.Fatal(err)
	}
	door := newTrapdoor(t, filepath.Join(socket.Query().Get("host"), fmt.Sprintf(".s.PGSQL.%d", server.Port)))
	d := deploy(t, buildNetp(t), "-store", "postgres://postgres@"+door.address+"/postgres?sslmode=disable")
	ready := d.readyz()
	eventually(t, "a controller that is ready", func() bool { return ready() == http.StatusOK })
	if code := d.controller.terminate(); code != 0 {
		t.Fatalf("the first controller exits with %d", code)
	}

	door.set("agents") // the note of who was there
	d.startController()
	if code := ready(); code != http.StatusServiceUnavailable {
		t.Errorf("a controller without its store is ready: %d", code)
	}
	if _, complaint, err := d.command("runs"); err == nil || !strings.Contains(complaint, "waits for its store") {
		t.Errorf("netp runs meanwhile: %v %s", err, complaint)
	}
	d.controller.awaitLog("cannot go on with what it begins with")
	door.set("")
	eventually(t, "a controller that is ready again", func() bool { return ready() == http.StatusOK })
	if out := d.must("runs"); !strings.Contains(out, "No runs.") {
		t.Errorf("netp runs afterwards: %s", out)
	}

	if code := d.controller.terminate(); code != 0 {
		t.Errorf("the controller exits with %d", code)
	}
	door.set("agents")
	d.startController()
	if code := d.controller.terminate(); code != 0 {
		t.Errorf("a controller that is stopped while it waits for its store exits with %d", code)
	}
}

// readyz gives what asks whether the controller is ready.
func (d *deployment) readyz() func() (status int) {
	d.t.Helper()
	token, err := wire.ParseJoinToken(tokenIn(d.t, d.firstLine))
	if err != nil {
		d.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: wire.PinnedTLS(token.Pin)}, Timeout: patience}
	d.t.Cleanup(client.CloseIdleConnections)
	return func() int {
		response, err := client.Get("https://" + d.http + "/readyz")
		if err != nil {
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
}
