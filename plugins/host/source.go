package host

import (
	"context"
	"time"

	"github.com/netpupper/netp"
)

// Numbered is a record with its place in the order of its Source.
type Numbered struct {
	Position uint64 // from 1, growing
	Record   netp.Record
}

// Source is the store of records a delivery reads from. Its methods may block until
// ctx is done and are called concurrently, for one sink never two at a time.
type Source interface {
	// RecordsAfter gives, in ascending order, up to max records with a position
	// greater than the given one; none when there is nothing new. A record must not
	// become visible after one with a greater position has, or it is never delivered.
	RecordsAfter(ctx context.Context, position uint64, max int) ([]Numbered, error)
	// SinkPosition is the position a sink has acknowledged; for one never seen, where
	// it shall begin: 0 for everything there is.
	SinkPosition(ctx context.Context, sink string) (uint64, error)
	// SetSinkPosition keeps the position for good before it returns.
	SetSinkPosition(ctx context.Context, sink string, position uint64) error
}

// Circuit says whether a sink is tried at once or seldom.
type Circuit string

// A circuit opens after Policy.OpenAfter failures in a row; then the sink is tried
// every Policy.OpenFor until it takes a batch.
const (
	CircuitClosed   Circuit = "closed"
	CircuitOpen     Circuit = "open"
	CircuitHalfOpen Circuit = "half-open" // being tried
)

// State is how one sink is doing.
type State struct {
	Sink    string `json:"sink"`
	Type    string `json:"type"`
	Version string `json:"version,omitempty"` // of the plugin, once it ran
	// Position is acknowledged; everything up to it is delivered, rejected or of another suite.
	Position uint64 `json:"position"`
	// Pending is the number of records read and not acknowledged; with More there are others.
	Pending int  `json:"pending"`
	More    bool `json:"more,omitempty"`
	// Oldest is when the first pending record was written.
	Oldest time.Time `json:"oldest,omitzero"`

	// Delivered, Rejected, Failures and Restarts count since the delivery began.
	Delivered uint64 `json:"delivered"`
	Rejected  uint64 `json:"rejected"`
	Failures  uint64 `json:"failures"` // batches that were not acknowledged, and failed starts
	Restarts  uint64 `json:"restarts"` // times the plugin was started again

	Circuit       Circuit   `json:"circuit"`
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	LastError     string    `json:"last_error,omitempty"` // kept after a success; LastErrorAt tells
	LastErrorAt   time.Time `json:"last_error_at,omitzero"`
	// Failing is true while the last try failed.
	Failing bool `json:"failing,omitempty"`
}
