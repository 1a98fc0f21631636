package tcp

import (
	"bytes"
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/quantity"
)

// The dead man: how long the peer may be silent until a sender pauses, and until the session is over. An outage of the path is silence
// from the last beat before it to the kernel's first repetition after it, a second and a half more: one of four seconds is survived.
const (
	holdAfter = time.Second
	lostAfter = 6 * time.Second
)

const (
	// reasonTime is how long a broken data connection waits for the control connection to tell why, while this host does not stand still.
	reasonTime = 300 * time.Millisecond
	// partingTime is how long an end that has all it needs waits for the other's done: as long as the other one may wait for its report.
	// The kernel does not bring that through an outage of the path once the connection is closed.
	partingTime = lostAfter + holdAfter
	// slowBeat is the number of ticks between two beats of a session that moves less than beatBytes meanwhile, and between two signs of
	// life to the agent. A beat and the acknowledgement of the other end's are 172 bytes: 0.13 % of beatBytes, or 2.8 kbit/s at least.
	slowBeat  = 5
	beatBytes = 128 << 10
)

// session is one end of a session. Its fields belong to the goroutine that runs it; those that others use say so.
type session struct {
	job      engine.Job
	o        options
	role     netp.Role
	portable bool

	links   links
	control *control
	in      *receiver // nil for an end that only sends
	out     *sender   // nil for an end that only receives
	events  chan event
	quit    chan struct{} // closed when nobody reads events any more
	readers sync.WaitGroup

	began, ended time.Time
	opened       int64         // monotonic, when this end began
	lead         time.Duration // from the initiator's beginning to its go
	started      int64         // monotonic, at go [ns]; 0 before
	heard        int64         // monotonic, last message of the peer
	ticked       int64         // monotonic, last tick
	ticks        int
	beaten       int64 // bytes moved until the last beat
	peer         beat
	doneHeard    bool
	broken       error // the first data connection's; the reason may still come
	load         load
	failure      *netp.Failure
}

// event is a control message, decoded, or the end of the control connection.
type event struct {
	kind    uint8
	lead    time.Duration
	beat    beat
	report  report
	aborted *netp.Failure
	err     error
}

func (e *Engine) session(job engine.Job, role netp.Role) *session {
	return &session{
		job: job, o: optionsOf(job.Params), role: role, portable: e.portable,
		events: make(chan event, 16), quit: make(chan struct{}), began: job.Clock.Now(), opened: clock.Mono(),
	}
}

// run takes the session from its connections to its result.
func (s *session) run(ctx context.Context, connect func(context.Context) (links, error)) netp.Result {
	var err error
	if s.links, err = connect(ctx); err == nil {
		err = s.take(ctx)
	}
	if err != nil {
		s.failure = failureOf(ctx, err, s.silence(clock.Mono()))
	}
	s.part(ctx)
	return s.result()
}

// take prepares, waits for the barrier and conducts.
func (s *session) take(ctx context.Context) error {
	s.control = newControl(s.links.control)
	onSocket(s.links.control, setThin)
	if err := s.prepare(); err != nil {
		return err
	}
	if s.in != nil {
		s.in.begin()
	}
	s.readers.Go(s.listen)
	s.load.begin()
	if err := s.barrier(ctx); err != nil {
		return err
	}
	s.started = clock.Mono()
	s.heard, s.ticked = s.started, s.started
	if s.out != nil {
		s.out.begin()
	}
	return s.conduct(ctx)
}

// prepare makes the sender and the receiver of this end.
func (s *session) prepare() (err error) {
	sends, receives := roleForward, roleReverse
	if s.role == netp.Responder {
		sends, receives = receives, sends
	}
	if conns := s.links.of(sends); len(conns) > 0 {
		if s.out, err = s.newSender(directionOf(sends), conns); err != nil {
			return err
		}
	}
	if conns := s.links.of(receives); len(conns) > 0 {
		s.in, err = s.newReceiver(directionOf(receives), conns)
	}
	return err
}

func directionOf(role uint8) netp.Direction {
	if role == roleReverse {
		return netp.Reverse
	}
	return netp.Forward
}

// listen reads the control connection until it ends.
func (s *session) listen() {
	for {
		e := s.hear()
		select {
		case s.events <- e:
		case <-s.quit:
			return
		}
		if e.err != nil {
			return
		}
	}
}

// hear reads one message. A go starts the clock of the receiver here, where it is not delayed by anything else.
func (s *session) hear() (e event) {
	var m message
	if m, e.err = s.control.receive(); e.err != nil {
		return e
	}
	e.kind = m.kind
	switch m.kind {
	case msgReady:
		if !bytes.HasPrefix(m.body, s.o.terms()) {
			e.err = differentOrders("direction, streams, duration, omit or bytes are not the same at both ends")
		}
	case msgGo:
		if s.in != nil {
			s.in.series.begin(clock.Mono())
		}
		e.lead = parseLead(m.body)
	case msgBeat:
		e.beat, e.err = parseBeat(m.body)
	case msgReport:
		e.report, e.err = parseReport(m.body)
	case msgAbort:
		e.aborted = parseAbort(m.body)
	}
	return e
}

