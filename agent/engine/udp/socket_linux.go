package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/ancillary"
	"github.com/netpupper/netp/agent/engine/internal/beside"
	"github.com/netpupper/netp/agent/engine/internal/departure"
	"github.com/netpupper/netp/agent/engine/internal/overflow"
	"github.com/netpupper/netp/agent/pace"
	"github.com/netpupper/netp/agent/port"
)

const (
	probeOnly      = 0x10 // MSG_PROBE of linux/socket.h: do not send
	ancillarySize  = 128  // stamp, drop count and segment size of one read
	joinedSize     = 1 << 16
	joinAbove      = 20_000    // packets per second from which on reads are joined and coalesced
	readTogether   = 256 << 10 // bytes that are read with one call: more of them do not stay in a processor's caches
	forcedBuffer   = 128 << 20 // 25 ms at 40 Gbit/s; the kernel takes what packets need, when they wait
	readsAtOnce    = 8         // of a slow stream, until others have their turn
	relaxedBuffer  = 1 << 20   // from which receive buffer on packets of a slow stream may wait: what others send has room beside them
	coalesceSingle = 400 * time.Microsecond
	coalesceJoined = 100 * time.Microsecond
	// uninterrupted bounds the waiting for a socket that is out of the poller: a deadline cannot end it.
	uninterrupted = 20 * time.Millisecond
)

// rawSocket is a flow with a socket of its own: non-blocking system calls, and stamps of arrival by the kernel. Slow streams wait
// together in the poller, so that hundreds of them need no threads; a fast one waits alone.
type rawSocket struct {
	flow  *port.Flow
	clock *clock.Clock
	fd    int
	facts socketFacts

	headers   []header
	vectors   []unix.Iovec
	buffers   [][]byte
	ancillary []byte
	batch     []datagram
	wanted    int // at one read, at most
	got       int
	empty     bool // at the end of the last read: the poller will tell when it is not
	failed    syscall.Errno
	dropped   uint32
	before    overflow.Mark

	// Waiting with others.
	poller      *poller
	turn        *turn // when the poller's goroutine reads it; guarded as the poller is
	slow        bool
	roused      chan struct{}
	interrupted atomic.Bool
	timer       *time.Timer
	deadline    int64 // of the timer (clock.Mono); 0 when it does not run

	// Read by the poller's goroutine, whose alone this is.
	relaxed bool  // packets may wait until the next step is due
	quiet   bool  // they do: the poller is not told of them
	crowded bool  // more came than a slow stream has: others send, too, and would fill the socket
	lagged  int64 // when lags were asked for last (clock.Mono)

	// Waiting alone: at high rates it sleeps between reads, because to be woken for each packet costs the sender, where it is on the
	// same host, and the receiver more than the packet.
	alone     bool
	busy      bool
	joined    bool // the kernel does join packets
	packets   int
	datagrams int
	bytes     int
	since     int64
	beside    *beside.Reader // nil unless the thread may follow the sender

	tracing bool
	left    *departure.Queue // nil until it traces

	outgoing []header // of the one goroutine that sends many
	segments struct { // of the one goroutine that sends them
		header  unix.Msghdr
		vector  unix.Iovec
		control [24]byte // one message with a uint16
	}
}

// header is struct mmsghdr.
type header struct {
	unix.Msghdr
	length uint32
}

// openSocket prepares the socket of a flow for the session.
func (e *Engine) openSocket(f *port.Flow, s settings, c *clock.Clock, receives bool) (socket, error) {
	if f.UDP == nil {
		return newSharedSocket(f, s, c, receives)
	}
	raw := &rawSocket{flow: f, clock: c, poller: &e.poller, slow: s.slow()}
	conn, err := f.UDP.SyscallConn()
	if err != nil {
		return nil, err
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = raw.prepare(int(fd), s, receives) })
	if err = errors.Join(err, failed); err != nil {
		return nil, err
	}
	if e.portable {
		return newPlainSocket(f, c), nil
	}
	fd, ok := f.Raw()
	if !ok {
		return nil, errors.New("the flow gives no descriptor")
	}
	raw.fd = fd
	count, size := 4, controlSize+1
	if receives {
		count, size = raw.shape(s)
	}
	raw.allocate(count, size)
	if raw.alone = receives && raw.facts.joins || !receives && !s.traced() || !raw.facts.kernelStamps; raw.alone {
		return raw, nil
	}
	raw.roused = make(chan struct{}, 1)
	raw.timer = time.NewTimer(0)
	if err := e.poller.join(raw); err != nil {
		raw.close()
		return nil, err
	}
	return raw, nil
}

