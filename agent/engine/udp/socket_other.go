//go:build !linux

package udp

import (
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
)

// poller is the runtime's.
type poller struct{}

// openSocket prepares the socket of a flow for the session. The code point can be set where the flow has a socket of its own.
func (*Engine) openSocket(f *port.Flow, s settings, c *clock.Clock, receives bool) (socket, error) {
	if f.UDP == nil {
		return newSharedSocket(f, s, c, receives)
	}
	if s.dscp != 0 {
		conn, err := f.UDP.SyscallConn()
		if err != nil {
			return nil, err
		}
		network := "udp6"
		if f.Remote.Addr().Is4() {
			network = "udp4"
		}
		var failed error
		if err := conn.Control(func(fd uintptr) { failed = port.SetDSCP(fd, network, s.dscp) }); err != nil {
			return nil, err
		}
		if failed != nil {
			return nil, failed
		}
	}
	return newPlainSocket(f, c), nil
}
