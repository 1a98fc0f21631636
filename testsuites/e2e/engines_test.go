package e2e

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/runner"
)

// defaults are the parameters of a kind as a profile without arguments has them.
func defaults(t *testing.T, k netp.Kind, given netp.Params) netp.Params {
	t.Helper()
	spec, ok := agent.Catalogue().Find(k)
	if !ok {
		t.Fatalf("no kind %s", k)
	}
	p := netp.Params{}
	for _, s := range spec.Params {
		if s.Default != nil {
			p[s.Name] = s.Default
		}
	}
	maps.Copy(p, given)
	return p
}

// about asserts a condition over one metric.
func about(metric, condition string) []assert.Assertion {
	return []assert.Assertion{{Name: "a", Severity: netp.SeverityError, Condition: condition, Confidence: 0.95, Metrics: []string{metric}}}
}

// TestRealTrafficOnLoopback runs every kind for real. Loopback does not lose, and
// is not instant: what is asserted is true of it on the slowest machine, and
// where the instrument itself is not sound on a busy one the verdict says so.
func TestRealTrafficOnLoopback(t *testing.T) {
	w := newWorld(t, options{engines: agent.Engines()})
	w.agent("syd", nil)
	w.agent("mel", nil)
	reach := netip.MustParseAddr("127.0.0.1")
	w.agent("per", func(c *agent.Config) {
		c.Interfaces = []netp.Interface{{Name: "telco", Address: second(t)}}
		c.Listen = port.Where{Address: reach}
	})
	for _, c := range []struct {
		name string
		s    session
		want netp.Status
	}{
		{"rtt", session{kind: "rtt", params: defaults(t, "rtt", netp.Params{"count": 50.0, "interval": 0.01}), asserts: about("rtt.max", "rtt.max <= 20 * s")}, netp.Pass},
		{"rtt fails", session{kind: "rtt", params: defaults(t, "rtt", netp.Params{"count": 50.0, "interval": 0.01}), asserts: about("rtt.max", "rtt.max >= 20 * s")}, netp.Fail},
		{"udp", session{kind: "udp", params: defaults(t, "udp", netp.Params{"count": 100.0, "rate": "200pps"}), asserts: about("loss.ratio", "loss.ratio <= 50 * percent")}, netp.Pass},
		{"udp both", session{kind: "udp", params: defaults(t, "udp", netp.Params{"count": 100.0, "rate": "200pps", "direction": "both"}), asserts: about("reverse.loss.ratio", "reverse.loss.ratio <= 50 * percent")}, netp.Pass},
		{"tcp", session{kind: "tcp", params: defaults(t, "tcp", netp.Params{"duration": 1.0}), asserts: about("throughput.max", "throughput.max >= 1 * Mbps")}, netp.Pass},
		{"tcp bytes", session{kind: "tcp", params: defaults(t, "tcp", netp.Params{"bytes": 1e6})}, netp.Pass},
	} {
		c.s.from, c.s.to = "syd", "mel"
		r := only(t, w.run(t.Context(), makePlan(c.s), nil))
		if r.Status == netp.Inconclusive && r.Result.Completed && unsound(r) {
			t.Logf("%s: this machine is too busy to measure: %s", c.name, r.Judgements[0].Reason)
			continue
		}
		if r.Status != c.want {
			t.Errorf("%s: got %s, %v, %+v; want %s", c.name, r.Status, r.Result.Failure, r.Judgements, c.want)
		}
	}
	p := makePlan(session{from: "syd", to: "per", kind: "rtt", params: defaults(t, "rtt", netp.Params{"count": 20.0, "interval": 0.01})})
	p.Sessions[0].Path.DestInterface = "telco"
	if r := only(t, w.run(t.Context(), p, nil)); r.Status != netp.Pass {
		t.Errorf("to an interface: %s, %v", r.Status, r.Result.Failure)
	}
	p.Sessions[0].Path.DestInterface = "none"
	if r := only(t, w.run(t.Context(), p, nil)); failureKind(r) != netp.FailureUnsupported {
		t.Errorf("to an interface that is not there: %s, %v", r.Status, r.Result.Failure)
	}
}

// TestCancelStopsRealTraffic stops sessions of an hour while they run.
func TestCancelStopsRealTraffic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{engines: agent.Engines()})
	w.agent("syd", nil)
	w.agent("mel", nil)
	var sessions []session
	for _, kind := range []netp.Kind{"rtt", "udp", "tcp"} {
		given := netp.Params{"duration": 3600.0}
		switch kind {
		case "udp":
			given["rate"] = "100pps"
		case "tcp":
			given["rate"] = 1e6
		}
		sessions = append(sessions, session{from: "syd", to: "mel", kind: kind, params: defaults(t, kind, given), timeout: 2 * time.Hour})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var asked time.Time
	alive := map[string]bool{}
	report := w.run(ctx, makePlan(sessions...), func(e runner.Event) {
		if p, ok := e.(runner.Progress); ok && asked.IsZero() {
			if alive[p.Session] = true; len(alive) == len(sessions) {
				asked = time.Now()
				cancel()
			}
		}
	})
	for _, r := range report.Records {
		if failureKind(r) != netp.FailureCancelled {
			t.Errorf("%s: %+v, want cancelled", r.Session.Kind, r.Result.Failure)
		}
		if r.Result.Ended.IsZero() || r.Result.Ended.Sub(asked) > patience {
			t.Errorf("%s: ended at %v, %v after the cancel", r.Session.Kind, r.Result.Ended, r.Result.Ended.Sub(asked))
		}
		if len(r.Result.Metrics) == 0 {
			t.Errorf("%s: what was measured is not in the record", r.Session.Kind)
		}
	}
}

// unsound says whether a check of the instrument failed.
func unsound(r netp.Record) bool {
	for _, c := range r.Result.Health {
		if !c.OK {
			return true
		}
	}
	return false
}

// second is a loopback address besides 127.0.0.1, or that one where there is none.
func second(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.77:0")
	if err != nil {
		return "127.0.0.1"
	}
	l.Close()
	return "127.0.0.77"
}
