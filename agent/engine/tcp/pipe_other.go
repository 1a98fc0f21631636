//go:build !linux

package tcp

import "net"

const canDiscard = false

// openSource gives the fastest source that the system has, for a pattern.
func openSource(conn *net.TCPConn, _ []byte) (source, error) { return netPipe{conn}, nil }

// openSink gives the fastest sink that the system has.
func openSink(conn *net.TCPConn, _ bool) (sink, error) { return netPipe{conn}, nil }

// newPages gives n bytes of memory.
func newPages(n int) ([]byte, error) { return make([]byte, n), nil }

func freePages([]byte) {}
