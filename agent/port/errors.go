package port

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/netpupper/netp/quantity"
)

// ErrClosed is returned by the methods of a Port or Session after its Close.
var ErrClosed = errors.New("data port: closed")

// ErrExpired is returned by the Accept methods of a Session after its deadline.
var ErrExpired = errors.New("data port: session expired")

// Cause says how a peer's data port could not be reached.
type Cause string

// The causes.
const (
	// Silent: not one packet came back. A firewall that drops, a wrong address, or (UDP) a session the peer does not expect.
	Silent Cause = "silent"
	// Refused: the peer's host says that nothing listens on the port.
	Refused Cause = "refused"
	// Rejected: the peer took the TCP connection and closed it, or kept it, without the answer of this session.
	Rejected Cause = "rejected"
	// Unopened: the peer, which was to open the path from its side, did not.
	Unopened Cause = "unopened"
	// Unroutable: this host has no way to the peer.
	Unroutable Cause = "unroutable"
)

// Unreachable is the error of a Dialer when a peer's data port does not answer.
type Unreachable struct {
	Network string // "udp" or "tcp"
	Peer    netip.AddrPort
	After   time.Duration // how long was tried
	Cause   Cause
	Err     error // what the system said; nil when it said nothing
	Stood   int   // how many others of the same session were answered; for who opens several to say
}

// Error names the port, what was seen, and what to look at.
func (u *Unreachable) Error() string {
	port, after := u.Peer.Port(), quantity.Duration(u.After)
	if u.Cause == Silent && u.Stood > 0 {
		return fmt.Sprintf("%d of the session's %s flows to %s were answered, and others were not in %s: is one of several equal ways there (ECMP, an aggregated link) broken, or does a firewall limit how many flows there may be?", u.Stood, u.name(), u.Peer, after)
	}
	switch u.Cause {
	case Refused:
		return fmt.Sprintf("data port %s, %s, refused the connection: nothing listens there; is the agent running, and is %d its data port?", u.Peer, u.name(), port)
	case Rejected:
		return fmt.Sprintf("data port %s, %s, did not let the session in for %s: the agent there does not expect it (from this address, with this key), or another service uses the port", u.Peer, u.name(), after)
	case Unopened:
		return fmt.Sprintf("the other agent, which is behind NAT and was to open the path, opened no %s to this agent's data port %d in %s; can it reach this agent, and is %s port %d open in the firewalls on the way?", u.name(), port, after, u.name(), port)
	case Unroutable:
		return fmt.Sprintf("data port %s, %s, cannot be reached from here: %v", u.Peer, u.name(), u.Err)
	default:
		return fmt.Sprintf("no answer from the data port %s, %s, in %s; is %s port %d open in the firewalls on the way, and does %s lead to that agent?", u.Peer, u.name(), after, u.name(), port, u.Peer.Addr())
	}
}

// Unwrap gives the system's error.
func (u *Unreachable) Unwrap() error { return u.Err }

func (u *Unreachable) name() string {
	if u.Network == "tcp" {
		return "TCP"
	}
	return "UDP"
}
