package port

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Flows that share the socket of the port, for systems on which a flow cannot have its own: the reader of the socket hands
// each packet to the link of its sender.

// linkQueue is how many packets a link keeps for its reader.
const linkQueue = 1024

// links finds the flow of a packet.
type links struct {
	mu   sync.RWMutex
	flow map[linkKey]*Flow
}

type linkKey struct {
	listener *udpListener
	from     netip.AddrPort
}

func (ls *links) find(l *udpListener, from netip.AddrPort) *Flow {
	ls.mu.RLock()
	defer ls.mu.RUnlock()
	return ls.flow[linkKey{l, from}]
}

func (ls *links) add(l *udpListener, f *Flow) *link {
	key := linkKey{l, f.Remote}
	new := &link{
		conn: l.conn, remote: f.Remote,
		queue: make(chan []byte, linkQueue), free: make(chan []byte, linkQueue),
		quiet: make(chan bool, 1), done: make(chan struct{}),
		forget: func() { ls.remove(key, f) },
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.flow == nil {
		ls.flow = make(map[linkKey]*Flow)
	}
	ls.flow[key] = f
	return new
}

func (ls *links) remove(key linkKey, f *Flow) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.flow[key] == f {
		delete(ls.flow, key)
	}
}

func (ls *links) closeAll() {
	ls.mu.RLock()
	all := make([]*Flow, 0, len(ls.flow))
	for _, f := range ls.flow {
		all = append(all, f)
	}
	ls.mu.RUnlock()
	for _, f := range all {
		f.Close()
	}
}

// link is one flow's share of the socket.
type link struct {
	conn     *net.UDPConn
	remote   netip.AddrPort
	queue    chan []byte
	free     chan []byte // buffers to be used again
	quiet    chan bool   // what settle waits for: true ends the wait, false starts it anew
	deadline deadline
	done     chan struct{}
	once     sync.Once
	forget   func()
}

// receiveShared takes a packet of a flow. The reader of the socket never waits for the reader of the flow.
func (p *Port) receiveShared(f *Flow, packet []byte) {
	l := f.shared
	if f.Setup(packet) {
		l.signal(packet[5] == kindConfirm)
		return
	}
	if h, err := parseSetup(packet); err == nil && h.kind == kindHello {
		p.counters.replayed.Add(1) // a second hello on the address of a flow
		return
	}
	l.signal(true)
	var buffer []byte
	select {
	case buffer = <-l.free:
	default:
	}
	select {
	case l.queue <- append(buffer[:0], packet...):
	default:
		p.counters.dropped.Add(1)
	}
}

func (l *link) signal(end bool) {
	select {
	case l.quiet <- end:
	default:
	}
}

// settle is Flow.settle for a link.
func (l *link) settle() error {
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		select {
		case end := <-l.quiet:
			if end {
				return nil
			}
			timer.Reset(silence)
		case <-timer.C:
			return nil
		case <-l.done:
			return net.ErrClosed
		}
	}
}

func (l *link) read(b []byte) (int, error) {
	select {
	case <-l.done:
		return 0, net.ErrClosed
	case <-l.deadline.passed():
		return 0, os.ErrDeadlineExceeded
	default:
	}
	select {
	case packet := <-l.queue:
		n := copy(b, packet)
		select {
		case l.free <- packet:
		default:
		}
		return n, nil
	case <-l.done:
		return 0, net.ErrClosed
	case <-l.deadline.passed():
		return 0, os.ErrDeadlineExceeded
	}
}

func (l *link) write(b []byte) (int, error) {
	select {
	case <-l.done:
		return 0, net.ErrClosed
	default:
		return l.conn.WriteToUDPAddrPort(b, l.remote)
	}
}

func (l *link) close() {
	l.once.Do(func() {
		l.forget()
		close(l.done)
	})
}

// deadline is a time that can be moved while somebody waits for it. The zero value never passes.
type deadline struct {
	mu    sync.Mutex // guards what follows
	timer *time.Timer
	gone  chan struct{} // closed when the time has come
}

// set moves the deadline; the zero time takes it away.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone == nil {
		d.gone = make(chan struct{})
	}
	if d.timer != nil && !d.timer.Stop() {
		<-d.gone // it is passing right now, or has passed
	}
	d.timer = nil
	select {
	case <-d.gone:
		d.gone = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	gone := d.gone
	if wait := time.Until(t); wait > 0 {
		d.timer = time.AfterFunc(wait, func() { close(gone) })
	} else {
		close(gone)
	}
}

// passed is closed when the deadline passes.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.gone == nil {
		d.gone = make(chan struct{})
	}
	return d.gone
}
