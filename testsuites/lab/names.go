//go:build linux

package lab

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Answers of a name server.
const (
	ServerFailure = 2 // SERVFAIL
	NoSuchName    = 3 // NXDOMAIN
	Refused       = 5 // REFUSED
)

// NameServer is how a name server of the lab is sick: it answers every question with Code after Delay, or not at all.
type NameServer struct {
	Silent    bool
	Truncated bool // says that the whole answer is to be had over TCP, where nobody listens
	Code      int
	Delay     time.Duration
}

// ServeNames runs a name server in the node until it is closed. A program finds it by the resolv.conf of StartResolving.
func (n *Node) ServeNames(at netip.AddrPort, s NameServer) (stop func(), err error) {
	conn, err := n.Listen(at)
	if err != nil {
		return nil, err
	}
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(conn) })
	return func() { conn.Close(); serving.Wait() }, nil
}

// serve answers until the socket is closed.
func (s NameServer) serve(conn *net.UDPConn) {
	question := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(question)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n < 12 || s.Silent {
			continue
		}
		answer := append([]byte(nil), question[:n]...)
		flags := binary.BigEndian.Uint16(answer[2:])&^0x020f | 1<<15 | uint16(s.Code)
		if s.Truncated {
			flags |= 1 << 9
		}
		binary.BigEndian.PutUint16(answer[2:], flags)
		if s.Delay > 0 {
			time.AfterFunc(s.Delay, func() { conn.WriteToUDPAddrPort(answer, from) })
		} else {
			conn.WriteToUDPAddrPort(answer, from)
		}
	}
}