// prepare sets the options. Those that only improve the measurement may fail: facts say which are there.
func (r *rawSocket) prepare(fd int, s settings, receives bool) error {
	r.fd = fd
	network := "udp4"
	level, discover, do := unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO
	if !r.flow.Remote.Addr().Is4() {
		network = "udp6"
		level, discover, do = unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO
	}
	if err := port.SetDSCP(uintptr(fd), network, s.dscp); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, level, discover, do); err != nil {
		return fmt.Errorf("forbid fragments: %w", err)
	}
	r.facts.kernelStamps = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) == nil
	if !receives {
		return nil
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) // without it, drops are told as 0
	r.before = overflow.Before(fd)
	want := port.ReceiveBuffer
	if s.flood() || s.pps() > joinAbove {
		want = forcedBuffer
		r.facts.joins = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil
	}
	port.SetReceiveBuffer(fd, want) // what came of it is read back
	if size, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF); err == nil {
		r.facts.receiveBuffer = size / 2 // the kernel doubles it for its own overhead
	}
	return nil
}

// shape is how many reads of which size fit the session.
func (r *rawSocket) shape(s settings) (count, size int) {
	switch {
	case r.facts.joins:
		return max(8, 32/s.streams), joinedSize // 2 MiB for all streams, unless there are many
	case s.pps() < 2000:
		count = 16 // what a voice stream sends between two reports fits
	default:
		count = 64
	}
	return count, max(s.largest(), controlSize, departuresSize) + 1 // one more, to tell longer packets
}

func (r *rawSocket) allocate(count, size int) {
	r.headers = make([]header, count)
	r.vectors = make([]unix.Iovec, count)
	r.ancillary = make([]byte, count*ancillarySize)
	r.batch = make([]datagram, 0, count)
	r.wanted = count
	for i := range r.headers {
		buffer := make([]byte, size)
		r.buffers = append(r.buffers, buffer)
		r.vectors[i].Base = &buffer[0]
		r.vectors[i].SetLen(size)
		h := &r.headers[i]
		h.Iov = &r.vectors[i]
		h.SetIovlen(1)
		h.Control = &r.ancillary[i*ancillarySize]
		h.SetControllen(ancillarySize)
	}
}

func (r *rawSocket) send(packet []byte, id uint64) error {
	if r.tracing {
		r.left.Sending(id)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(r.fd), uintptr(unsafe.Pointer(&packet[0])), uintptr(len(packet)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 && r.tracing {
		_ = r.left.Begin() // else departures remain unknown, and are counted as such
	}
	return sendError(errno)
}

// rehearse goes the way of send to where the kernel would make the packet, and takes no error that waits in the socket.
func (r *rawSocket) follow() (release func()) {
	if !r.facts.joins || !r.facts.kernelStamps {
		return func() {}
	}
	r.beside = beside.New(r.fd)
	return func() {
		r.beside.Leave()
		r.beside = nil
	}
}

func (r *rawSocket) rehearse(packet []byte) {
	_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(r.fd), uintptr(unsafe.Pointer(&packet[0])), uintptr(len(packet)), unix.MSG_DONTWAIT|probeOnly, 0, 0)
}

func (r *rawSocket) trace() bool {
	if r.alone {
		return false
	}
	r.left = departure.New(r.fd, 0)
	if r.left.Begin() != nil {
		return false
	}
	r.tracing = true
	r.poller.leave(r)
	return true
}

func (r *rawSocket) departures(take func(id uint64, kernel int64)) {
	if r.left != nil {
		r.left.Take(take)
	}
}

func (r *rawSocket) untrace() {
	r.tracing = false
	_ = r.left.End()     // what is stamped is not read
	_ = r.poller.join(r) // else it only looks when its waits are over
}

func sendError(errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.EAGAIN, unix.ENOBUFS, unix.EINTR:
		return errBusy
	}
	return errno
}

