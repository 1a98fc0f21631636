package port

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// helloTime is how long a connection may take to say hello.
	helloTime = 3 * time.Second
	// maxWaiting and maxWaitingPerSource bound the connections that have not said hello. Over a bound the oldest goes: an
	// honest peer says hello at once, those who sit there do not.
	maxWaiting          = 64
	maxWaitingPerSource = 16
	// userTimeout gives up a connection whose peer has acknowledged nothing for so long (Linux). Control can change it.
	userTimeout = 10 * time.Second
)

// serveTCP takes connections until the listener is closed.
func (p *Port) serveTCP(l *net.TCPListener) {
	for {
		conn, err := l.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptors left: the same at once again, unless we wait
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		from := addrPort(conn.RemoteAddr())
		if !p.expects(from.Addr()) {
			p.counters.wrongPeer.Add(1)
			discard(conn)
			continue
		}
		if evicted := p.waiting.add(conn, from.Addr()); evicted != nil {
			p.counters.evicted.Add(1)
			discard(evicted)
		}
		if !p.run(func() { p.greet(conn, from) }) {
			discard(conn)
		}
	}
}

// greet waits for the hello of a connection and lets it in or closes it.
func (p *Port) greet(conn *net.TCPConn, from netip.AddrPort) {
	var packet [setupSize]byte
	conn.SetReadDeadline(time.Now().Add(helloTime))
	_, err := io.ReadFull(conn, packet[:])
	mine := p.waiting.remove(conn)
	if !mine || err != nil || !p.acceptTCP(conn, packet[:], from) {
		if mine && err != nil {
			p.counters.idle.Add(1)
		}
		discard(conn)
	}
}

// acceptTCP judges the hello; it says false when the connection is to be closed without a word.
func (p *Port) acceptTCP(conn *net.TCPConn, packet []byte, from netip.AddrPort) bool {
	h, err := parseSetup(packet)
	if err != nil || h.kind != kindHello || h.network != overTCP {
		p.counters.malformed.Add(1)
		return false
	}
	s := p.session(h.session)
	if s == nil {
		p.counters.unknownSession.Add(1)
		return false
	}
	a, v := s.admit(h, packet, from)
	if v == repeated {
		v = replayed // a connection has one hello
	}
	if v != admitted {
		p.counters.reject(v)
		return false
	}
	release := func() { s.release(h.slot(), a) }
	if !p.welcome(conn, s, h, release) {
		release()
		return false
	}
	return true
}

// welcome prepares the connection, answers the hello and hands the connection over.
func (p *Port) welcome(conn *net.TCPConn, s *Session, h setup, release func()) bool {
	local, remote := addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())
	if err := prepareTCP(conn, family("tcp", local.Addr()), s.control); err != nil {
		p.counters.refused.Add(1)
		p.logger.Warn("cannot prepare a TCP connection", "session", s.id, "peer", remote, "error", err)
		return false
	}
	ack := s.acknowledge(h)
	conn.SetDeadline(time.Time{})
	conn.SetWriteDeadline(time.Now().Add(helloTime))
	if _, err := conn.Write(ack[:]); err != nil {
		return false
	}
	conn.SetWriteDeadline(time.Time{})
	p.counters.answers.Add(1)
	p.counters.acceptedTCP.Add(1)
	return s.deliverTCP(&Conn{
		TCPConn: conn, Stream: h.stream, Role: h.role,
		SendKey: s.keys.Responder, ReceiveKey: s.keys.Initiator,
		Local: local, Remote: remote,
		release: release,
	})
}

// prepareTCP sets the options of an accepted connection.
func prepareTCP(conn *net.TCPConn, network string, control func(uintptr, string) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if failed = setUserTimeout(fd, userTimeout); failed == nil && control != nil {
			failed = control(fd, network)
		}
	})
	return errors.Join(err, failed)
}

// discard closes a connection at once, without lingering in TIME_WAIT: those who are not let in must cost nothing.
func discard(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// waiting holds the connections that have not said hello, the oldest first.
type waiting struct {
	mu   sync.Mutex
	list []waiter
}

type waiter struct {
	conn *net.TCPConn
	from netip.Addr
}

// add takes a connection in, and returns the one that has to go for it, if one has.
func (w *waiting) add(conn *net.TCPConn, from netip.Addr) (evicted *net.TCPConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	oldest, same := 0, 0
	for i := len(w.list) - 1; i >= 0; i-- {
		if w.list[i].from == from {
			same++
			if same >= maxWaitingPerSource {
				oldest = i
			}
		}
	}
	if same >= maxWaitingPerSource || len(w.list) >= maxWaiting {
		evicted = w.list[oldest].conn
		w.list = append(w.list[:oldest], w.list[oldest+1:]...)
	}
	w.list = append(w.list, waiter{conn, from})
	return evicted
}

// remove takes a connection out; it says false when the connection was evicted.
func (w *waiting) remove(conn *net.TCPConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.list {
		if w.list[i].conn == conn {
			w.list = append(w.list[:i], w.list[i+1:]...)
			return true
		}
	}
	return false
}

func (w *waiting) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.list {
		discard(one.conn)
	}
}
