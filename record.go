package netp

import "time"

// Status is a verdict, or the state of something judged.
type Status string

// The four verdicts.
const (
	Pass         Status = "pass"
	Fail         Status = "fail"
	Inconclusive Status = "inconclusive"
	Errored      Status = "error"
)

// Worse reports whether s takes precedence over other: error > fail >
// inconclusive > pass.
func (s Status) Worse(other Status) bool { return s.weight() > other.weight() }

func (s Status) weight() int {
	switch s {
	case Errored:
		return 3
	case Fail:
		return 2
	case Inconclusive:
		return 1
	}
	return 0
}

// Severity says whether a failed assertion fails the run.
type Severity string

// A warning never changes the exit code.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Estimate is a metric as a point and an interval at a confidence.
type Estimate struct {
	Metric string  `json:"metric"` // as written in the condition: "loss.ratio"
	Unit   string  `json:"unit"`
	Point  float64 `json:"point"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	// OpenLow and OpenHigh mark a side without a bound; Low or High then repeats Point.
	OpenLow  bool `json:"open_low,omitempty"`
	OpenHigh bool `json:"open_high,omitempty"`
	// Confidence of the interval, 0 < c < 1; 1 for exact figures.
	Confidence float64 `json:"confidence"`
	Samples    uint64  `json:"samples"`
	Basis      Basis   `json:"basis,omitempty"`
	// Effective is the number of independent samples the interval rests on.
	Effective float64 `json:"effective,omitempty"`
	// Uncertainty is the systematic part of the interval's half width [SI].
	Uncertainty float64 `json:"uncertainty,omitempty"`
	Method      string  `json:"method"` // "clopper-pearson", "order-statistics", "batch-means", "exact"
	Detail      string  `json:"detail,omitempty"`
}

// Location is a place in a suite.
type Location struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Limit is a figure a condition compares a metric with.
type Limit struct {
	Metric string  `json:"metric"`
	Op     string  `json:"op"` // "<=", "<", ">=", ">", "==", "!="
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
}

// Judgement is the verdict on one assertion of one session.
type Judgement struct {
	Assertion string     `json:"assertion"`
	Severity  Severity   `json:"severity"`
	Condition string     `json:"condition"` // as written
	Location  Location   `json:"location"`
	Status    Status     `json:"status"`
	Estimates []Estimate `json:"estimates,omitempty"`
	Limits    []Limit    `json:"limits,omitempty"`
	// Message is the suite author's own, filled in.
	Message string `json:"message,omitempty"`
	// Reason says in a sentence why the status is what it is.
	Reason string `json:"reason,omitempty"`
	// Settle says what would decide an inconclusive assertion.
	Settle string `json:"settle,omitempty"`
}

// Record is the one terminal account of a session: facts, verdicts, provenance.
type Record struct {
	FormatVersion string `json:"format_version"`
	// ID is the same however often the record is delivered: run/session.
	ID       string            `json:"id"`
	Run      string            `json:"run"`
	Suite    string            `json:"suite"`
	Revision string            `json:"revision,omitempty"`
	PlanHash string            `json:"plan_hash,omitempty"`
	Test     string            `json:"test"` // test.voice
	Session  Session           `json:"session"`
	Tags     map[string]string `json:"tags,omitempty"`
	// Attempts is the number of tries; Result is that of the last.
	Attempts int    `json:"attempts"`
	Result   Result `json:"result"`

	Judgements []Judgement `json:"judgements"`
	Status     Status      `json:"status"`
	// Scheduled is when the session was to start; Written when the record was made.
	Scheduled time.Time `json:"scheduled,omitzero"`
	Written   time.Time `json:"written"`
	Version   string    `json:"netp_version,omitempty"`
}

// Report is the account of a run.
type Report struct {
	FormatVersion string    `json:"format_version"`
	Run           string    `json:"run"`
	Suite         string    `json:"suite"`
	Revision      string    `json:"revision,omitempty"`
	Started       time.Time `json:"started"`
	Ended         time.Time `json:"ended,omitzero"`
	Status        Status    `json:"status"`
	Counts        Counts    `json:"counts"`
	Cancelled     bool      `json:"cancelled,omitempty"`
	Records       []Record  `json:"records,omitempty"`
}

// Counts are the sessions of a run by verdict.
type Counts struct {
	Passed       int `json:"passed"`
	Failed       int `json:"failed"`
	Inconclusive int `json:"inconclusive"`
	Errored      int `json:"errored"`
	Skipped      int `json:"skipped"`
}

// Add counts one session.
func (c *Counts) Add(s Status) {
	switch s {
	case Pass:
		c.Passed++
	case Fail:
		c.Failed++
	case Inconclusive:
		c.Inconclusive++
	case Errored:
		c.Errored++
	}
}

// Total is the number of sessions counted.
func (c Counts) Total() int {
	return c.Passed + c.Failed + c.Inconclusive + c.Errored + c.Skipped
}
