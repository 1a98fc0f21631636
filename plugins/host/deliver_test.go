//go:build unix

package host

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp/plugins/sdk"
)

// TestZoo delivers to every misbehaving plugin at once, beside one good sink that must
// get everything, and to some that recover and must get everything too.
func TestZoo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux")
	}
	bad := []string{"crash", "hang", "ignorectx", "huge", "refuse", "garbage", "silent", "remote"}
	well := []string{"good", "flaky", "flood", "fork", "noclose"}
	h := newHost(t, func(o *Options) {
		o.Policy.CallTimeout, o.Policy.StartTimeout = 5*time.Second, 20*time.Second
		o.Policy.MaxBackoff, o.Policy.OpenFor = time.Second, 2*time.Second // the machine is not to be busy with starting them again
	}, append(bad, well...)...)
	source := newMemory(40)
	paths := map[string]string{}
	var sinks []Sink
	for _, kind := range append(bad, well...) {
		s, path := sinkOf(t, kind)
		sinks, paths[kind] = append(sinks, s), path
	}
	d := h.NewDelivery(source)
	d.Set(sinks)
	stop := running(t, d)
	state := func(kind string) State {
		for _, s := range d.States() {
			if s.Type == kind {
				return s
			}
		}
		return State{}
	}
	eventually(t, "the well-meaning sinks have 40 records", func() bool {
		return !slices.ContainsFunc(well, func(kind string) bool { return state(kind).Delivered < 40 })
	})
	source.add(20)
	d.Wake()
	eventually(t, "and 20 more", func() bool {
		return !slices.ContainsFunc(well, func(kind string) bool { return state(kind).Delivered < 60 })
	})
	eventually(t, "every bad sink has failed", func() bool {
		return !slices.ContainsFunc(bad, func(kind string) bool { return state(kind).Failures < 1 })
	})
	eventually(t, "the circuit of the crashing sink is open", func() bool { return state("crash").Circuit != CircuitClosed && state("crash").Restarts > 0 })
	for _, kind := range well {
		if diff := cmp.Diff(source.ids(), deduplicated(lines(paths[kind]))); diff != "" {
			t.Errorf("%s lacks records or has them out of order (-want +got):\n%s", kind, diff)
		}
	}
	for _, kind := range bad {
		if s := state(kind); s.Position != 0 || s.Delivered != 0 || s.LastError == "" || s.Pending == 0 {
			t.Errorf("%s: %+v, want nothing acknowledged and an error", kind, s)
		}
	}
	if s := state("crash"); !strings.Contains(s.LastError, "exit status 2") || !strings.Contains(s.LastError, "panic: zoo") {
		t.Errorf("the error of a crash is %q, want its status and its last words", s.LastError)
	}
	stop()
	if left := children(os.Getpid()); len(left) > 0 {
		t.Errorf("plugins left: %v", left)
	}
	child, err := strconv.Atoi(strings.Join(lines(paths["fork"]+".child"), ""))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child of the fork plugin is gone", func() bool { return !alive(child) })
}