// barrier brings both ends to the same point: everything stands, nothing was sent.
func (s *session) barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.timeout)
	defer cancel()
	if s.role == netp.Responder {
		if err := s.control.send(msgReady, s.o.terms()); err != nil {
			return err
		}
		e, err := s.await(ctx, msgGo)
		if err != nil {
			return err
		}
		s.lead = e.lead
		if s.out == nil {
			return nil
		}
		return s.control.send(msgGo, nil)
	}
	if _, err := s.await(ctx, msgReady); err != nil {
		return err
	}
	s.lead = time.Duration(clock.Mono() - s.opened)
	return s.control.send(msgGo, goBody(s.lead))
}

// await waits for a message during the set-up.
func (s *session) await(ctx context.Context, kind uint8) (event, error) {
	for {
		select {
		case <-ctx.Done():
			return event{}, ctx.Err()
		case e := <-s.events:
			switch {
			case e.err != nil:
				return e, e.err
			case e.aborted != nil:
				return e, e.aborted
			case e.kind == kind:
				return e, nil
			}
		}
	}
}

// conduct leads the session from go to the end. It ends within a second of ctx, and whatever the peer does: by the report,
// the end of the window, the end of a connection, or silence.
func (s *session) conduct(ctx context.Context) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	window := time.NewTimer(time.Hour)
	window.Stop()
	defer window.Stop()
	var waited time.Duration // for the reason
	var begun chan struct{}
	var arrivals, departures chan error
	if s.in != nil {
		begun, arrivals = s.in.series.begun, s.in.ended
	}
	if s.out != nil {
		departures = s.out.ended
	}
	for !s.settled() {
		var err error
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case e := <-s.events:
			err = s.note(e)
		case <-begun:
			begun = nil
			window.Reset(time.Duration(s.in.series.end() - clock.Mono()))
		case <-window.C:
			err = s.expire()
		case failed := <-arrivals:
			err = s.arrived(failed)
		case failed := <-departures:
			if failed != nil && s.out.report == nil && !s.windowPassed() {
				s.broken = cmp.Or(s.broken, failed)
			}
		case <-tick.C:
			if s.broken != nil {
				waited += interval
			}
			if err = s.tick(); err == nil && waited > reasonTime {
				err = s.broken
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settled reports whether this end has all it needs.
func (s *session) settled() bool {
	return (s.in == nil || s.in.reported) && (s.out == nil || s.out.report != nil)
}

// windowPassed reports whether the receiver, whose clock starts after this end's, is at the end of its time: it resets the data then, and
// on a path with a deep queue that comes seconds before its report.
func (s *session) windowPassed() bool {
	return s.o.bytes == 0 && time.Duration(clock.Mono()-s.started) > s.o.omit+s.o.duration-interval
}

// note takes in what the peer said.
func (s *session) note(e event) error {
	if e.err != nil {
		return e.err
	}
	s.heard = clock.Mono()
	if s.out != nil {
		s.out.held.Store(false)
	}
	switch e.kind {
	case msgBeat:
		s.peer = e.beat
	case msgReport:
		if s.out != nil && s.out.report == nil {
			s.out.sampler.tick(s.heard, s.out.figures(), false)
			s.out.report = &e.report
			s.out.stop()
			if !e.report.complete {
				return s.tooSlow(e.report.bytes)
			}
		}
	case msgDone:
		s.doneHeard = true
	case msgAbort:
		return e.aborted
	}
	return nil
}

// arrived notes the end of one stream of the receiver.
func (s *session) arrived(err error) error {
	switch {
	case s.in.reported:
		return nil
	case err != nil:
		s.broken = cmp.Or(s.broken, err)
		return nil
	}
	s.in.arrived++
	if s.o.bytes == 0 || s.in.arrived < len(s.in.streams) {
		return nil
	}
	return s.sendReport(true)
}

// expire ends the measurement by its time.
func (s *session) expire() error {
	switch {
	case s.in.reported:
		return nil
	case s.in.series.beat(clock.Mono()).received == 0:
		return s.empty()
	case s.o.bytes == 0:
		return s.sendReport(true)
	}
	if err := s.sendReport(false); err != nil {
		return err
	}
	return s.tooSlow(s.in.goodput.bytes)
}

// tooSlow is the failure of a transfer that did not end in its time. Both ends know of it.
func (s *session) tooSlow(arrived uint64) error {
	return failure(netp.FailureTimeout, "Of %d bytes %d arrived in %s, the most the transfer may take. Raise duration, or ask for fewer bytes.", s.o.bytes, arrived, quantity.Duration(s.o.duration))
}

// empty is the failure of connections that stand and carry nothing.
func (s *session) empty() error {
	return failure(netp.FailureUnreachable, "The connections stand, but not one byte of payload arrived (%s). Does the path lose large packets without a word (a smaller MTU behind a firewall that drops ICMP)? Try: ping -M do -s 1472 between the agents, or mss = 1200 in the profile.", s.in.direction)
}

// sendReport closes the account of the receiver and tells the peer.
func (s *session) sendReport(complete bool) error {
	s.in.finish(complete)
	s.in.reported = true
	g := s.in.goodput
	s.load.end()
	return s.control.send(msgReport, report{g.bytes, g.elapsed, s.load.use.Busy, complete}.encode())
}

// tick is the beat of the session.
func (s *session) tick() error {
	now := clock.Mono()
	late := time.Duration(now-s.ticked) - interval
	s.ticked = now
	s.load.tick(late, s.pause(now))
	if late > holdAfter { // this host stood still; the peer may not have
		s.heard = min(now, s.heard+int64(late))
	}
	silence := s.silence(now)
	if silence > lostAfter {
		return failure(netp.FailureInterrupted, "Nothing was heard from the peer for %s: the path between the agents died, or the agent there did.", quantity.Duration(silence))
	}
	if s.out != nil && s.out.report == nil {
		s.out.held.Store(silence > holdAfter)
		s.out.sampler.tick(now, s.out.figures(), silence > holdAfter)
		if s.o.bytes == 0 && time.Duration(now-s.started) > s.o.omit+s.o.duration+overtime {
			s.out.stop()
		}
	}
	own := beat{}
	if s.in != nil {
		own = s.in.series.beat(now)
		if !s.in.reported && own.received == 0 && time.Duration(now-s.started) > s.o.timeout {
			return s.empty()
		}
	}
	s.ticks++
	moved := s.moved()
	switch {
	case s.ticks%slowBeat == 0:
		s.progress(now, own)
	case moved-s.beaten < beatBytes:
		return nil
	}
	s.beaten = moved
	var body [16]byte
	return s.control.send(msgBeat, own.appendTo(body[:0]))
}

// silence is for how long nothing was heard from the peer; 0 before the transfer began.
func (s *session) silence(now int64) time.Duration {
	if s.heard == 0 {
		return 0
	}
	return time.Duration(now - s.heard)
}

// pause is for how long no data moved since the last beat, in the direction in which that was longest.
func (s *session) pause(now int64) (longest time.Duration) {
	if s.in != nil {
		longest = s.in.motion.pause(now)
	}
	if s.out != nil {
		longest = max(longest, s.out.motion.pause(now))
	}
	return longest
}

// moved is how many bytes of data this end has handed over and read.
func (s *session) moved() (n int64) {
	if s.in != nil {
		n = s.in.motion.bytes.Load()
	}
	if s.out != nil {
		n += s.out.motion.bytes.Load()
	}
	return n
}

// progress tells the agent how far the session is. The rate is the mean since the start, of the direction this end knows best.
func (s *session) progress(now int64, own beat) {
	if s.job.Progress == nil {
		return
	}
	p := netp.Progress{
		Session: s.job.Addr, Elapsed: time.Duration(now - s.started), Total: s.o.omit + s.o.duration,
		Values: map[string]float64{},
	}
	known := own
	if s.in == nil {
		known = s.peer
		p.Values["retransmits"] = float64(s.out.sampler.change().retransmits)
	}
	if known.elapsed > 0 {
		p.Values["rate"] = float64(known.received) * 8 / known.elapsed.Seconds()
	}
	s.job.Progress(p)
}

// part takes leave of the peer, in order or with the reason, and gives everything back. Nothing is sent after it began but
// what is needed for that.
func (s *session) part(ctx context.Context) {
	if s.started != 0 {
		s.load.end()
	}
	last, body, patience := msgDone, []byte(nil), partingTime
	if s.failure != nil {
		last, body, patience = msgAbort, abort(s.failure), reasonTime
	}
	listening := s.control != nil && s.control.send(last, body) == nil
	if s.out != nil {
		if s.out.started != 0 && s.out.report == nil {
			s.out.sampler.tick(clock.Mono(), s.out.figures(), false)
		}
		s.out.close(s.failure == nil && s.o.bytes > 0)
	}
	if s.in != nil {
		s.in.close()
		if !s.in.reported {
			s.in.finish(false)
		}
	}
	if listening {
		s.farewell(ctx, patience)
	}
	s.links.close()
	close(s.quit)
	s.readers.Wait()
	s.ended = s.job.Clock.Now()
}

// farewell waits for the last word of the peer, so that ours is not lost with the connection. That none comes has no
// consequence: this end has all it needs. One that is stopped meanwhile waits no longer than one that fails.
func (s *session) farewell(ctx context.Context, patience time.Duration) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	defer context.AfterFunc(ctx, func() { limit.Reset(reasonTime) })()
	for !s.doneHeard {
		select {
		case e := <-s.events:
			s.doneHeard = e.err != nil || e.kind == msgDone || e.kind == msgAbort
		case <-limit.C:
			return
		}
	}
}
