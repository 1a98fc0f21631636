package rtt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
)

// openICMP opens the session of echo requests.
func openICMP(ctx context.Context, j engine.Job, c settings) (*session, error) {
	target := j.Peer.Addr().Unmap()
	if j.Path.Endpoint {
		var err error
		if target, err = resolve(ctx, j.Dialer, "udp", j.Path.Dest, c.ip); err != nil {
			return nil, err
		}
	}
	var p pinger
	err := j.Dialer.Open(func() (err error) {
		p, err = openPing(j.Dialer.Where, target, c.dscp)
		return err
	})
	if err != nil {
		return nil, icmpFailure(target, err)
	}
	protocol := newEcho(target.Is6(), c.size, p.identifier, p.anyIdentifier, j.Seed)
	s := newSession(j, c, p.socket, protocol, target)
	s.facts["icmp_socket"] = p.kind
	return s, nil
}

// pinger is a socket for echo requests.
type pinger struct {
	socket        socket
	kind          string // "ping" or "raw"
	identifier    uint16
	anyIdentifier bool // the kernel sets the identifier and gives us the answers to it
}

// icmpFailure says what an agent needs for ICMP.
func icmpFailure(target netip.Addr, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return &netp.Failure{Kind: netp.FailurePermission, Detail: fmt.Sprintf(
			"This host does not let the agent send ICMP echo requests: %v. Allow its group ping sockets with: sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"; or give the agent CAP_NET_RAW; or use mode stamp or tcp_connect, which need neither.", err)}
	}
	return fmt.Errorf("open a socket for ICMP echo to %s: %w", target, err)
}
