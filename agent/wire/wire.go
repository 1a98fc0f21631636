// Package wire is the protocol between the controller and its agents over NATS:
// subjects, messages, signatures. It is where runner and agent meet; it decides
// nothing. protocol.md beside this file is the description; start there.
//
// Version 1, 2026-11: presence, orders (prepare, start, cancel), progress, parts.
package wire

import (
	"time"

	"github.com/netpupper/netp"
)

// Protocol versions this build speaks; the highest common one is used.
const (
	MinVersion = 1
	MaxVersion = 1
)

// Hello is what an agent announces, when it connects and with every heartbeat.
type Hello struct {
	MinVersion int        `json:"min_version"`
	MaxVersion int        `json:"max_version"`
	Agent      netp.Agent `json:"agent"`
	// Incarnation differs for every start of the agent process.
	Incarnation string    `json:"incarnation"`
	Running     int       `json:"running"` // sessions in progress
	Draining    bool      `json:"draining,omitempty"`
	Sent        time.Time `json:"sent"`
}

// OrderType says what an order asks for.
type OrderType string

// The orders. Prepare opens the responder, Start runs the initiator (or an
// endpoint session), Cancel stops either.
const (
	Prepare OrderType = "prepare"
	Start   OrderType = "start"
	Cancel  OrderType = "cancel"
)

// Order is what a controller tells one agent. It travels inside a Signed envelope.
type Order struct {
	Type     OrderType    `json:"type"`
	Audience netp.AgentID `json:"audience"`
	// Epoch is the controller's lease; an agent refuses an older one.
	Epoch     uint64       `json:"epoch"`
	NotBefore time.Time    `json:"not_before"`
	NotAfter  time.Time    `json:"not_after"` // the hard end: no traffic after it
	Run       string       `json:"run"`
	Attempt   int          `json:"attempt"`
	Session   netp.Session `json:"session"`
	// DataID and Secret are the session's on the data port.
	DataID uint64 `json:"data_id"`
	Secret []byte `json:"secret,omitempty"`
	// Peer is the responder's data port for Start, the initiator's address for Prepare ("" = any).
	Peer string `json:"peer,omitempty"`
	// SameClock says both ends read the same kernel's clock.
	SameClock bool   `json:"same_clock,omitempty"`
	Seed      uint64 `json:"seed,omitempty"`
}

// Reply answers an order.
type Reply struct {
	Accepted bool          `json:"accepted"`
	Failure  *netp.Failure `json:"failure,omitempty"`
	// DataPort is where the prepared responder listens: address and port.
	DataPort string `json:"data_port,omitempty"`
}

// Signed is an order with the controller's Ed25519 signature over Payload.
type Signed struct {
	Payload   []byte `json:"payload"`
	Signature []byte `json:"signature"`
}
