// Package assert holds the meaning of an assertion: a condition with its
// constants, evaluated over estimates. Every metric stands for an interval;
// arithmetic keeps intervals, comparisons and logic answer true, false or
// unknown. It makes no estimates and reads no suites; start with Assertion.Judge.
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
	// functions: one JSON object per root (var, local, each, ...), typed.
	Constants  json.RawMessage `json:"constants,omitempty"`
	Confidence float64         `json:"confidence"`
	Location   netp.Location   `json:"location"`
	// Metrics are the names the condition refers to, sorted: "delay.p99".
	Metrics []string `json:"metrics"`
}
