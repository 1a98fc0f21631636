package bus

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience bounds every wait; nothing is measured by it.
const patience = 30 * time.Second

func serve(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, s *Server, ephemeral bool) *Bus {
	t.Helper()
	b, err := Open(t.Context(), Options{Server: s, Results: "r.*", Lease: time.Second, Ephemeral: ephemeral})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEphemeralServerLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, Config{Dir: dir, Ephemeral: true})
	b := open(t, s, true)
	if s.URL() != "" {
		t.Errorf("URL %q without a listener", s.URL())
	}
	b.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStartErrors(t *testing.T) {
	used := t.TempDir()
	defer serve(t, Config{Dir: used}).Close()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"locked", Config{Dir: used}, "in use by another running controller"},
		{"a file", Config{Dir: file}, file},
		{"port taken", Config{Dir: t.TempDir(), Listen: taken.Addr().String()}, "in use"},
		{"bad address", Config{Dir: t.TempDir(), Listen: "nonsense"}, "nonsense"},
	} {
		s, err := Start(c.cfg)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func publish(t *testing.T, s *Server, subject, text string) {
	t.Helper()
	c, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Publish(subject, []byte(text)); err != nil {
		t.Fatal(err)
	}
	awaitQueued(t, c, 1)
}

// awaitQueued waits until the results queue holds n messages; it acknowledges nothing.
func awaitQueued(t *testing.T, c *nats.Conn, n uint64) {
	t.Helper()
	js, err := jetstream.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		stream, err := js.Stream(ctx, resultsStream)
		if err != nil {
			t.Fatal(err)
		}
		if stream.CachedInfo().State.Msgs == n {
			return
		}
	}
}

func TestResultsStayUntilTakenAlsoOverARestart(t *testing.T) {
	dir := t.TempDir()
	s := serve(t, Config{Dir: dir})
	b := open(t, s, false)
	publish(t, s, "r.syd", "one")
	b.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = serve(t, Config{Dir: dir})
	defer s.Close()
	b = open(t, s, false)
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tries := 0
	err := b.Results(ctx, func(m []Message) error {
		tries++
		if string(m[0].Data) != "one" || m[0].Subject != "r.syd" {
			t.Errorf("got %+v", m[0])
		}
		if tries == 1 {
			return errors.New("the store is away")
		}
		cancel()
		return nil
	})
	if err != nil || tries != 2 {
		t.Errorf("taken after %d tries, %v; want 2", tries, err)
	}
}

func TestPresenceEndsByItself(t *testing.T) {
	s := serve(t, Config{Dir: t.TempDir(), Ephemeral: true})
	defer s.Close()
	b := open(t, s, true)
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Announce(ctx, "early", []byte("1")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var log []string
	once := sync.OnceFunc(func() {
		for _, key := range []string{"lapses", "leaves"} {
			if err := b.Announce(ctx, key, []byte("2")); err != nil {
				t.Error(err)
			}
		}
		if err := b.Withdraw(ctx, "leaves"); err != nil {
			t.Error(err)
		}
	})
	ended := map[string]bool{}
	err := b.Watch(ctx, func(key string, value []byte) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, key+"="+string(value))
		once()
		ended[key] = value == nil
		if ended["early"] && ended["lapses"] && ended["leaves"] {
			cancel()
		}
	})
	if err != nil || !ended["lapses"] || !ended["leaves"] || !ended["early"] {
		t.Errorf("saw %v, %v", log, err)
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s, err := Start(Config{Dir: b.TempDir(), Ephemeral: true})
		if err != nil {
			b.Fatal(err)
		}
		bus, err := Open(b.Context(), Options{Server: s, Results: "r.*", Lease: time.Second, Ephemeral: true})
		if err != nil {
			b.Fatal(err)
		}
		bus.Close()
		s.Close()
	}
}