func (r *rawSocket) sendAll(packets [][]byte) (int, error) {
	if len(r.outgoing) < len(packets) {
		r.outgoing = make([]header, len(packets))
		vectors := make([]unix.Iovec, len(packets))
		for i := range vectors {
			r.outgoing[i].Iov = &vectors[i]
			r.outgoing[i].SetIovlen(1)
		}
	}
	for i, p := range packets {
		r.outgoing[i].Iov.Base = &p[0]
		r.outgoing[i].Iov.SetLen(len(p))
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.outgoing[0])), uintptr(len(packets)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, sendError(errno)
	}
	return int(n), nil
}

func (r *rawSocket) sendSegments(packets []byte, size int) (bool, error) {
	g := &r.segments
	if g.header.Iov == nil {
		g.header.Iov = &g.vector
		g.header.SetIovlen(1)
		g.header.Control = &g.control[0]
		g.header.SetControllen(unix.CmsgSpace(2))
		message := (*unix.Cmsghdr)(unsafe.Pointer(&g.control[0]))
		message.Level, message.Type = unix.SOL_UDP, unix.UDP_SEGMENT
		message.SetLen(unix.CmsgLen(2))
	}
	binary.NativeEndian.PutUint16(g.control[unix.CmsgLen(0):], uint16(size))
	g.vector.Base = &packets[0]
	g.vector.SetLen(len(packets))
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&g.header)), unix.MSG_DONTWAIT)
	switch errno {
	case unix.EINVAL, unix.EIO, unix.EOPNOTSUPP, unix.ENOPROTOOPT:
		return false, nil
	}
	return true, sendError(errno)
}

func (r *rawSocket) read(until int64) ([]datagram, error) {
	r.wait(until)
	return r.taken()
}

// each has slow streams read by the goroutine that waits for them.
func (r *rawSocket) each(take taker) {
	if r.alone || !r.slow {
		each(r, take)
		return
	}
	r.poller.run(r, func(now int64) (next int64, more bool) {
		defer r.poller.hush(r)
		for range readsAtOnce {
			r.receive()
			if next, more = take(r.taken()); !more {
				r.relaxed = false
				return next, more
			}
			if r.empty {
				return next, more
			}
		}
		r.crowded = true
		return now, true // again, but others first
	})
}

func (r *rawSocket) relax(on bool) {
	r.relaxed = on && r.facts.kernelStamps && r.facts.receiveBuffer >= relaxedBuffer && !r.crowded
}

func (r *rawSocket) lags(take func(from, lasted int64)) {
	wall, now, before := r.clock.Nanos(), clock.Mono(), r.lagged
	r.lagged = now
	switch {
	case r.quiet:
		for _, s := range r.poller.watch.stalls {
			if s.to > before {
				take(wall-(now-s.from), s.to-s.from)
			}
		}
	case len(r.batch) > 0 && r.facts.kernelStamps:
		from := r.batch[0].stamp
		take(from, wall-from)
	}
}

// taken gives what was received.
func (r *rawSocket) taken() ([]datagram, error) {
	r.batch = r.batch[:0]
	switch r.failed {
	case 0:
	case unix.EBADF:
		return nil, net.ErrClosed
	default: // nothing in time; or an ICMP message, which the sending side sees too
		return nil, nil
	}
	for i := range r.got {
		r.take(i)
	}
	r.measure()
	return r.batch, nil
}

// take reads what the kernel tells about one datagram, and makes its header ready for the next call.
func (r *rawSocket) take(i int) {
	h := &r.headers[i]
	d := datagram{data: r.buffers[i][:h.length], size: int(h.length)}
	r.parse(&d, r.ancillary[i*ancillarySize:][:h.Controllen])
	cut := h.Flags&unix.MSG_TRUNC != 0
	h.SetControllen(ancillarySize)
	h.Flags = 0
	if d.stamp == 0 {
		d.stamp = r.clock.Nanos()
	}
	if !cut {
		r.batch = append(r.batch, d)
	}
}

