package metrics

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/standing"
)

var now = time.Unix(1_800_000_000, 0).UTC()

func catalogue() netp.Catalogue {
	return netp.Catalogue{{Kind: "udp", Metrics: func(p netp.Params) []netp.MetricSpec {
		list := []netp.MetricSpec{
			{Name: "delay", Unit: "s", Shape: netp.DistributionShape, Doc: "One-way delay."},
			{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Doc: "Share of packets lost."},
			{Name: "loss.count", Unit: "packets", Shape: netp.CountShape, Doc: "Packets lost."},
			{Name: "rate", Unit: "bit/s", Shape: netp.DistributionShape, Doc: "Rate received."},
		}
		if p["direction"] == "both" {
			list = append(list, netp.MetricSpec{Name: "reverse.loss.ratio", Unit: "1", Shape: netp.RatioShape})
		}
		return list
	}}}
}

// metrics know one of everything.
func newMetrics() *Metrics {
	return New(Config{
		Catalogue: catalogue(), Version: "test",
		Members: func() []fleet.Member {
			return []fleet.Member{{Agent: netp.Agent{Name: "syd", Drained: true, Clock: netp.ClockState{Known: true, MaxError: time.Millisecond}}, Running: 2}}
		},
		Belonging: func() []netp.AgentID { return []netp.AgentID{"syd", "mel"} },
		Sources: func() []gitops.Status {
			return []gitops.Status{{Name: "wan", LastApplied: "main@sha1:1", LastAppliedAt: now, Looks: 3, Failures: 1,
				Conditions: []gitops.Condition{{Type: gitops.Ready, Status: gitops.True}}}}
		},
		Standing: func() []standing.Status {
			return []standing.Status{{Suite: "s", Test: "test.a", Next: now, Last: now, Verdict: netp.Fail, Running: 1}}
		},
		Sinks: func() []apply.SinkState {
			return []apply.SinkState{{Sink: "s/sink.jsonl.noc", Type: "jsonl", Delivered: 5, Pending: 2, Failing: true, LastDelivered: now}}
		},
		Sizes: func() map[string]int64 { return map[string]int64{"store": 4096} },
	})
}

func record(path string, status netp.Status, written time.Time) netp.Record {
	d := netp.NewDistribution(1e-9)
	for range 10 {
		d.Record(20_000_000)
	}
	lost := 1.0
	return netp.Record{
		Run: "r", Suite: "s", Test: "test.a", Status: status, Written: written,
		Session:    netp.Session{Addr: `test.a["` + path + `"]`, Kind: "udp", Path: netp.Path{Addr: `path.branch["x"]["` + path + `"]`, Source: "syd", Dest: path[len("syd->"):], Via: "telco"}},
		Judgements: []netp.Judgement{{Assertion: "loss", Status: status}},
		Result: netp.Result{Metrics: map[string]netp.Measurement{
			"delay": {Distribution: d}, "loss.ratio": {Ratio: &netp.Ratio{Events: 1, Trials: 4}}, "loss.count": {Value: &lost},
			"reverse.loss.ratio": {Ratio: &netp.Ratio{Events: 1, Trials: 2}}, "rate": {Distribution: new(netp.Distribution)}, "unheard.of": netp.Value(1),
		}},
	}
}

