package rtt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/internal/host"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
	"github.com/netpupper/netp/agent/pace"
)

const (
	// progressEvery is the time between signs of life.
	progressEvery = 250 * time.Millisecond
	// quietStart is how much longer than the timeout the first answer may take, and quietProbes how many probes must have gone
	// unanswered, before the far end is taken as unreachable. The time in which this host stood still does not count: the far end
	// may be on it.
	quietStart  = time.Second
	quietProbes = 5
	// closings bounds the packets that ask for the reflector's last count, and closingEvery is the time between them.
	closings     = 5
	closingEvery = 100 * time.Millisecond
)

// session is a running session of packets. One goroutine sends and one receives, or, where the socket can do that, one does both
// until all probes are sent: a goroutine that waits for answers would be woken by each departure, which delays the probe.
type session struct {
	job      engine.Job
	settings settings
	socket   socket
	protocol protocol
	emit     func(counted bool) (at int64) // sends one probe and gives the time at which it did
	stray    func([]byte) bool             // deals with packets of the set-up; may be nil
	agent    bool                          // the far end is an agent
	clocks   string                        // where delays are taken from
	size     int                           // of a probe on the IP layer
	target   netip.Addr
	pacer    *pace.Pacer
	start    int64 // clock.Mono when the first probe was due
	facts    map[string]string
	poller   poller // the socket, when the sender receives; else nil
	buffer   []byte // of the receiver, like arrival
	arrival  arrival
	departed func(uint64, int64)     // depart, made once: it would be allocated at each use
	cancel   context.CancelCauseFunc // ends the session

	stop     atomic.Bool
	notify   chan struct{} // an answer came, for those who wait for the last ones
	read     int64         // of the receiver: what came until then has been read
	ticked   int64         // of the receiver: when it last looked at the time
	listened int64         // of the receiver: how long it has been awake
	reported int64         // of the receiver: when it last gave a sign of life
	host     host.Reading  // at the start

	mu      sync.Mutex // guards what follows
	ledger  *ledger
	seen    sightings
	awaited [awaitedRing]awaited
}

// awaited is an answer of which the far end may tell yet when it left, by its count.
type awaited struct {
	count    uint32
	sequence uint64 // of the probe
	left     int64  // as the answer itself said, Unix nanoseconds; 0 when nothing is awaited
}

const awaitedRing = 1 << 6

// sightings are what was noticed beside the account.
type sightings struct {
	unsent    uint64 // probes due that could not be sent, warm-up and closing not counted
	refused   uint64 // of these, by the agent's limits
	sendError error  // the last one
	tooLong   uint64 // probes that the path carried before, and does not any more
	rejected  uint64 // packets that were no answer or did not prove to be one
	icmp      uint64 // ICMP errors
	drops     uint32 // of the socket's receive queue
	odd       uint64 // answers whose stamps contradict our monotonic clock
	unstamped uint64 // answers to probes of whose departure the kernel said nothing
	unmarked  uint64 // answers of whose arrival the kernel said nothing
	followed  uint64 // answers of which a later one told when they left
	lag       int64  // the longest an answer waited for us, ns
	there     span   // TTL of the probes at the far end
	back      span   // TTL of the answers here
	tos       span   // type of service of the answers here
}

// span is the range of a small number that was seen.
type span struct {
	low, high int
	any       bool
}

func (s *span) see(v int) {
	if v < 0 {
		return
	}
	if !s.any {
		*s = span{v, v, true}
	}
	s.low, s.high = min(s.low, v), max(s.high, v)
}

func (s span) String() string {
	if s.low == s.high {
		return fmt.Sprint(s.low)
	}
	return fmt.Sprintf("%d-%d", s.low, s.high)
}

// newSession makes a session of packets.
func newSession(j engine.Job, c settings, sock socket, p protocol, target netip.Addr) *session {
	s := newBareSession(j, c, p.size(), target)
	s.socket, s.protocol, s.clocks, s.emit = sock, p, sock.clocks(), s.probe
	s.buffer, s.departed = make([]byte, 64<<10), s.depart
	s.facts["size"] = fmt.Sprint(p.size() - udpHeader) // ICMP's header is as long as UDP's
	return s
}

// newBareSession makes a session that does not know yet how to send; size is that of a probe without IP header.
func newBareSession(j engine.Job, c settings, size int, target netip.Addr) *session {
	return &session{
		job: j, settings: c, target: target, size: ipHeader(target) + size,
		notify: make(chan struct{}, 1),
		facts:  map[string]string{"mode": c.mode, "address": target.String()},
	}
}

func ipHeader(a netip.Addr) int {
	if a.Is4() {
		return ip4Header
	}
	return ip6Header
}

