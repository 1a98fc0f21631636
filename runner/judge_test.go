package runner

import (
	"strings"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
)

func lossMetric() []netp.MetricSpec {
	return []netp.MetricSpec{
		{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket},
		{Name: "delay", Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket},
	}
}

func loss(severity netp.Severity) assert.Assertion {
	return assert.Assertion{Name: "loss", Severity: severity, Condition: "loss.ratio <= 0.1", Confidence: 0.95, Metrics: []string{"loss.ratio"}}
}

func losing(t *testing.T, events uint64) netp.Result {
	t.Helper()
	return netp.Result{Completed: true, Metrics: map[string]netp.Measurement{
		"loss.ratio": {Ratio: &netp.Ratio{Events: events, Trials: 1000, BatchLength: 500, Batches: []uint64{events / 2, events - events/2}}},
	}}
}

func TestJudge(t *testing.T) {
	sick := netp.Check{Name: "c", Reason: "The sender was late."}
	with := func(r netp.Result, change func(*netp.Result)) netp.Result { change(&r); return r }
	fails := func(k netp.FailureKind) func(*netp.Result) {
		return func(r *netp.Result) { r.Completed, r.Failure = false, &netp.Failure{Kind: k, Detail: "It went wrong."} }
	}
	unwell := func(metrics ...string) func(*netp.Result) {
		return func(r *netp.Result) { c := sick; c.Metrics = metrics; r.Health = append(r.Health, c) }
	}
	for _, c := range []struct {
		name       string
		severity   netp.Severity
		r          netp.Result
		one, whole netp.Status
		reason     string
	}{
		{"good", netp.SeverityError, losing(t, 0), netp.Pass, netp.Pass, ""},
		{"bad", netp.SeverityError, losing(t, 500), netp.Fail, netp.Fail, ""},
		{"unclear", netp.SeverityError, losing(t, 100), netp.Inconclusive, netp.Inconclusive, ""},
		{"a warning counts for nothing", netp.SeverityWarning, losing(t, 500), netp.Fail, netp.Pass, ""},
		{"no data", netp.SeverityError, netp.Result{Completed: true}, netp.Inconclusive, netp.Inconclusive, ""},
		{"sick, would pass", netp.SeverityError, with(losing(t, 0), unwell()), netp.Inconclusive, netp.Inconclusive, "The sender was late."},
		{"sick, would fail", netp.SeverityError, with(losing(t, 500), unwell("loss")), netp.Inconclusive, netp.Inconclusive, "The sender was late."},
		{"sick in one direction", netp.SeverityError, with(losing(t, 0), func(r *netp.Result) { r.Health = []netp.Check{{Name: "reverse.c", Reason: sick.Reason}} }), netp.Inconclusive, netp.Inconclusive, "Direction reverse: The sender was late."},
		{"sick elsewhere", netp.SeverityError, with(losing(t, 500), unwell("delay")), netp.Fail, netp.Fail, ""},
		{"interrupted, certain anyway", netp.SeverityError, with(losing(t, 500), fails(netp.FailureInterrupted)), netp.Fail, netp.Fail, ""},
		{"interrupted, never a pass", netp.SeverityError, with(losing(t, 0), fails(netp.FailureInterrupted)), netp.Inconclusive, netp.Inconclusive, "It went wrong."},
		{"ended early without a word", netp.SeverityError, with(losing(t, 0), func(r *netp.Result) { r.Completed = false }), netp.Inconclusive, netp.Inconclusive, ""},
		{"unreachable is no loss", netp.SeverityError, with(losing(t, 1000), fails(netp.FailureUnreachable)), netp.Errored, netp.Errored, "Not judged"},
		{"agent lost", netp.SeverityWarning, with(losing(t, 0), fails(netp.FailureAgentLost)), netp.Errored, netp.Errored, "Not judged"},
		{"timeout", netp.SeverityError, with(losing(t, 0), fails(netp.FailureTimeout)), netp.Errored, netp.Errored, ""},
		{"cancelled", netp.SeverityError, with(losing(t, 0), fails(netp.FailureCancelled)), netp.Errored, netp.Errored, ""},
	} {
		judgements, whole := Judge([]assert.Assertion{loss(c.severity)}, lossMetric(), c.r)
		if j := judgements[0]; j.Status != c.one || whole != c.whole || !strings.Contains(j.Reason, c.reason) {
			t.Errorf("%s: assertion %s (%s), session %s; want %s, %s (%s)", c.name, j.Status, j.Reason, whole, c.one, c.whole, c.reason)
		} else if j.Status != netp.Errored && (len(j.Limits) != 1 || j.Limits[0].Unit != "1") {
			t.Errorf("%s: limits %+v; want one, with its unit", c.name, j.Limits)
		}
	}
}

func TestJudgeWithoutAssertions(t *testing.T) {
	for _, c := range []struct {
		name string
		r    netp.Result
		want netp.Status
	}{
		{"completed", netp.Result{Completed: true}, netp.Pass},
		{"interrupted", netp.Result{Failure: &netp.Failure{Kind: netp.FailureInterrupted}}, netp.Inconclusive},
		{"failed", netp.Result{Failure: &netp.Failure{Kind: netp.FailureName}}, netp.Errored},
	} {
		if _, got := Judge(nil, nil, c.r); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestTouches(t *testing.T) {
	for _, c := range []struct {
		check, metric string
		want          bool
	}{
		{"loss", "loss.ratio", true}, {"loss.ratio", "loss.ratio", true}, {"delay", "delay.p99", true},
		{"delay", "forward.delay.p99", true}, {"loss.ratio", "forward.loss.ratio", true},
		{"delay", "delay_variation.p99", false}, {"rtt", "rtt_user.p50", false}, {"loss", "rate.mean", false},
	} {
		if got := (netp.Check{Metrics: []string{c.check}}).Touches(c.metric); got != c.want {
			t.Errorf("check of %s, metric %s: %v, want %v", c.check, c.metric, got, c.want)
		}
	}
}