// scraped is what Prometheus would get.
func scraped(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func expect(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
}

func TestMetrics(t *testing.T) {
	m := newMetrics()
	m.Observe(runner.SessionDone{Record: record("syd->mel", netp.Pass, now)})
	m.Observe(runner.SessionDone{Record: record("syd->mel", netp.Pass, now), Before: true}) // not counted again
	m.Observe(runner.RunDone{Report: netp.Report{Suite: "s", Status: netp.Pass}})
	text := scraped(t, m)
	const path = `dest="mel",%spath="path.branch[\"x\"]",source="syd",%ssuite="s",test="test.a",via="telco"`
	with := func(direction, stat string) string {
		return strings.Replace(strings.Replace(path, "%s", direction, 1), "%s", stat, 1)
	}
	expect(t, text,
		`netp_session_delay_seconds{`+with(`direction="",`, `stat="p99",`)+`} 0.02`,
		`netp_session_loss_ratio{`+with(`direction="",`, ``)+`} 0.25`,
		`netp_session_loss_ratio{`+with(`direction="reverse",`, ``)+`} 0.5`,
		`netp_session_loss_packets{`+with(`direction="",`, ``)+`} 1`,
		`netp_session_written_timestamp_seconds{`+with(``, ``)+`} 1.8e+09`,
		`netp_agent_up{agent="syd"} 1`, `netp_agent_up{agent="mel"} 0`, `netp_agent_draining{agent="syd"} 1`, `netp_agent_sessions{agent="syd"} 2`,
		`netp_source_condition{source="wan",status="true",type="Ready"} 1`, `netp_source_condition{source="wan",status="false",type="Ready"} 0`,
		`netp_source_revision_info{revision="main@sha1:1",source="wan"} 1`, `netp_source_failures_total{source="wan"} 1`,
		`netp_standing_status{status="fail",suite="s",test="test.a"} 1`, `netp_standing_status{status="pass",suite="s",test="test.a"} 0`,
		`netp_sink_records_delivered_total{sink="s/sink.jsonl.noc",type="jsonl"} 5`, `netp_sink_failing{sink="s/sink.jsonl.noc",type="jsonl"} 1`,
		`netp_runs_total{status="pass",suite="s"} 1`, `netp_sessions_total{status="pass",suite="s",test="test.a"} 1`,
		`netp_storage_size_bytes{part="store"} 4096`, `netp_build_info{version="test"} 1`,
	)
	for _, unwanted := range []string{"netp_session_rate_bits_per_second{", "unheard", "NaN"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%s is told, and was not measured", unwanted)
		}
	}
}

// An older record does not replace a newer one, and what is not applied any more is
// not told any more.
func TestLastResult(t *testing.T) {
	m := newMetrics()
	m.Observe(runner.SessionDone{Record: record("syd->mel", netp.Fail, now)})
	m.Remember(record("syd->mel", netp.Pass, now.Add(-time.Hour)))
	m.Remember(record("syd->per", netp.Pass, now))
	status := func() (fails, sessions int) {
		for line := range strings.Lines(scraped(t, m)) {
			if strings.HasPrefix(line, "netp_session_status{") && strings.HasSuffix(line, " 1\n") {
				sessions++
				if strings.Contains(line, `status="fail"`) {
					fails++
				}
			}
		}
		return fails, sessions
	}
	if fails, all := status(); fails != 1 || all != 2 {
		t.Errorf("%d of %d sessions fail, want 1 of 2", fails, all)
	}
	m.Keep("other", plan.State{})
	m.Keep("s", plan.State{Tests: map[string]map[string]string{"test.a": {`path.branch["x"]["syd->mel"]`: "default"}}})
	if fails, all := status(); fails != 1 || all != 1 {
		t.Errorf("%d of %d sessions fail, want 1 of 1", fails, all)
	}
	m.Keep("s", plan.State{})
	if text := scraped(t, m); strings.Contains(text, `netp_session_status{`) || strings.Contains(text, "netp_sessions_total{") {
		t.Error("a suite that is gone is still told")
	}
}

func TestPromtoolFindsNothing(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (prometheus)")
	}
	m := newMetrics()
	m.Observe(runner.SessionDone{Record: record("syd->mel", netp.Pass, now)})
	missed := record("syd->per", netp.Errored, now)
	missed.Result = netp.Result{Failure: &netp.Failure{Kind: netp.FailureMissed}}
	m.Observe(runner.SessionDone{Record: missed})
	m.Observe(runner.RunDone{Report: netp.Report{Suite: "s", Status: netp.Pass}})
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = strings.NewReader(scraped(t, m))
	check.Env = os.Environ()
	if out, err := check.CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
