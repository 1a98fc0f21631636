// Package assert holds the meaning of an assertion: a condition with its
// constants, evaluated over estimates. Every metric stands for an interval;
// arithmetic keeps intervals, comparisons and logic answer true, false or
// unknown. It makes no estimates and reads no suites.
//
// Start with Compile, which checks an assertion against the metrics of a kind, and
// Assertion.Judge, which gives the verdict. Both walk the condition with the same
// machine (machine.go); interval.go is its arithmetic.
package assert

import (
	"encoding/json"

	"github.com/netpupper/netp"
)

// Assertion is a condition over the metrics of one session. It is plain data and
// survives JSON (saved plans).
type Assertion struct {
	Name     string        `json:"name"`
	Severity netp.Severity `json:"severity"`
	// Condition is the expression as written.
	Condition string `json:"condition"`
	// Message is the template as written, with its quotes; "" for none.
	Message string `json:"message,omitempty"`
	// Constants are the values the expressions refer to besides metrics, units and
	// functions: one typed JSON value per root (var, local, each, ...), cut down to
	// the attributes referred to. The root "()" holds the values of the calls that
	// need no metric, by their text: they are made once, when the suite is loaded.
	Constants  json.RawMessage `json:"constants,omitempty"`
	Confidence float64         `json:"confidence"`
	Location   netp.Location   `json:"location"`
	// Metrics are the names the condition refers to, sorted: "delay.p99".
	Metrics []string `json:"metrics"`
}

// Family is the confidence each of n assertions needs so that all of them
// together hold the given one (Bonferroni): 1 − (1−confidence)/n. It needs no
// assumption about how the assertions depend on each other. For n below 2 it is
// the confidence itself.
func Family(n int, confidence float64) float64 {
	if n < 2 {
		return confidence
	}
	return 1 - (1-confidence)/float64(n)
}
