//go:build unix

package bus

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// fill keeps the process from writing beyond the first bytes of any file, until free
// is called: the next best thing to a full disk. It is for a process of its own, since
// the bound holds for what the testing package writes, too.
func fill(t *testing.T) (free func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	full := before
	full.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	free = func() {
		_ = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before)
		signal.Reset(syscall.SIGXFSZ)
	}
	t.Cleanup(free)
	return free
}

// warned is closed by the first error that is logged.
type warned struct {
	slog.Handler
	seen chan struct{}
	told atomic.Bool
}

func (w *warned) Enabled(context.Context, slog.Level) bool { return true }

func (w *warned) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError && !w.told.Swap(true) {
		close(w.seen)
	}
	return nil
}

// Once the disk was full the server writes no more to the queue it has. When there is
// room again results must come through without a restart.
func TestResultsComeAgainAfterAFullDisk(t *testing.T) {
	const alone = "NETP_TEST_FULL_DISK"
	if os.Getenv(alone) != "" {
		resultsComeAgain(t)
		return
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	c.Env = append(os.Environ(), alone+"=1")
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
}

func resultsComeAgain(t *testing.T) {
	log := &warned{Handler: slog.DiscardHandler, seen: make(chan struct{})}
	s := serve(t, Config{Dir: t.TempDir(), Logger: slog.New(log)})
	defer s.Close()
	b := open(t, s, false)
	defer b.Close()
	c, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	came := make(chan string, 1)
	go func() {
		done <- b.Results(ctx, func(m []Message) error {
			select {
			case came <- string(m[0].Data):
			default:
			}
			return nil
		})
	}()
	send := func(text string) {
		if err := c.Publish("r.syd", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	free := fill(t)
	send("lost")
	select {
	case <-log.seen:
	case <-ctx.Done():
		t.Fatal("the full disk was not noticed")
	}
	free()
	again := time.NewTicker(100 * time.Millisecond) // as agents do
	defer again.Stop()
	for got := ""; got != "again"; {
		select {
		case <-again.C:
			send("again")
		case got = <-came:
		case <-ctx.Done():
			t.Fatal("no result came after the disk had room again")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
