package tcp

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

// pair is a session between two agents on loopback.
type pair struct {
	t                    *testing.T
	initiator, responder engine.Job
	engine               *Engine
	port                 *port.Port
	// ctx of each end; the test cancels them to stop an end.
	initiatorCtx, responderCtx context.Context
	killInitiator              context.CancelFunc
	killResponder              context.CancelFunc
}

// unlimited is the meter of an agent without limits.
type unlimited struct{}

func (unlimited) Allow(int) bool { return true }

func newPair(t *testing.T, params netp.Params) *pair {
	t.Helper()
	return newPairAt(t, params, port.Config{Where: port.Where{Address: netip.MustParseAddr("127.0.0.1")}}, port.Where{})
}

func newPairAt(t *testing.T, params netp.Params, at port.Config, from port.Where) *pair {
	t.Helper()
	p, err := port.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	const id = port.SessionID(7)
	keys := port.DeriveKeys([]byte("the secret of this test, 32 byte"), id)
	expected, err := p.Expect(port.Expectation{ID: id, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	job := engine.Job{
		Session: netp.Session{Addr: "test.bulk", Kind: Kind, Params: params},
		ID:      id, Keys: keys, Clock: new(clock.Clock), SameClock: true, Meter: unlimited{}, Log: slog.New(slog.DiscardHandler),
	}
	pr := &pair{t: t, initiator: job, responder: job, engine: new(Engine), port: p}
	pr.initiator.Peer, pr.initiator.Dialer = p.Addr(), port.Dialer{Where: from}
	pr.responder.Accept = expected
	pr.initiatorCtx, pr.killInitiator = context.WithTimeout(t.Context(), 50*time.Second)
	pr.responderCtx, pr.killResponder = context.WithTimeout(t.Context(), 50*time.Second)
	t.Cleanup(pr.killInitiator)
	t.Cleanup(pr.killResponder)
	return pr
}

// run plays both ends.
func (p *pair) run() (initiator, responder netp.Result) {
	var both sync.WaitGroup
	both.Go(func() { initiator = p.engine.Initiate(p.initiatorCtx, p.initiator) })
	both.Go(func() { responder = p.engine.Respond(p.responderCtx, p.responder) })
	both.Wait()
	return initiator, responder
}

// merged plays both ends and joins their parts; the session must come to its end.
func (p *pair) merged() netp.Result {
	p.t.Helper()
	r := netp.Merge(p.run())
	if r.Failure != nil || !r.Completed {
		p.t.Fatalf("completed %v, failure %v", r.Completed, r.Failure)
	}
	return r
}

// variants runs a test on the system's own path and on the portable one.
func variants(t *testing.T, test func(t *testing.T, portable bool)) {
	t.Run("native", func(t *testing.T) { test(t, false) })
	t.Run("portable", func(t *testing.T) { test(t, true) })
}

// consistent checks a throughput: its mean is bytes/time, and it has the samples the plan promised.
func consistent(t *testing.T, r netp.Result, name string, samples uint64) *netp.Distribution {
	t.Helper()
	d := r.Metrics[name].Distribution
	if d == nil {
		t.Fatalf("no %s in %v", name, r.Metrics)
	}
	if samples > 0 && d.All.Count() != samples {
		t.Errorf("%s has %d samples, want %d", name, d.All.Count(), samples)
	}
	if d.Member("mean") <= 0 && healthy(r, "host_stall") {
		t.Errorf("%s mean %g, want more than nothing, or the check that says why", name, d.Member("mean"))
	}
	return d
}

func TestForward(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		p := newPair(t, netp.Params{"duration": 0.5, "streams": 2.0})
		p.engine.portable = portable
		r := p.merged()
		consistent(t, r, "throughput", 5)
		if r.Measured != 500*time.Millisecond {
			t.Errorf("measured %v, want 500ms", r.Measured)
		}
		checkSpecified(t, r, p.initiator.Params)
	})
}

// checkSpecified wants the metrics that the spec promises, all of them and no others (on Linux).
func checkSpecified(t *testing.T, r netp.Result, params netp.Params) {
	t.Helper()
	want := map[string]bool{}
	for _, m := range new(Engine).Spec().Metrics(params) {
		want[m.Name] = true
		got, ok := r.Metrics[m.Name]
		if !ok && canDiscard { // where TCP_INFO is
			t.Errorf("metric %s is missing", m.Name)
		}
		if ok && (got.Distribution != nil) != (m.Shape == netp.DistributionShape) {
			t.Errorf("metric %s does not have the shape %s", m.Name, m.Shape)
		}
	}
	for name := range r.Metrics {
		if !want[name] {
			t.Errorf("metric %s is not in the spec", name)
		}
	}
}

func TestReverseAndBoth(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		for _, direction := range []netp.Direction{netp.Reverse, netp.Both} {
			t.Run(string(direction), func(t *testing.T) {
				p := newPair(t, netp.Params{"duration": 0.4, "direction": string(direction), "streams": 4.0, "receive": "discard", "bottleneck": 1e9})
				p.engine.portable = portable
				initiator, responder := p.run()
				r := netp.Merge(initiator, responder)
				if r.Failure != nil || !r.Completed {
					t.Fatalf("failure %v", r.Failure)
				}
				checkSpecified(t, r, p.initiator.Params)
				if direction == netp.Reverse {
					consistent(t, initiator, "throughput", 4)
					return
				}
				consistent(t, initiator, "reverse.throughput", 4)
				consistent(t, responder, "forward.throughput", 4)
			})
		}
	})
}

