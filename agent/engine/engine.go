// Package engine is the contract between the agent and its traffic engines: one
// engine per kind, each in a folder of its own below this one. An engine turns a
// session into traffic and facts; it judges nothing and knows nothing of the bus.
//
// Start with Engine, then read agent/engine/rtt, the smallest one.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

// Engine runs sessions of one kind. All methods may be called concurrently for
// different sessions.
type Engine interface {
	// Spec declares the kind: parameters, metrics, demand. It is pure.
	Spec() netp.KindSpec
	// Initiate plays the initiator and blocks until the session ended or ctx is
	// done; then it stops sending within a second and returns what it has. The
	// result always says how it went: a failure is in Result.Failure. The agent
	// fills in run, session, attempt, part and agent.
	Initiate(ctx context.Context, s Job) netp.Result
	// Respond plays the responder likewise; s.Accept yields the initiator's flows.
	// It is never called for endpoint paths.
	Respond(ctx context.Context, s Job) netp.Result
}

// Job is one session as an engine gets it.
type Job struct {
	netp.Session
	// ID and Keys are the session's on the data port.
	ID   port.SessionID
	Keys port.Keys
	// Peer is the responder's data port; only the initiator has it, and not for endpoints. When the responder opens the path
	// (Dialer.Inward) it is the initiator's own, which has the same IP version.
	Peer netip.AddrPort
	// Dialer opens sockets from the right interface and namespace (initiator, endpoints).
	Dialer port.Dialer
	// Accept yields the authenticated flows of the session (responder only).
	Accept *port.Session
	Clock  *clock.Clock
	// SameClock is true when both ends read the same kernel's clock.
	SameClock bool
	// Meter bounds what the agent may send; an engine asks before every send.
	Meter Meter
	// Progress takes signs of life, at most a few per second; it never blocks.
	Progress func(netp.Progress)
	// Seed makes random choices (Poisson spacing) repeatable.
	Seed uint64
	Log  *slog.Logger
}

// Meter is the agent's own limit in the data path. Allow reports whether n more
// bytes (on the IP layer) may be sent now; it never blocks and does not allocate.
type Meter interface {
	Allow(n int) bool
}

// Unreached gives the failure of a session whose peer's data port was not reached; nil when err says something else.
func Unreached(err error) *netp.Failure {
	var u *port.Unreachable
	if !errors.As(err, &u) {
		return nil
	}
	if u.Cause == port.Rejected {
		return &netp.Failure{Kind: netp.FailureRefused, Detail: Sentence(u)}
	}
	return &netp.Failure{Kind: netp.FailureUnreachable, Detail: Sentence(u), DataPort: true}
}

// Sentence writes an error as a sentence, for the detail of a failure.
func Sentence(err error) string {
	text := err.Error()
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if last := text[len(text)-1]; last != '.' && last != '?' {
		text += "."
	}
	return text
}
