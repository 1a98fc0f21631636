// Package schedule places sessions in time so that no two claim the same
// exclusive thing at once and no shared capacity is exceeded. Sessions are
// opaque: an item has a duration and claims. It knows nothing of suites or agents.
package schedule

// Resource is something that sessions share: one direction of an agent's
// interface ("agent.syd/telco-a tx") or a link ("link.core").
type Resource string

// Claim is what one item takes of one resource while it runs.
type Claim struct {
	Resource Resource `json:"resource"`
	// Exclusive claims tolerate no other claim on the resource. Otherwise Rate
	// [bit/s] is taken from the resource's capacity, if it has one.
	Exclusive bool    `json:"exclusive,omitempty"`
	Rate      float64 `json:"rate,omitempty"`
}
