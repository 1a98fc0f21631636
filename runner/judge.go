package runner

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/lang/assert"
)

// What a session's end means for its status:
//
//	end                    assertions              status of the session
//	completed              judged                  the worst judgement of severity error; pass without assertions
//	completed, a check     judged; those whose     the same
//	of health failed       metrics it touches are
//	                       inconclusive
//	interrupted            judged; only a fail     the same, but never pass: inconclusive at best
//	                       stands
//	any other failure      not judged: error       error
//
// "interrupted" is an outage that was measured: the path died, both agents live.
// The loss up to there is a fact and may already be enough to fail; nothing is
// ever enough to pass. All other failures say that there was no measurement of
// the path (unreachable included: a data port behind a firewall is not 100 %
// loss), and an error is what the operator has to mend. A session without a
// single sample behind a metric is inconclusive, never a pass.

// Judge gives the verdict on each assertion of a session and on the session. The
// metrics are those its kind declares for its parameters.
func Judge(assertions []assert.Assertion, metrics []netp.MetricSpec, r netp.Result) ([]netp.Judgement, netp.Status) {
	judgements := make([]netp.Judgement, len(assertions))
	status := floor(r)
	for i, a := range assertions {
		judgements[i] = judgeOne(a, metrics, r)
		if a.Severity != netp.SeverityWarning && judgements[i].Status.Worse(status) {
			status = judgements[i].Status
		}
	}
	return judgements, status
}

// floor is the best status a session with this end can have.
func floor(r netp.Result) netp.Status {
	switch {
	case !judged(r):
		return netp.Errored
	case !r.Completed || r.Failure != nil:
		return netp.Inconclusive
	}
	return netp.Pass
}

// judged says whether a session's assertions are judged at all.
func judged(r netp.Result) bool {
	return r.Failure == nil || r.Failure.Kind == netp.FailureInterrupted
}

func judgeOne(a assert.Assertion, metrics []netp.MetricSpec, r netp.Result) netp.Judgement {
	if !judged(r) {
		return netp.Judgement{
			Assertion: a.Name, Severity: a.Severity, Condition: a.Condition, Location: a.Location,
			Status: netp.Errored, Reason: fmt.Sprintf("Not judged: %s", r.Failure.Detail),
		}
	}
	j := a.Judge(func(metric string) (netp.Estimate, error) { return lookup(metric, metrics, r, a.Confidence) })
	if reason, settle := illHealth(a, r); reason != "" && j.Status != netp.Errored {
		j.Status, j.Reason, j.Settle = netp.Inconclusive, reason, settle
		return j
	}
	if j.Status == netp.Pass && floor(r) != netp.Pass {
		j.Status = netp.Inconclusive
		j.Reason = "The session did not run to its end, so what it measured cannot pass: " + whyShort(r)
		j.Settle = "Would be decided by a session that is not interrupted."
	}
	return j
}

func whyShort(r netp.Result) string {
	if r.Failure != nil {
		return r.Failure.Detail
	}
	return "it ended early."
}

// lookup estimates one metric as written in a condition.
func lookup(metric string, metrics []netp.MetricSpec, r netp.Result, confidence float64) (netp.Estimate, error) {
	spec, member, ok := netp.FindMetric(metrics, metric)
	if !ok {
		return netp.Estimate{}, fmt.Errorf("the session's kind has no metric %s", metric)
	}
	m, ok := r.Metrics[spec.Name]
	if !ok {
		return netp.Estimate{Unit: spec.Unit}, &estimate.NoDataError{Metric: metric, Reason: "The session delivered no " + spec.Name + "."}
	}
	return estimate.Of(metric, spec, member, m, confidence)
}

// illHealth gives the reason why the instrument cannot answer an assertion, ""
// when it can: a check failed that touches a metric the assertion is about.
func illHealth(a assert.Assertion, r netp.Result) (reason, settle string) {
	var reasons []string
	for _, c := range r.Health {
		if c.OK || !slices.ContainsFunc(a.Metrics, c.Touches) {
			continue
		}
		text := c.Reason
		if text == "" {
			text = fmt.Sprintf("The check %s gave %g %s, beyond its limit %g.", c.Name, c.Value, c.Unit, c.Limit)
		}
		if d, _, _ := strings.Cut(c.Name, "."); netp.Direction(d) == netp.Forward || netp.Direction(d) == netp.Reverse {
			text = "Direction " + d + ": " + text
		}
		reasons = append(reasons, text)
	}
	if len(reasons) == 0 {
		return "", ""
	}
	return "The instrument was not sound: " + strings.Join(reasons, " "), "Would be decided by a measurement with a sound instrument."
}
