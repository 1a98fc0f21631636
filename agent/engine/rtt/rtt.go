// Package rtt measures round trips of single packets: how long they take and how many are lost. Between agents, and to STAMP and
// TWAMP-Light reflectors, it speaks STAMP (RFC 8762); to other hosts it sends ICMP echo requests or opens TCP connections.
//
// Delays are taken between the kernel's stamps of departure and arrival, and the time a packet spent in the reflector is
// removed, by its kernel's stamps too when it is an agent, which tells in an answer when the one before it left. So a busy host
// does not look like a slow network; what a program would see is a metric of its own. The package sends at most 1000 probes a
// second, so it goes on through an outage, whose losses are what it measures: only when nothing answers at the beginning it
// gives up, as unreachable.
//
// It judges nothing. Start with Spec (spec.go), then Initiate here; session.go sends and receives, ledger.go keeps the
// account, split.go tells the directions of losses apart, reflect.go is the far end, stamp is the packet format.
package rtt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
	"github.com/netpupper/netp/agent/port"
)

// Kind is the name of the kind.
const Kind netp.Kind = "rtt"

// Engine runs sessions of the kind. The zero value is ready, and keeps nothing between sessions.
type Engine struct{}

var _ engine.Engine = (*Engine)(nil)

// Initiate sends the probes of a session and accounts for the answers. See engine.Engine.
func (*Engine) Initiate(ctx context.Context, j engine.Job) netp.Result {
	c := newSettings(j.Params)
	started := j.Clock.Now()
	result, err := initiate(ctx, j, c)
	result.Started, result.Ended = started, j.Clock.Now()
	if err != nil {
		result.Failure = failure(ctx, err)
		result.Completed = false
	}
	return result
}

func initiate(ctx context.Context, j engine.Job, c settings) (netp.Result, error) {
	var s *session
	var err error
	switch {
	case j.Dialer.Inward != nil && c.mode != modeStamp:
		return netp.Result{}, &netp.Failure{Kind: netp.FailureUnsupported, Detail: fmt.Sprintf(
			"The other agent is behind NAT: mode %s cannot reach it from outside. Use mode stamp, for which it opens the path itself.", c.mode)}
	case c.mode == modeTCP:
		return connect(ctx, j, c)
	case c.mode == modeICMP:
		s, err = openICMP(ctx, j, c)
	case j.Path.Endpoint:
		s, err = openForeign(ctx, j, c)
	default:
		s, err = openAgent(ctx, j, c)
	}
	if err != nil {
		return netp.Result{}, err
	}
	defer s.socket.close()
	return s.run(ctx, s.receive)
}

// openAgent opens the session with another agent.
func openAgent(ctx context.Context, j engine.Job, c settings) (*session, error) {
	flow, err := j.Dialer.DialUDP(ctx, j.Peer, j.ID, j.Keys, port.Options{DSCP: c.dscp})
	if err != nil {
		return nil, err
	}
	sock, err := flowSocket(flow, true)
	if err != nil {
		flow.Close()
		return nil, fmt.Errorf("prepare the socket: %w", err)
	}
	codec := stamp.Sealed(port.NewTagger(flow.SendKey), nil)
	reading := stamp.Sealed(nil, port.NewTagger(flow.ReceiveKey))
	p := newStamp(codec, reading, c.size, estimate(j.Clock), uint16(j.Seed)|1, true)
	s := newSession(j, c, sock, p, flow.Remote.Addr())
	s.stray, s.agent = flow.Setup, true
	s.facts["reflector"] = "agent, stateful"
	return s, nil
}

// openForeign opens the session with a reflector that is no agent.
func openForeign(ctx context.Context, j engine.Job, c settings) (*session, error) {
	host, service := splitEndpoint(j.Path.Dest, stamp.Port)
	target, err := resolve(ctx, j.Dialer, "udp", host, c.ip)
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort(target.String(), service)
	conn, err := j.Dialer.Dial(ctx, family("udp", target), address, marker(target, c.dscp))
	if err != nil {
		return nil, err
	}
	sock, err := connSocket(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("prepare the socket: %w", err)
	}
	p := newStamp(stamp.Open(), stamp.Open(), c.size, estimate(j.Clock), uint16(j.Seed)|1, false)
	return newSession(j, c, sock, p, target), nil
}

// marker is the control function of a socket that sets the DSCP.
func marker(target netip.Addr, dscp int) func(uintptr) error {
	if dscp == 0 {
		return nil
	}
	return func(fd uintptr) error { return port.SetDSCP(fd, family("udp", target), dscp) }
}

// splitEndpoint splits "host" or "host:port".
func splitEndpoint(dest string, otherwise int) (host, service string) {
	if host, service, err := net.SplitHostPort(dest); err == nil {
		return host, service
	}
	return dest, strconv.Itoa(otherwise)
}

// resolve gives the address of a host, once for the session.
func resolve(ctx context.Context, d port.Dialer, network, host string, version int) (netip.Addr, error) {
	if version != 0 {
		network += strconv.Itoa(version)
	}
	if a, err := netip.ParseAddr(host); err == nil && version == 0 {
		return a.Unmap(), nil
	}
	all, err := d.Resolve(ctx, network, host)
	if err == nil && len(all) == 0 {
		err = errors.New("no address")
	}
	if err != nil {
		if ctx.Err() != nil {
			return netip.Addr{}, ctx.Err()
		}
		which := ""
		if version != 0 {
			which = fmt.Sprintf(" to an IPv%d address", version)
		}
		return netip.Addr{}, &netp.Failure{Kind: netp.FailureName, Detail: fmt.Sprintf(
			"The name %q did not resolve%s: %v. Check the spelling of the endpoint and the name servers of this host.", host, which, err)}
	}
	return all[0].Unmap(), nil
}

// family is the network name with the IP version of an address.
func family(network string, a netip.Addr) string {
	if a.Is4() {
		return network + "4"
	}
	return network + "6"
}

// failure makes the Failure of an error.
func failure(ctx context.Context, err error) *netp.Failure {
	var known *netp.Failure
	unreached := engine.Unreached(err)
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, context.Canceled):
		return &netp.Failure{Kind: netp.FailureCancelled, Detail: "The session was stopped before its end."}
	case unreached != nil:
		return unreached
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &netp.Failure{Kind: netp.FailureTimeout, Detail: "The session did not end in the time its orders gave it."}
	case errors.Is(err, fs.ErrPermission):
		return &netp.Failure{Kind: netp.FailurePermission, Detail: engine.Sentence(err)}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN):
		return &netp.Failure{Kind: netp.FailureUnreachable, Detail: fmt.Sprintf("This host has no way to the destination: %v. Check its routes and interfaces.", err)}
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, port.ErrExpired):
		return &netp.Failure{Kind: netp.FailureTimeout, Detail: engine.Sentence(err)}
	}
	return &netp.Failure{Kind: netp.FailureInternal, Detail: engine.Sentence(err)}
}