func (r *rawSocket) parse(d *datagram, control []byte) {
	for m := range ancillary.All(control) {
		switch {
		case m.Is(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, unsafe.Sizeof(unix.Timespec{})):
			d.stamp = r.clock.Stamp((*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano())
		case m.Is(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 4):
			r.dropped = max(r.dropped, binary.NativeEndian.Uint32(m.Data))
		case m.Is(unix.SOL_UDP, unix.UDP_GRO, 4):
			if size := int(binary.NativeEndian.Uint32(m.Data)); size > 0 {
				d.size = size
			}
		}
	}
}

// measure decides whether to wait before the next read, so that more packets are there when it comes.
func (r *rawSocket) measure() {
	if !r.alone {
		r.poller.arrivals.Add(uint64(r.got))
		return
	}
	r.datagrams += r.got
	bytes := 0
	for _, d := range r.batch {
		bytes += len(d.data)
		if d.size > 0 {
			r.packets += (len(d.data) + d.size - 1) / d.size
		}
	}
	r.bytes += bytes
	now := clock.Mono()
	if r.beside != nil && r.busy && bytes > 0 {
		r.beside.Look(now, bytes, time.Duration(r.clock.Nanos()-r.batch[0].stamp))
	}
	if now-r.since > int64(20*time.Millisecond) {
		r.busy = r.facts.kernelStamps && float64(r.packets)*1e9 > joinAbove*float64(now-r.since)
		r.joined = r.packets > 2*r.datagrams
		if r.bytes > 0 {
			r.wanted = max(1, min(len(r.headers), readTogether*r.datagrams/r.bytes))
		}
		r.packets, r.datagrams, r.bytes, r.since = 0, 0, 0, now
	}
}

// wait reads what there is, or waits for it until a time.
func (r *rawSocket) wait(until int64) {
	over := false
	switch {
	case r.alone:
		until = min(until, clock.Mono()+int64(uninterrupted))
		if r.busy && r.got < r.wanted {
			r.nap()
		}
	case r.empty && !r.tracing:
		over = r.sleep(until)
	}
	for !r.receive() && !over {
		r.batch = r.batch[:0]
		r.measure()
		left := until - clock.Mono()
		switch {
		case left <= 0:
			return
		case r.busy:
			r.nap()
		case r.alone:
			t := unix.NsecToTimespec(left)
			_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}, &t, nil) // the next read tells more
		default:
			over = r.sleep(until)
		}
	}
}

// receive reads without waiting, and says false when there is nothing.
func (r *rawSocket) receive() bool {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.headers[0])), uintptr(r.wanted), unix.MSG_DONTWAIT, 0, 0)
	if r.got, r.failed = int(n), errno; errno != 0 {
		r.got = 0
	}
	r.empty = r.got < r.wanted && (errno == 0 || errno == unix.EAGAIN)
	return errno != unix.EAGAIN && errno != unix.EINTR
}

// sleep waits until the poller tells of a packet, and says true when the time is over or the sleep was interrupted.
func (r *rawSocket) sleep(until int64) (over bool) {
	if r.deadline != until {
		r.deadline = until
		r.timer.Reset(time.Duration(until - clock.Mono()))
	}
	select {
	case <-r.roused:
		return r.interrupted.Swap(false)
	case <-r.timer.C:
		r.deadline = 0
		return true
	}
}

// rouse ends a sleep.
func (r *rawSocket) rouse() {
	select {
	case r.roused <- struct{}{}:
	default: // it will not sleep as it is
	}
}

// nap lets packets gather: as many as a turn of the sender brings, or for a time. The scheduler is not told: it would look after the thread
// every 20 µs meanwhile, which costs more than all the packets.
func (r *rawSocket) nap() {
	if r.beside.There() {
		pace.Yield()
		return
	}
	pause := coalesceSingle
	if r.joined {
		pause = coalesceJoined
	}
	t := unix.NsecToTimespec(int64(pause))
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0) // waking early costs nothing
}

func (r *rawSocket) interrupt() {
	if !r.alone { // else it looks up soon
		r.interrupted.Store(true)
		r.rouse()
	}
}

func (r *rawSocket) close() {
	if !r.alone {
		r.poller.leave(r)
		r.timer.Stop()
	}
}

func (r *rawSocket) drops() uint64 { return uint64(r.dropped) }

func (r *rawSocket) late(dropped uint64) uint64 { return r.before.Late(r.fd, dropped) }

func (r *rawSocket) describe() socketFacts {
	f := r.facts
	level, mtu := unix.IPPROTO_IP, unix.IP_MTU
	if !r.flow.Remote.Addr().Is4() {
		level, mtu = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	f.path, _ = unix.GetsockoptInt(r.fd, level, mtu) // 0 when the system does not tell
	return f
}
