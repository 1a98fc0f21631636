package port

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Flow is an authenticated UDP flow between two agents: whatever arrives on it comes from the one address and port of the
// peer. The packets on it are the engine's, who tags them with SendKey and checks them with ReceiveKey.
//
// The portable way to use it is Read and Write. On Linux the flow has a socket of its own, and Raw gives its descriptor for
// loops of system calls.
type Flow struct {
	// UDP is the connected socket of the flow. It is nil on the responding side of systems other than Linux, and after Raw.
	UDP    *net.UDPConn
	Stream uint16
	Role   uint8
	// SendKey and ReceiveKey are the session's keys as this side uses them.
	SendKey, ReceiveKey [32]byte
	Local, Remote       netip.AddrPort

	shared   *link           // in place of UDP
	detached *os.File        // in place of UDP, see Raw
	nonce    [nonceSize]byte // of the hello that made the flow
	session  SessionID
	hello    [setupSize]byte // responder: answered with ack when it comes again
	ack      [setupSize]byte
	respond  bool
	counters *counters                                // of the responder's port
	settled  bool                                     // responder: handed to AcceptUDP; guarded by Session.mu
	stray    func(packet []byte, from netip.AddrPort) // responder with its own socket: takes what is not from Remote
	once     sync.Once
	release  func() // nil, or gives the stream back to the session
}

// Read waits for the next packet of the flow and copies it to b; what does not fit is lost. Packets of the set-up that come
// late or twice are dealt with and not shown.
func (f *Flow) Read(b []byte) (int, error) {
	for {
		n, err := f.read(b)
		if err != nil || !f.Setup(b[:n]) {
			return n, err
		}
	}
}

// Write sends one packet.
func (f *Flow) Write(b []byte) (int, error) {
	if f.shared != nil {
		return f.shared.write(b)
	}
	if f.detached != nil {
		return f.detached.Write(b)
	}
	return f.UDP.Write(b)
}

// SetReadDeadline ends a Read at t with os.ErrDeadlineExceeded; the zero time never. It must not be called after Raw.
func (f *Flow) SetReadDeadline(t time.Time) error {
	if f.shared != nil {
		f.shared.deadline.set(t)
		return nil
	}
	return f.UDP.SetReadDeadline(t)
}

// Setup deals with a packet of the set-up that arrives after it: a hello whose answer was lost is answered again, a second
// answer is dropped. It says whether the packet was one, i.e. belongs to no engine. Read calls it. An engine that reads from
// Raw calls it with each packet that fails the engine's own check, before counting it as bad: never on the hot path.
func (f *Flow) Setup(packet []byte) bool {
	if !isSetup(packet) || [nonceSize]byte(packet[32:]) != f.nonce || SessionID(binary.BigEndian.Uint64(packet[8:])) != f.session {
		return false
	}
	if f.respond && [setupSize]byte(packet) == f.hello {
		f.acknowledge()
	}
	return true
}

// Close closes the flow. A blocking system call on Raw does not notice: end such loops first.
func (f *Flow) Close() error {
	var err error
	f.once.Do(func() {
		switch {
		case f.shared != nil:
			f.shared.close()
		case f.detached != nil:
			err = f.detached.Close()
		default:
			err = f.UDP.Close()
		}
		if f.release != nil {
			f.release()
		}
	})
	return err
}

func (f *Flow) read(b []byte) (int, error) {
	if f.shared != nil {
		return f.shared.read(b)
	}
	if f.stray == nil {
		return f.UDP.Read(b)
	}
	for {
		n, from, err := f.UDP.ReadFromUDPAddrPort(b)
		if err != nil || unmapped(from) == f.Remote {
			return n, err
		}
		f.stray(b[:n], unmapped(from))
	}
}

// acknowledge sends the answer to the hello. When it is lost the peer asks again, so an error has no consequence here.
func (f *Flow) acknowledge() {
	if _, err := f.Write(f.ack[:]); err == nil {
		f.counters.answers.Add(1)
	}
}

// Conn is an authenticated TCP connection between two agents. Nothing of the set-up is left in its stream.
type Conn struct {
	*net.TCPConn
	Stream uint16
	Role   uint8
	// SendKey and ReceiveKey are the session's keys as this side uses them.
	SendKey, ReceiveKey [32]byte
	Local, Remote       netip.AddrPort

	detached *os.File // from Detach on
	release  func()
}

// SyscallConn gives access to the connection's descriptor.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	if c.detached != nil {
		return c.detached.SyscallConn()
	}
	return c.TCPConn.SyscallConn()
}

// SetLinger is that of net.TCPConn.
func (c *Conn) SetLinger(seconds int) error {
	if c.detached != nil {
		return c.linger(seconds)
	}
	return c.TCPConn.SetLinger(seconds)
}

// Close closes the connection. A system call that runs on what Detach gave does not notice.
func (c *Conn) Close() error {
	if c.release != nil {
		c.release()
	}
	if c.detached != nil {
		return c.detached.Close()
	}
	return c.TCPConn.Close()
}
