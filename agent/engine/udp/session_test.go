package udp

import (
	"context"
	"crypto/rand"
	"maps"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// bench is a pair of agents with an engine each.
type bench struct {
	params    netp.Params
	initiator *Engine
	responder *Engine
	relay     func(t *testing.T, to netip.AddrPort) netip.AddrPort // nil: none
	from, at  port.Where                                           // loopback when zero
	separate  bool                                                 // the ends do not know that they read the same clock
	meter     engine.Meter
	cancel    func(ctx context.Context) context.Context // of the initiator
	abandon   bool                                      // cancel the responder once the initiator has ended
	progress  func(netp.Progress)
	clock     *clock.Clock // of the initiator
}

// withDefaults adds the defaults as the language does.
func withDefaults(p netp.Params) netp.Params {
	out := netp.Params{}
	for _, spec := range params() {
		if spec.Default != nil {
			out[spec.Name] = spec.Default
		}
	}
	maps.Copy(out, p)
	return out
}

// run runs a session and gives both parts.
func (b bench) run(t *testing.T) (initiator, responder netp.Result) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	at := b.at
	if !at.Address.IsValid() {
		at.Address = loopback
	}
	p, err := port.Listen(port.Config{Where: at})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	secret := make([]byte, 32)
	rand.Read(secret)
	const id = 42
	keys := port.DeriveKeys(secret, id)
	accept, err := p.Expect(port.Expectation{ID: id, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(accept.Close)
	job := engine.Job{
		Session: netp.Session{Addr: t.Name(), Kind: Kind, Params: withDefaults(b.params)},
		ID:      id, Keys: keys, Clock: new(clock.Clock), SameClock: !b.separate, Seed: 1,
	}
	there, here := job, job
	there.Accept = accept
	here.Peer = p.Addr()
	here.Dialer = port.Dialer{Where: b.from}
	here.Progress = b.progress
	here.Meter = b.meter
	if b.clock != nil {
		here.Clock = b.clock
	}
	if b.relay != nil {
		here.Peer = b.relay(t, p.Addr())
	}
	if b.initiator == nil {
		b.initiator = New()
	}
	if b.responder == nil {
		b.responder = New()
	}
	hereCtx := ctx
	thereCtx, abandon := context.WithCancel(ctx)
	defer abandon()
	if b.cancel != nil {
		hereCtx = b.cancel(ctx)
	}
	var both sync.WaitGroup
	both.Go(func() {
		initiator = b.initiator.Initiate(hereCtx, here)
		if b.abandon {
			abandon()
		}
	})
	both.Go(func() { responder = b.responder.Respond(thereCtx, there) })
	both.Wait()
	return initiator, responder
}

// merged runs a session that must succeed.
func (b bench) merged(t *testing.T) netp.Result {
	t.Helper()
	i, r := b.run(t)
	i.Part, r.Part = netp.Initiator, netp.Responder
	m := netp.Merge(i, r)
	if m.Failure != nil || !m.Completed {
		t.Fatalf("failure %+v, completed %v (%v, %v)", m.Failure, m.Completed, i.Completed, r.Completed)
	}
	return m
}

func figure(t *testing.T, r netp.Result, name string) float64 {
	t.Helper()
	return value(t, r.Metrics, name)
}

// check finds a check of the result.
func checkOf(t *testing.T, r netp.Result, name string) netp.Check {
	t.Helper()
	for _, c := range r.Health {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %s in %+v", name, r.Health)
	return netp.Check{}
}

func TestSession(t *testing.T) {
	for name, portable := range map[string]bool{"kernel": false, "portable": true} {
		t.Run(name, func(t *testing.T) {
			e := &Engine{portable: portable}
			r := bench{params: netp.Params{"rate": "500pps", "count": 250.0, "size": 64.0}, initiator: e, responder: e}.merged(t)
			if sent, received := figure(t, r, metricSent), figure(t, r, metricReceived); sent != 250 || received != 250 {
				t.Errorf("sent %v, received %v; want 250", sent, received)
			}
			for _, name := range []string{metricLoss, metricDuplicates, metricReorderings, metricLate} {
				if v := figure(t, r, name); v != 0 {
					t.Errorf("%s = %v; want 0", name, v)
				}
			}
			for _, spec := range metrics(netp.Params{}) {
				if _, ok := r.Metrics[spec.Name]; !ok {
					t.Errorf("no metric %s", spec.Name)
				}
			}
			if d := r.Metrics[metricDelay].Distribution.Member("p50"); d <= 0 || d > 1 {
				t.Errorf("median delay %v s on loopback", d)
			}
			t.Logf("%v %v", r.Facts, r.Health)
			t.Logf("delay p50 %v p99 %v", r.Metrics[metricDelay].Distribution.Member("p50"), r.Metrics[metricDelay].Distribution.Member("p99"))
		})
	}
}

func TestSessionVariants(t *testing.T) {
	for name, c := range map[string]struct {
		params   netp.Params
		sent     float64 // 0: as many as the host managed to send
		prefixes []string
	}{
		"count":        {netp.Params{"count": 101.0, "rate": "2000pps", "streams": 4.0}, 101, []string{""}},
		"reverse":      {netp.Params{"count": 50.0, "rate": "500pps", "direction": "reverse"}, 50, []string{""}},
		"both":         {netp.Params{"count": 50.0, "rate": "500pps", "direction": "both", "streams": 2.0}, 50, []string{"forward.", "reverse."}},
		"slow streams": {netp.Params{"count": 40.0, "rate": "100pps", "streams": 4.0}, 40, []string{""}},
		"omit":         {netp.Params{"duration": 2.0, "omit": 0.2, "rate": "1000pps"}, 0, []string{""}},
		"bit rate":     {netp.Params{"duration": 2.0, "rate": "1600000bps"}, 0, []string{""}},
		"mix":          {netp.Params{"duration": 2.0, "rate": "1000pps", "mix": []any{[]any{64.0, 7.0}, []any{548.0, 4.0}, []any{1472.0, 1.0}}}, 0, []string{""}},
		"poisson":      {netp.Params{"duration": 2.0, "rate": "1000pps", "spacing": "poisson"}, 0, []string{""}},
		"burst":        {netp.Params{"count": 100.0, "rate": "1000pps", "spacing": "burst", "burst": 20.0}, 100, []string{""}},
		"largest":      {netp.Params{"count": 20.0, "rate": "200pps", "size": 65507.0}, 20, []string{""}},
		"dscp":         {netp.Params{"count": 20.0, "rate": "200pps", "dscp": 46.0, "ip": 4.0, "direction": "both"}, 20, []string{"forward.", "reverse."}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := bench{params: c.params}.merged(t)
			for _, prefix := range c.prefixes {
				sent, received := figure(t, r, prefix+metricSent), figure(t, r, prefix+metricReceived)
				if sent == 0 || c.sent > 0 && sent != c.sent || received != sent {
					t.Errorf("%ssent %v, received %v; want %v", prefix, sent, received, c.sent)
				}
				if !checkOf(t, r, prefix+checkCounts).OK || !checkOf(t, r, prefix+checkClaims).OK {
					t.Errorf("counts contradict: %+v", r.Health)
				}
			}
			for _, spec := range metrics(c.params) {
				if _, ok := r.Metrics[spec.Name]; !ok {
					t.Errorf("no metric %s", spec.Name)
				}
			}
		})
	}
}

// TestRandomSpan: a number of packets at random times takes a time that nobody knows beforehand, so the receiver judges the time that it
// saw, and not silence up to a mean.
func TestRandomSpan(t *testing.T) {
	r := bench{params: netp.Params{"count": 10.0, "rate": "40pps", "spacing": "poisson"}}.merged(t)
	if r.Measured == 250*time.Millisecond {
		t.Errorf("the session measured for %v, the mean of such schedules", r.Measured)
	}
	if n := r.Metrics[metricRate].Distribution.Member("count"); n != 0 && r.Measured <= 500*time.Millisecond {
		t.Errorf("%v intervals of the rate are over within %v", n, r.Measured)
	}
}

func TestFlood(t *testing.T) {
	for name, p := range map[string]netp.Params{
		"segments": {"count": 20_000.0, "rate": "0", "size": 1400.0},
		"small":    {"duration": 1.0, "rate": "0", "size": 64.0}, // on a busy machine some of it passes before anything is sent
		"mixed":    {"count": 10_000.0, "rate": "0", "mix": []any{[]any{64.0, 1.0}, []any{1400.0, 1.0}}},
		"count":    {"count": 10_001.0, "rate": "0", "size": 64.0, "streams": 2.0},
	} {
		t.Run(name, func(t *testing.T) {
			r := bench{params: p}.merged(t)
			sent, received := figure(t, r, metricSent), figure(t, r, metricReceived)
			lost, drops := figure(t, r, metricLost), checkOf(t, r, checkDrops).Value
			if sent == 0 || received+lost != sent || lost > drops*superSegments { // what was joined is dropped together
				t.Errorf("sent %v, received %v, lost %v, dropped by the receiving host %v", sent, received, lost, drops)
			}
			if n := p.Number("count"); n > 0 && sent != n {
				t.Errorf("sent %v; want %v", sent, n)
			}
			t.Logf("%.0f packets, %v, rate %.4g, %v", sent, r.Facts["offload"], r.Metrics[metricRate].Distribution.Member("p50"), checkOf(t, r, checkDrops))
		})
	}
}

func TestManySessions(t *testing.T) {
	const sessions = 40
	i, r := New(), New()
	var all sync.WaitGroup
	for range sessions {
		all.Go(func() {
			b := bench{params: netp.Params{"rate": "50pps", "count": 25.0}, initiator: i, responder: r}
			m := b.merged(t)
			if sent, received := figure(t, m, metricSent), figure(t, m, metricReceived); sent != 25 || received != 25 {
				t.Errorf("sent %v, received %v; want 25", sent, received)
			}
		})
	}
	all.Wait()
	if i.wheel.turning || len(i.wheel.turns) != 0 || i.wheel.pps != 0 {
		t.Errorf("the wheel still turns: %+v", i.wheel.turns)
	}
}
