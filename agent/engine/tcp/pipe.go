package tcp

import (
	"io"
	"net"
	"time"
)

// source brings payload into one connection, for one goroutine. It allocates nothing after it was opened.
type source interface {
	// push blocks until some of the first bytes of b went, or the deadline of the connection passed (os.ErrDeadlineExceeded).
	// b is a piece of the pattern for which the source was opened: the next one after all that went, the first one again after the
	// last. No byte may ever change: the kernel may still need it.
	push(b []byte) (int, error)
	// copies reports whether each byte is copied into the kernel, as programs usually do.
	copies() bool
	// close gives back what the source needs besides the connection.
	close()
}

// sink takes payload out of one connection, for one goroutine. It allocates nothing after it was opened.
type sink interface {
	// pull blocks until some bytes came, the peer closed (io.EOF), or stop was called (os.ErrDeadlineExceeded).
	pull(b []byte) (int, error)
	// attend prepares the calling goroutine for it, until release is called.
	attend() (release func())
	stop()
	// close gives back what the sink needs besides the connection, after the last pull.
	close()
}

// netPipe is source and sink of every system.
type netPipe struct{ conn *net.TCPConn }

func (p netPipe) push(b []byte) (int, error) { return p.conn.Write(b) }

func (p netPipe) copies() bool { return true }

func (p netPipe) close() {}

func (p netPipe) attend() (release func()) { return func() {} }

func (p netPipe) stop() { p.conn.SetReadDeadline(time.Unix(1, 0)) }

func (p netPipe) pull(b []byte) (int, error) {
	n, err := p.conn.Read(b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}