// estimate is the error estimate of STAMP for the state of the host's clock.
func estimate(c *clock.Clock) stamp.Estimate {
	state, err := c.Read()
	if err != nil {
		return stamp.NewEstimate(16*time.Second, false, false) // the "do not know" of the kernel
	}
	return stamp.NewEstimate(state.MaxError, state.Synchronised, false)
}

// openProbes is how many probes can be younger than timeout + grace, with room for what a random schedule or a stall bunches.
func (c settings) openProbes() int {
	return 2*int((c.timeout+grace)/c.interval) + 1024
}

// run sends, waits for what is under way, and gives the result. Beside it, receive runs until stop is set; with a poller, once all
// probes are sent.
func (s *session) run(ctx context.Context, receive func()) (netp.Result, error) {
	if err := s.prepare(); err != nil {
		return netp.Result{}, err
	}
	ctx, s.cancel = context.WithCancelCause(ctx)
	defer s.cancel(nil)
	var receiving sync.WaitGroup
	if s.poller == nil {
		receiving.Go(receive)
	}
	err := s.send(ctx)
	if s.poller != nil {
		receiving.Go(receive)
	}
	if err == nil {
		err = s.drain(ctx)
	}
	s.close(ctx, err == nil)
	s.stop.Store(true)
	receiving.Wait()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	return s.conclude(err)
}

func (s *session) prepare() error {
	c := s.settings
	s.start = clock.Mono()
	rate := pace.Rate{Units: 1, Per: c.interval}
	schedule := pace.Constant(s.start, rate)
	if c.poisson {
		schedule = pace.Poisson(s.start, rate, s.job.Seed, uint64(s.job.ID))
	}
	config := pace.Config{Schedule: schedule, CatchUp: max(c.interval, 50*time.Millisecond)}
	if p, ok := s.socket.(poller); ok {
		s.poller, config.Sleep = p, s.listen
	}
	pacer, err := pace.New(config)
	if err != nil {
		return err
	}
	s.pacer = pacer
	open := c.openProbes()
	var directions *split
	if c.mode == modeStamp {
		directions = newSplit(2*open, s.agent)
	}
	s.ledger = newLedger(c.timeout, open, directions, newRows(s.start, c.length()))
	s.host = host.Read()
	return nil
}

// send sends all probes when they are due, until the schedule is over or ctx done.
func (s *session) send(ctx context.Context) error {
	c := s.settings
	defer pace.Pin()()
	counting := s.start + int64(c.omit)
	over := counting + int64(c.measured)
	for slots := uint64(0); ; {
		due := s.pacer.Due()
		if c.count > 0 && slots == c.count || c.count == 0 && due >= over {
			return nil
		}
		if _, err := s.pacer.Wait(ctx, due); err != nil {
			return err
		}
		s.pacer.Next(1)
		counted := due >= counting
		if counted {
			slots++
		}
		s.pacer.Sent(1, due, s.emit(counted))
		if s.poller != nil && s.pacer.Due() <= clock.Mono() { // behind the schedule: there will be no sleep
			s.sweep()
		}
	}
}

// listen receives until a time of clock.Mono. It is the pacer's sleep.
func (s *session) listen(until int64) (now int64) {
	for s.sweep(); s.poller.await(until) && clock.Mono() < until; {
		s.sweep()
	}
	return clock.Mono()
}

// atOnce bounds the answers that are taken in a row, so that nobody can keep us from sending.
const atOnce = 16

// sweep takes what is there.
func (s *session) sweep() {
	for range atOnce {
		if s.get(s.poller.poll) != nil {
			return
		}
	}
}

// probe sends one probe and gives the time at which it did.
func (s *session) probe(counted bool) (at int64) {
	at = clock.Mono()
	if !s.allow() {
		return at
	}
	sequence, wall, ok := s.enter(counted)
	if !ok {
		return at
	}
	s.transmit(s.protocol.probe(sequence, wall), sequence)
	return at
}

// allow asks the agent's own limits.
func (s *session) allow() bool {
	if s.job.Meter == nil || s.job.Meter.Allow(s.size) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.unsent++
	s.seen.refused++
	return false
}

// enter opens a probe in the ledger.
func (s *session) enter(counted bool) (sequence uint64, wall int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wall = s.job.Clock.Nanos()
	sequence, ok = s.ledger.send(clock.Mono(), wall, counted)
	if !ok && counted {
		s.seen.unsent++
	}
	return sequence, wall, ok
}

func (s *session) transmit(packet []byte, sequence uint64) {
	err := s.socket.send(packet, sequence)
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, syscall.EMSGSIZE) && s.ledger.reached() {
		s.seen.tooLong++
		return // the path has come to lose what it carried before, and this host knows it: a loss
	}
	if p := s.ledger.at(sequence); p != nil && p.counted {
		s.seen.unsent++
	}
	s.ledger.unsend()
	s.seen.sendError = err
}

