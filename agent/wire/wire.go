// Package wire is the protocol between the controller and its agents over NATS:
// subjects, messages, signatures. It is where runner and agent meet; it decides
// nothing. protocol.md beside this file is the description; start there, then
// read Agent (the agent's end) and Controller (the other one).
//
// Version 1, 2026-11: presence, orders (prepare, start, cancel), progress, parts.
package wire

import (
	"fmt"
	"time"

	"github.com/netpupper/netp"
)

// Protocol versions this build speaks; the highest common one is used.
const (
	MinVersion = 1
	MaxVersion = 1
)

// Negotiate picks the highest version that both this build and a peer offering
// [low, high] speak.
func Negotiate(low, high int) (int, error) {
	v := min(high, MaxVersion)
	if v < low || v < MinVersion {
		return 0, fmt.Errorf("no common protocol version: one side speaks %d to %d, the other %d to %d; upgrade the older one",
			MinVersion, MaxVersion, low, high)
	}
	return v, nil
}

// Hello is what an agent announces, when it connects and with every heartbeat.
type Hello struct {
	MinVersion int        `json:"min_version"`
	MaxVersion int        `json:"max_version"`
	Agent      netp.Agent `json:"agent"`
	// Installation is the same for every start of one agent with its spool;
	// Incarnation differs for every start of the process.
	Installation string `json:"installation"`
	Incarnation  string `json:"incarnation"`
	Running      int    `json:"running"` // sessions in progress
	// Health is what the agent finds of its own host, whatever the session.
	Health   []netp.Check `json:"health,omitempty"`
	Draining bool         `json:"draining,omitempty"`
	// Leaving is the last word of an agent that stops in good order.
	Leaving bool      `json:"leaving,omitempty"`
	Sent    time.Time `json:"sent"`
}

// Welcome answers a Hello. It travels inside a Signed envelope, so that nobody
// but the controller can grant a lease or set an agent's idea of the time.
type Welcome struct {
	Audience    netp.AgentID `json:"audience"`
	Incarnation string       `json:"incarnation"` // of the hello it answers
	HelloSent   time.Time    `json:"hello_sent"`  // likewise: an old welcome fits no new hello
	Version     int          `json:"version"`     // chosen; 0 when refused
	Epoch       uint64       `json:"epoch"`
	// Lease is how long the agent counts as present after this hello.
	Lease time.Duration `json:"lease"`
	// Time is the controller's clock, by which orders are dated.
	Time time.Time `json:"time"`
	// Refused says why the agent may not join; "" when it may.
	Refused string `json:"refused,omitempty"`
}

// OrderType says what an order asks for.
type OrderType string

// The orders. Prepare opens the responder, Start runs the initiator (or an
// endpoint session), Cancel stops either. Query asks, after a change of controllers,
// whether the agent still owes its part: it runs the session, or keeps the result.
const (
	Prepare OrderType = "prepare"
	Start   OrderType = "start"
	Cancel  OrderType = "cancel"
	Query   OrderType = "query"
)

// Order is what a controller tells one agent. It travels inside a Signed envelope.
type Order struct {
	Version  int          `json:"version"`
	Type     OrderType    `json:"type"`
	Audience netp.AgentID `json:"audience"`
	// Incarnation is the start of the agent the order is for: an order replayed
	// to a restarted agent does nothing.
	Incarnation string `json:"incarnation"`
	// Epoch is the controller's lease; an agent refuses an older one.
	Epoch     uint64       `json:"epoch"`
	NotBefore time.Time    `json:"not_before"`
	NotAfter  time.Time    `json:"not_after"` // the hard end: no traffic after it
	Run       string       `json:"run"`
	Attempt   int          `json:"attempt"`
	Session   netp.Session `json:"session"`
	// DataID and Secret are the session's on the data port.
	DataID uint64 `json:"data_id,string"`
	Secret []byte `json:"secret,omitempty"`
	// Peer is the data port to dial: the responder's for Start, or the initiator's for Prepare when Inward is set.
	Peer string `json:"peer,omitempty"`
	// Inward says that the responder opens the data path, because it is behind NAT: the initiator waits on its data port,
	// which its answer to Start names.
	Inward bool `json:"inward,omitempty"`
	// SameClock says both ends read the same kernel's clock.
	SameClock bool   `json:"same_clock,omitempty"`
	Seed      uint64 `json:"seed,string,omitempty"`
}

// Reply answers an order.
type Reply struct {
	Accepted bool          `json:"accepted"`
	Failure  *netp.Failure `json:"failure,omitempty"`
	// DataPort is where the end that waits listens: address and port.
	DataPort string `json:"data_port,omitempty"`
	// Nothing answers Query: the agent does not run the session and has no result of it.
	Nothing bool `json:"nothing,omitempty"`
}

// PartKey names one part: however often the part arrives, it is stored once
// under its key.
type PartKey struct {
	Run     string    `json:"run"`
	Session string    `json:"session"`
	Attempt int       `json:"attempt"`
	Part    netp.Role `json:"part"`
}

// KeyOf is the key of a part.
func KeyOf(r netp.Result) PartKey {
	return PartKey{Run: r.Run, Session: r.Session, Attempt: r.Attempt, Part: r.Part}
}

// Confirmation tells an agent which parts the controller's store has committed;
// only then the agent forgets them. It travels inside a Signed envelope.
type Confirmation struct {
	Audience netp.AgentID `json:"audience"`
	Parts    []PartKey    `json:"parts"`
}
