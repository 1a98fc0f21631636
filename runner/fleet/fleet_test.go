package fleet

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// bucket is a presence bucket in memory that several fleets watch.
type bucket struct {
	mu       sync.Mutex // guards watchers
	watchers []func(string, []byte)
}

func (b *bucket) tell(key string, value []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.watchers {
		w(key, value)
	}
	return nil
}

func (b *bucket) Announce(_ context.Context, key string, value []byte) error {
	return b.tell(key, value)
}
func (b *bucket) Withdraw(_ context.Context, key string) error { return b.tell(key, nil) }
func (b *bucket) Watch(ctx context.Context, seen func(string, []byte)) error {
	b.mu.Lock()
	b.watchers = append(b.watchers, seen)
	b.mu.Unlock()
	<-ctx.Done()
	return nil
}

const lease = 10 * time.Second

func start(t *testing.T, b *bucket, epoch uint64) *Fleet {
	f := New(Config{Presence: b, Epoch: epoch, Lease: lease, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return f
}

func hello(name netp.AgentID, installation, incarnation string) wire.Hello {
	return wire.Hello{MinVersion: 1, MaxVersion: 1, Agent: netp.Agent{Name: name, Address: "192.0.2.1:8620"}, Installation: installation, Incarnation: incarnation, Sent: time.Now()}
}

func ended(gone <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-gone:
		return true
	default:
		return false
	}
}

func TestLeaseEndsWithSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, new(bucket), 1)
		if w := f.Welcome(hello("syd", "i", "1")); w.Refused != "" || w.Lease != lease || w.Version != 1 || w.Epoch != 1 {
			t.Fatalf("welcome %+v", w)
		}
		m, ok := f.Find("syd")
		if !ok {
			t.Fatal("not there after the welcome")
		}
		time.Sleep(lease - time.Second) // virtual time
		f.Welcome(hello("syd", "i", "1"))
		time.Sleep(lease - time.Second)
		if ended(m.Gone) {
			t.Error("gone though the lease was renewed")
		}
		said := time.Now()
		time.Sleep(2 * time.Second)
		if !ended(m.Gone) || len(f.Agents()) != 0 {
			t.Error("still there after its lease")
		}
		if away := f.Away(); len(away) != 1 || away[0].Agent.Name != "syd" || said.Sub(away[0].Seen) != lease-time.Second {
			t.Errorf("away: %+v", away)
		}
		if f.Welcome(hello("syd", "i", "1")); len(f.Away()) != 0 {
			t.Errorf("away though it is back: %+v", f.Away())
		}
	})
}

func TestNameBelongsToOneInstallation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, new(bucket), 1)
		f.Welcome(hello("syd", "first", "1"))
		m, _ := f.Find("syd")
		if w := f.Welcome(hello("syd", "second", "2")); !strings.Contains(w.Refused, `"syd" is there`) || ended(m.Gone) {
			t.Errorf("the second: %+v; the first gone: %v", w, ended(m.Gone))
		}
		leaving := hello("syd", "second", "2")
		leaving.Leaving = true
		if f.Welcome(leaving); ended(m.Gone) {
			t.Error("the second's goodbye ended the first")
		}
		if w := f.Welcome(hello("syd", "first", "3")); w.Refused != "" || !ended(m.Gone) {
			t.Errorf("a restart of the first: %+v; its earlier start gone: %v", w, ended(m.Gone))
		}
		leaving = hello("syd", "first", "3")
		leaving.Leaving = true
		f.Welcome(leaving)
		if w := f.Welcome(hello("syd", "second", "2")); w.Refused != "" {
			t.Errorf("the second after the first's goodbye: %+v", w)
		}
	})
}

func TestExpelledIsGoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(bucket)
		f, other := start(t, b, 1), start(t, b, 2)
		f.Welcome(hello("syd", "i", "1"))
		m, _ := f.Find("syd")
		seen, there := other.Find("syd")
		if f.Expel("syd"); !there || !ended(m.Gone) || !ended(seen.Gone) || len(f.Agents())+len(other.Agents()) != 0 {
			t.Errorf("known to the other controller %v; gone %v, there %v; still there: %v, %v", there, ended(m.Gone), ended(seen.Gone), f.Agents(), other.Agents())
		}
		if f.Expel("nobody"); len(f.Away()) != 0 {
			t.Errorf("remembered: %+v", f.Away())
		}
	})
}

func TestVersionsWithoutOverlapAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, new(bucket), 1)
		h := hello("syd", "i", "1")
		h.MinVersion, h.MaxVersion = 2, 3
		if w := f.Welcome(h); !strings.Contains(w.Refused, "no common protocol version") || len(f.Agents()) != 0 {
			t.Errorf("welcome %+v", w)
		}
	})
}

func TestAwaitNamesWhoIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := start(t, new(bucket), 1)
		f.Welcome(hello("syd", "i", "1"))
		cause := errors.New("out of patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		if err := f.Await(ctx, "syd", "mel", "per"); !errors.Is(err, cause) || !strings.Contains(err.Error(), "mel, per") {
			t.Errorf("got %v", err)
		}
		waited := make(chan error, 1)
		go func() { waited <- f.Await(t.Context(), "syd", "mel") }()
		synctest.Wait()
		f.Welcome(hello("mel", "j", "1"))
		if err := <-waited; err != nil {
			t.Error(err)
		}
	})
}

func TestAnotherControllerKnowsAndItsOwnEchoIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(bucket)
		leader, standby := start(t, b, 2), start(t, b, 1)
		h := hello("syd", "i", "1")
		leader.Welcome(h)
		m, ok := standby.Find("syd")
		if !ok {
			t.Fatal("the standby does not know")
		}
		value, err := wire.Encode(grant{Epoch: 2, Version: 1, Hello: h})
		if err != nil {
			t.Fatal(err)
		}
		h.Leaving = true
		leader.Welcome(h)
		if !ended(m.Gone) {
			t.Error("the standby did not hear the goodbye")
		}
		leader.hear(wire.Token("syd"), value)
		if len(leader.Agents()) != 0 {
			t.Error("a late echo brought the agent back")
		}
		for _, garbage := range [][]byte{[]byte("{"), value} {
			leader.hear("other", garbage)
		}
		if len(leader.Agents()) != 0 {
			t.Error("a foreign entry was believed")
		}
	})
}