// receive takes the answers until stop is set and nothing is left to read.
func (s *session) receive() {
	for last := int64(math.MaxInt64); clock.Mono() < last; {
		err := s.get(s.socket.receive)
		stopped := s.stop.Load()
		switch err {
		case nil, errICMP:
		case errNothing:
			if stopped {
				return
			}
		default:
			return
		}
		if stopped {
			last = min(last, clock.Mono()+int64(time.Second)) // in case somebody floods us
		}
	}
}

// get receives once and deals with what that gives.
func (s *session) get(receive func([]byte, *arrival) (int, error)) error {
	n, err := receive(s.buffer, &s.arrival)
	now := clock.Mono()
	s.socket.departures(s.departed)
	switch err {
	case nil:
		s.take(s.buffer[:n], &s.arrival, now)
	case errNothing:
		s.read = now
	case errICMP:
		s.mu.Lock()
		s.seen.icmp++
		s.mu.Unlock()
	default:
		s.cancel(fmt.Errorf("receive: %w", err))
	}
	s.tick(now)
	return err
}

// depart notes the kernel's stamp of a departure.
func (s *session) depart(sequence uint64, kernel int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A stamp from before the call that sent the probe belongs to another one.
	if p := s.ledger.at(sequence); p != nil && kernel != 0 && p.kernel == 0 {
		if at := s.job.Clock.Stamp(kernel); at >= p.wall {
			p.kernel = at
		}
	}
}

// take takes a packet that arrived.
func (s *session) take(packet []byte, a *arrival, now int64) {
	e, ok := s.protocol.read(packet)
	if !ok && s.stray != nil && s.stray(packet) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.drops = max(s.seen.drops, a.drops)
	if !ok {
		s.seen.rejected++
		return
	}
	sequence := s.ledger.expand(e.sequence, e.width)
	p := s.ledger.at(sequence)
	if p != nil && p.wall != e.wall {
		s.seen.rejected++ // it repeats what we did not send: forged, or of another session
		return
	}
	var got answer
	if p != nil {
		got = s.trip(p, &e, a, now)
	}
	if e.told {
		s.follow(e.earlier, e.departed)
	}
	if s.ledger.answered(sequence, got) == receivedFirst && e.counts && e.stays {
		s.awaited[e.count%awaitedRing] = awaited{e.count, sequence, e.left}
	}
	if p != nil {
		s.read = max(s.read, p.left) // packets are read as they came, and this one did not come before its probe left
	}
	s.seen.there.see(e.ttl)
	s.seen.back.see(a.ttl)
	s.seen.tos.see(a.tos)
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// follow takes what the far end tells of an earlier answer: when it left, as its system stamped it (RFC 8972 §4.7). What it waited there
// after its clock was read is no part of the round trip.
func (s *session) follow(count uint32, left int64) {
	a := &s.awaited[count%awaitedRing]
	p := s.ledger.at(a.sequence)
	if a.count != count || a.left == 0 || p == nil {
		return
	}
	switch late := left - a.left; {
	case late < 0: // the path made a copy of the probe, and what came answers that: the answer that is told of left before, and was lost
	case late <= p.rtt:
		p.rtt -= late
		s.seen.followed++
	default:
		s.seen.odd++
	}
	a.left = 0
}

// trip takes the time of a round trip. All clocks run evenly but the wall clocks, which somebody may step: a figure from those
// that cannot be true by the monotonic clock is replaced by what that says.
func (s *session) trip(p *probe, e *echo, a *arrival, now int64) answer {
	user := now - p.left
	network := user
	if a.kernel != 0 {
		came := s.job.Clock.Stamp(a.kernel)
		s.seen.lag = max(s.seen.lag, min(s.job.Clock.Nanos()-came, user))
		left := p.kernel
		if left == 0 {
			left = p.wall
			s.seen.unstamped++
		}
		network = came - left
		if network < 0 || network > user+user/1000+int64(time.Millisecond) {
			s.seen.odd++
			network = user
		}
	} else {
		s.seen.unmarked++
	}
	if e.stays {
		if stay := e.left - e.came; stay >= 0 && stay <= network {
			network -= stay
		} else {
			s.seen.odd++
		}
	}
	return answer{rtt: network, user: user, hasBack: e.counts, back: e.count}
}

// tick does what time brings with it.
func (s *session) tick(now int64) {
	if now-s.ticked < int64(patience) {
		return
	}
	if s.ticked > 0 {
		s.listened += min(now-s.ticked, 2*int64(max(patience, s.settings.interval)))
	}
	s.ticked = now
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ledger.settle(s.read)
	if !s.ledger.reached() && s.ledger.next >= quietProbes && s.listened > int64(s.settings.timeout+quietStart) {
		s.cancel(s.unreachable())
	}
	if now-s.reported >= int64(progressEvery) {
		s.reported = now
		s.report(now)
	}
}