func TestSlowSinkGetsSmallerBatches(t *testing.T) {
	h := newHost(t, func(o *Options) { o.Policy.CallTimeout = 1500 * time.Millisecond; o.Policy.BatchRecords = 64 }, "good")
	s, path := sinkOf(t, "good")
	s.Arguments = fmt.Appendf(nil, `{"path":%q,"pause":"100ms"}`, path)
	source := newMemory(24)
	states := h.Drain(t.Context(), source, []Sink{s})
	if states[0].Delivered != 24 || states[0].Pending != 0 {
		t.Errorf("state %+v", states[0])
	}
	if diff := cmp.Diff(source.ids(), deduplicated(lines(path))); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestDrain(t *testing.T) {
	var mu sync.Mutex
	var rejected []string
	var logged syncBuffer
	h := newHost(t, func(o *Options) {
		o.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
		o.Rejected = func(sink string, r sdk.Rejection) {
			mu.Lock()
			defer mu.Unlock()
			rejected = append(rejected, r.ID)
		}
	}, "good", "reject", "refuse")
	good, path := sinkOf(t, "good")
	picky, _ := sinkOf(t, "reject")
	refuse, _ := sinkOf(t, "refuse")
	other, _ := sinkOf(t, "good")
	other.Name, other.Suite = "sink.good.other", "another suite"
	source := newMemory(25)
	source.positions[good.Name] = source.records[4].Position
	last := source.records[24].Position
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	drained := make(chan []State, 1)
	go func() { drained <- h.Drain(ctx, source, []Sink{good, picky, refuse, other}) }()
	at := func(s Sink) uint64 { p, _ := source.SinkPosition(t.Context(), s.Name); return p }
	eventually(t, "all but one sink have everything", func() bool { return min(at(good), at(picky), at(other)) == last })
	eventually(t, "the other has failed", func() bool { return strings.Contains(logged.String(), refuse.Name) })
	cancel()
	states := map[string]State{}
	for _, s := range <-drained {
		states[s.Sink] = s
	}
	if s := states[good.Name]; s.Delivered != 20 || s.Position != last || s.Pending != 0 || s.Failing {
		t.Errorf("good: %+v", s)
	}
	if diff := cmp.Diff(source.ids()[5:], lines(path)); diff != "" {
		t.Errorf("good (-want +got):\n%s", diff)
	}
	if s := states[picky.Name]; s.Delivered != 20 || s.Rejected != 5 || s.Position != last {
		t.Errorf("reject: %+v", s)
	}
	if s := states[refuse.Name]; s.Delivered != 0 || s.Pending != 25 || !s.Failing || s.Position != 0 || !s.Oldest.Equal(source.records[0].Record.Written) {
		t.Errorf("refuse: %+v", s)
	}
	if s := states[other.Name]; s.Delivered != 0 || s.Position != last || s.Pending != 0 {
		t.Errorf("other suite: %+v", s)
	}
	if len(rejected) != 5 {
		t.Errorf("rejected %v, want 5 records", rejected)
	}
}

func TestSetChangesSinks(t *testing.T) {
	h := newHost(t, nil, "good")
	first, firstPath := sinkOf(t, "good")
	second, secondPath := sinkOf(t, "good")
	second.Name = "sink.good.second"
	source := newMemory(5)
	d := h.NewDelivery(source)
	running(t, d)
	has := func(path string, n int) func() bool { return func() bool { return len(lines(path)) == n } }
	d.Set([]Sink{first})
	eventually(t, "the first sink has 5", has(firstPath, 5))
	pids := children(os.Getpid())
	d.Set([]Sink{first, second})
	eventually(t, "the second sink has 5", has(secondPath, 5))
	if now := children(os.Getpid()); len(pids) != 1 || !slices.Contains(now, pids[0]) {
		t.Errorf("plugins before %v, after %v: the first sink was disturbed", pids, now)
	}
	changed, changedPath := sinkOf(t, "good")
	eventually(t, "the position of the first is kept", func() bool { p, _ := source.SinkPosition(t.Context(), first.Name); return p == 15 })
	d.Set([]Sink{changed})
	source.add(2)
	eventually(t, "the changed sink goes on from its position", has(changedPath, 2))
	eventually(t, "one sink is left", func() bool { return len(d.States()) == 1 && len(children(os.Getpid())) == 1 })
}

func TestSourceTrouble(t *testing.T) {
	var logged syncBuffer
	h := newHost(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&logged, nil)) }, "good")
	s, path := sinkOf(t, "good")
	source := newMemory(3)
	source.fail = fmt.Errorf("disk on fire")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	drained := make(chan []State, 1)
	go func() { drained <- h.Drain(ctx, source, []Sink{s}) }()
	eventually(t, "the trouble is told", func() bool { return strings.Contains(logged.String(), "disk on fire") })
	cancel()
	if states := <-drained; states[0].Pending == 0 || !strings.Contains(states[0].LastError, "disk on fire") {
		t.Errorf("state %+v, want it to own up to not knowing", states[0])
	}
	if got := lines(path); len(got) > 0 {
		t.Errorf("delivered %v", got)
	}
}
