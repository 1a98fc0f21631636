package bus

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestFloodingGuestIsPutOut is threats T22: an agent that sends without measure is
// disconnected and kept out for a while; who sends within it notices nothing.
func TestFloodingGuestIsPutOut(t *testing.T) {
	a := newAuthority(t)
	for name, pace := range map[string]Pace{
		"messages": {Messages: 1000, Window: 100 * time.Millisecond, Barred: time.Hour},
		"bytes":    {Bytes: 1 << 20, Window: 100 * time.Millisecond, Barred: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t, a, Config{Pace: pace}, ownSubjects)
			polite, err := dial(t, s, a, a.issue("mel"))
			if err != nil {
				t.Fatal(err)
			}
			closed := make(chan struct{})
			key := a.issue("syd")
			flood, err := dial(t, s, a, key, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
			if err != nil {
				t.Fatal(err)
			}
			payload := []byte(strings.Repeat("x", 16))
			if name == "bytes" {
				payload = make([]byte, 1<<16)
			}
			deadline := time.After(patience)
			if err := polite.Publish("a.mel.hello", []byte("x")); err != nil {
				t.Fatal(err)
			}
			for out := false; !out; {
				for range 200 {
					if flood.Publish("a.syd.part", payload) != nil {
						break
					}
				}
				flood.FlushTimeout(patience)
				select {
				case <-closed:
					out = true
				case <-deadline:
					t.Fatal("the flood is not stopped")
				default:
				}
			}
			if c, err := dial(t, s, a, key); err == nil {
				c.Close()
				t.Error("it came back at once")
			}
			if err := polite.FlushTimeout(patience); err != nil {
				t.Errorf("the polite one: %v", err)
			}
		})
	}
}

// TestResultsOfOneLeaveRoomForOthers: a guest that fills the results queue fills its
// share of it.
func TestResultsOfOneLeaveRoomForOthers(t *testing.T) {
	s := serve(t, Config{Dir: t.TempDir(), Ephemeral: true})
	t.Cleanup(func() { s.Close() })
	b := open(t, s, true) // results queue on r.*
	defer b.Close()
	c, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for n := range maxPerAgent + 500 {
		if err := c.Publish("r.syd", []byte(strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Publish("r.mel", []byte("x")); err != nil {
		t.Fatal(err)
	}
	untilQueued(t, b, maxPerAgent+1) // with the last one the queue has decided about all
	got := map[string]int{}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Results(ctx, func(batch []Message) error {
		for _, m := range batch {
			got[m.Subject]++
		}
		if got["r.mel"] == 1 && got["r.syd"] >= maxPerAgent {
			cancel()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got["r.syd"] != maxPerAgent || got["r.mel"] != 1 {
		t.Errorf("got %v, want %d of syd and that of mel", got, maxPerAgent)
	}
}

// untilQueued waits until the results queue holds n messages: it takes them in
// after their sender was told that the server has them.
func untilQueued(t *testing.T, b *Bus, n uint64) {
	t.Helper()
	js, err := jetstream.New(b.conn)
	if err != nil {
		t.Fatal(err)
	}
	queue, err := js.Stream(t.Context(), resultsStream)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		info, err := queue.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the queue holds %d messages, want %d", info.State.Msgs, n)
		}
	}
}
