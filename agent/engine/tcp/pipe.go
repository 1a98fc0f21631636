package tcp

import (
	"io"
	"net"
)

// pipe moves payload over one connection, in one direction, for one goroutine. push and pull block until some bytes went,
// the peer closed (io.EOF), or the deadline of the connection passed (os.ErrDeadlineExceeded). They allocate nothing.
type pipe interface {
	push(b []byte) (int, error)
	pull(b []byte) (int, error)
}

// netPipe is the pipe of every system.
type netPipe struct{ conn *net.TCPConn }

func (p netPipe) push(b []byte) (int, error) { return p.conn.Write(b) }

func (p netPipe) pull(b []byte) (int, error) {
	n, err := p.conn.Read(b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}
