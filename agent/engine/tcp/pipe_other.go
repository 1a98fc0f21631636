//go:build !linux

package tcp

import (
	"errors"
	"net"

	"github.com/netpupper/netp/agent/port"
)

const canDiscard = false

// openSource gives the fastest source that the system has, for a pattern.
func openSource(conn *net.TCPConn, _ []byte, _ bool) (source, error) { return netPipe{conn}, nil }

// openSink gives the fastest sink that the system has.
func openSink(conn *port.Conn, _ bool) (sink, error) { return netPipe{conn.TCPConn}, nil }

// newPages gives n bytes of memory.
func newPages(n int) ([]byte, error) { return make([]byte, n), nil }

func freePages([]byte) {}

// openNeighbour gives no sink: what it takes is not there.
func openNeighbour(*port.Conn, bool) (sink, error) { return nil, errors.ErrUnsupported }