func TestBytes(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		for name, params := range map[string]netp.Params{
			"forward":       {"bytes": 300e6 + 7, "streams": 3.0},
			"both":          {"bytes": 50e6 + 1, "streams": 2.0, "direction": "both"},
			"one byte each": {"bytes": 5.0, "streams": 5.0, "direction": "reverse"},
		} {
			t.Run(name, func(t *testing.T) {
				p := newPair(t, params)
				p.engine.portable = portable
				r := p.merged()
				for _, m := range p.engine.Spec().Metrics(params) {
					if base(m.Name) != "throughput" {
						continue
					}
					d := consistent(t, r, m.Name, 0)
					n := float64(d.All.Count())
					elapsed := 8 / d.Resolution * n
					if got := d.Member("mean") * elapsed / 8; math.Abs(got-params.Number("bytes")) > 1e-3 {
						t.Errorf("%s: mean x time is %f bytes, want %f", m.Name, got, params.Number("bytes"))
					}
				}
			})
		}
	})
}

func base(name string) string {
	for _, prefix := range []string{"forward.", "reverse."} {
		if len(name) > len(prefix) && name[:len(prefix)] == prefix {
			return name[len(prefix):]
		}
	}
	return name
}

// counter is a meter that counts what it allows, up to a limit.
type counter struct {
	allowed atomic.Int64
	limit   int64
}

func (c *counter) Allow(n int) bool {
	if c.allowed.Add(int64(n)) > c.limit {
		c.allowed.Add(-int64(n))
		return false
	}
	return true
}

func TestOmit(t *testing.T) {
	p := newPair(t, netp.Params{"duration": 0.3, "omit": 0.3, "rate": 80e6})
	sent := &counter{limit: math.MaxInt64}
	p.initiator.Meter = sent
	r := p.merged()
	d := consistent(t, r, "throughput", 3)
	if r.Measured != 300*time.Millisecond {
		t.Errorf("measured %v, want 300ms", r.Measured)
	}
	counted := d.Member("mean") * 0.3 / 8
	if float64(sent.allowed.Load()) < 1.4*counted {
		t.Errorf("sent %d bytes, counted %.0f: the warm-up is in the figures", sent.allowed.Load(), counted)
	}
	if r.Intervals[0].Start < 300*time.Millisecond {
		t.Errorf("first row starts at %v, within the warm-up", r.Intervals[0].Start)
	}
}

// TestRowsCountFromTheSessionsStart looks at the time series of both ends: their rows lie within the session as the initiator
// dates it, after its set-up.
func TestRowsCountFromTheSessionsStart(t *testing.T) {
	initiator, responder := newPair(t, netp.Params{"direction": "both", "duration": 0.3, "rate": 50e6}).run()
	for name, part := range map[string]netp.Result{"initiator": initiator, "responder": responder} {
		if len(part.Intervals) == 0 || part.Failure != nil {
			t.Fatalf("%s: %d rows, failure %v", name, len(part.Intervals), part.Failure)
		}
		for _, row := range part.Intervals {
			if row.Start <= 0 || row.Start+row.Length > initiator.Ended.Sub(initiator.Started) {
				t.Errorf("%s: a row from %v for %v, in a session of %v with a set-up", name, row.Start, row.Length, initiator.Ended.Sub(initiator.Started))
			}
		}
	}
}

func TestLead(t *testing.T) {
	for _, c := range []struct {
		body []byte
		want time.Duration
	}{
		{nil, 0}, {make([]byte, 7), 0}, {goBody(0), 0}, {goBody(3 * time.Second), 3 * time.Second},
		{append(goBody(time.Hour), 1, 2), time.Hour}, {goBody(time.Hour + 1), 0}, {goBody(-1), 0},
	} {
		if got := parseLead(c.body); got != c.want {
			t.Errorf("%x: got %v, want %v", c.body, got, c.want)
		}
	}
}

func TestRate(t *testing.T) {
	variants(t, func(t *testing.T, portable bool) {
		const duration = 2.0
		p := newPair(t, netp.Params{"duration": duration, "rate": 50e6, "streams": 3.0})
		p.engine.portable = portable
		r := p.merged()
		got := r.Metrics["throughput"].Distribution.Member("mean")
		if got > 50e6*(1.02+maxBacklog.Seconds()/duration) {
			t.Errorf("throughput %.2f Mbit/s is over the rate of 50", got/1e6)
		}
		// At the end a stream may still be behind by what it is allowed to catch up.
		if got < 50e6*(0.98-maxBacklog.Seconds()/duration) && healthy(r, "rate_achieved") && healthy(r, "host_stall") {
			t.Errorf("throughput %.2f Mbit/s, rate 50, and no check says why", got/1e6)
		}
		t.Logf("%.3f Mbit/s, transfer time ratio %.4f", got/1e6, *r.Metrics["transfer_time_ratio"].Value)
	})
}

func healthy(r netp.Result, name string) bool {
	for _, c := range r.Health {
		if c.Name == name && !c.OK {
			return false
		}
	}
	return true
}

func TestMeterBounds(t *testing.T) {
	p := newPair(t, netp.Params{"duration": 0.3})
	sent := &counter{limit: 1e6}
	p.initiator.Meter = sent
	r := p.merged()
	if got := r.Metrics["throughput"].Distribution.Member("mean") * 0.3 / 8; got > 1e6 {
		t.Errorf("%.0f bytes arrived, the meter allowed 1000000", got)
	}
	if sent.allowed.Load() < 0.99e6 {
		t.Errorf("the sender took %d of 1000000 bytes", sent.allowed.Load())
	}
	if healthy(r, "agent_limit") {
		t.Error("the throughput is the meter's, and no check says so")
	}
}
