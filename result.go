package netp

import (
	"slices"
	"strings"
	"time"
)

// Result is what an agent found out: facts, no judgement. Each side of a session makes its part; Merge joins them.
type Result struct {
	Run     string  `json:"run"`
	Session string  `json:"session"` // address, as in Session.Addr
	Attempt int     `json:"attempt"` // from 1
	Part    Role    `json:"part"`
	Agent   AgentID `json:"agent"`

	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Measured is how long traffic was measured, warm-up not counted [ns].
	Measured time.Duration `json:"measured"`
	// Completed is true when the session ran as long as it was asked to.
	Completed bool `json:"completed"`

	Metrics   map[string]Measurement `json:"metrics,omitempty"`
	Intervals []Interval             `json:"intervals,omitempty"`
	Health    []Check                `json:"health,omitempty"`
	Failure   *Failure               `json:"failure,omitempty"`
	// Facts are words worth keeping that are no metrics: congestion control,
	// buffer sizes, whether offload was used, path MTU, addresses.
	Facts map[string]string `json:"facts,omitempty"`
}

// Measurement is the raw material of one metric; one of Ratio, Distribution and Value is set, as the metric's shape says.
type Measurement struct {
	Ratio        *Ratio        `json:"ratio,omitempty"`
	Distribution *Distribution `json:"distribution,omitempty"`
	Value        *float64      `json:"value,omitempty"`
	// Uncertainty is a systematic error bound [SI] that no number of samples
	// lowers: the clock error of a one-way delay, or of differences of such delays.
	Uncertainty float64 `json:"uncertainty,omitempty"`
}

// Value makes the Measurement of a plain figure.
func Value(v float64) Measurement { return Measurement{Value: &v} }

// Interval is one row of a session's time series, for people and charts; at most 600 are kept.
type Interval struct {
	Start  time.Duration      `json:"start"` // since the initiator started the session, in the parts of both [ns]
	Length time.Duration      `json:"length"`
	Values map[string]float64 `json:"values"` // by metric name, SI
}

// Check is one finding about the instrument itself. A check that is not OK makes
// the assertions over the metrics it touches inconclusive.
type Check struct {
	Name  string  `json:"name"` // "send_time_error_p99", "receive_queue_drops", ...
	Value float64 `json:"value"`
	Limit float64 `json:"limit"`
	Unit  string  `json:"unit"`
	OK    bool    `json:"ok"`
	// Least says that Limit is the least a good value has, and not the most.
	Least bool `json:"least,omitempty"`
	// Reason says in a sentence what is wrong and what would mend it, or, when OK, why a value beyond the limit does no harm; else "".
	Reason string `json:"reason,omitempty"`
	// Metrics are the names (or first parts of names) touched; empty for all.
	Metrics []string `json:"metrics,omitempty"`
}

// Touches reports whether the check is about a metric as written in a condition
// (forward.loss.ratio): it names it, a part of it between dots, or nothing at all.
func (c Check) Touches(metric string) bool {
	return len(c.Metrics) == 0 || slices.ContainsFunc(c.Metrics, func(name string) bool {
		return strings.Contains("."+metric+".", "."+name+".")
	})
}

// FailureKind says why a session did not come to its end.
type FailureKind string

// Failure kinds. The list only grows.
const (
	FailureUnreachable FailureKind = "unreachable"     // nothing came back: from the data port, or of what was sent
	FailureRefused     FailureKind = "refused"         // an agent's limits or the peer said no
	FailureTimeout     FailureKind = "timeout"         // a step did not end in time
	FailureInterrupted FailureKind = "interrupted"     // the path died during the session
	FailureAgentLost   FailureKind = "agent_lost"      // an agent went away
	FailureCancelled   FailureKind = "cancelled"       // somebody stopped the run
	FailureMissed      FailureKind = "missed"          // it could not start in its window
	FailureUnsupported FailureKind = "unsupported"     // the agent cannot do this
	FailurePermission  FailureKind = "permission"      // the host does not allow it
	FailureName        FailureKind = "dns"             // a name did not resolve
	FailureInternal    FailureKind = "internal"        // a fault in netp
	FailureController  FailureKind = "controller_lost" // it was stopped, and the parts did not reach the next one
)

// Failure says why a session has no complete result.
type Failure struct {
	Kind FailureKind `json:"kind"`
	// Detail says in full sentences what happened and what to check.
	Detail   string  `json:"detail"`
	Agent    AgentID `json:"agent,omitempty"`
	DataPort bool    `json:"data_port,omitempty"` // the other agent's data port was never reached
}

// Error makes a Failure usable as the error of an engine.
func (f *Failure) Error() string { return string(f.Kind) + ": " + f.Detail }

// Retryable reports whether a further attempt may help and the cause is not the
// network under test.
func (f *Failure) Retryable() bool {
	return f.Kind == FailureAgentLost || f.Kind == FailureController || f.Kind == FailureInternal
}

// Merge joins the parts of one attempt: metrics, checks and facts of both, the
// first failure, and the initiator's times. A part is missing when its agent
// never delivered; then the result is not complete.
func Merge(parts ...Result) Result {
	var out Result
	for i, p := range parts {
		if i == 0 || p.Part == Initiator {
			out.Run, out.Session, out.Attempt = p.Run, p.Session, p.Attempt
			out.Part, out.Agent = p.Part, p.Agent
			out.Started, out.Ended, out.Measured = p.Started, p.Ended, p.Measured
		}
	}
	out.Completed = len(parts) > 0
	for _, p := range parts {
		out.Completed = out.Completed && p.Completed
		if p.Failure != nil && (out.Failure == nil || out.Failure.Kind == FailureCancelled) {
			out.Failure = p.Failure
		}
		for name, m := range p.Metrics {
			if out.Metrics == nil {
				out.Metrics = map[string]Measurement{}
			}
			out.Metrics[name] = m
		}
		for k, v := range p.Facts {
			if out.Facts == nil {
				out.Facts = map[string]string{}
			}
			out.Facts[k] = v
		}
		out.Health = append(out.Health, p.Health...)
		out.Intervals = append(out.Intervals, p.Intervals...)
	}
	return out
}

// Session is one run of one test on one path, as the agents get it: they know
// nothing of suites, tests or assertions.
type Session struct {
	Addr   string `json:"addr"` // test.voice["syd->mel"]
	Kind   Kind   `json:"kind"`
	Path   Path   `json:"path"`
	Params Params `json:"params"`
	// Duration is how long the session may take from start to end, set-up and
	// collection included; the hard end of its orders [ns].
	Duration time.Duration `json:"duration"`
}

// Progress is a sign of life of a running session.
type Progress struct {
	Run     string             `json:"run"`
	Session string             `json:"session"`
	Agent   AgentID            `json:"agent"`
	Elapsed time.Duration      `json:"elapsed"`
	Total   time.Duration      `json:"total"`
	Values  map[string]float64 `json:"values,omitempty"` // "rate" [bit/s], "packets", "lost", "retransmits"
}
