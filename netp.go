// Package netp holds the words of the network test runner: agents, sessions,
// metrics, results, verdicts, records. They are data with pure methods and need
// nothing but the standard library, so that every other package can share them.
//
// The package measures nothing, talks to nobody and decides nothing. Start with
// Session (what agents are asked to do), then Result (the facts they send back),
// then Record (facts, verdicts and provenance together).
package netp

// FormatVersion is the version of every JSON document netp writes for others:
// the minor number grows with additions, the major one with breaks.
const FormatVersion = "1.0"

// AgentID is the name under which an agent registers, unique on a controller.
type AgentID string

// Kind is a type of traffic: "rtt", "udp", "tcp".
type Kind string

// Role is the part an agent plays in a session.
type Role string

// The initiator opens the data path; the responder waits for it on its data port.
const (
	Initiator Role = "initiator"
	Responder Role = "responder"
)

// Direction says which way the measured traffic of a session flows.
type Direction string

// Forward is from the path's source to its destination.
const (
	Forward Direction = "forward"
	Reverse Direction = "reverse"
	Both    Direction = "both"
)
