package udp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/internal/departure"
	"github.com/netpupper/netp/agent/pace"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/quantity"
)

const (
	// deadMan is how long after the last report a sender goes on: it has stopped within a second.
	deadMan = 900 * time.Millisecond
	// breakLimit is how long a break of the path may be for the stream to go on after it; the receiver waits a little longer.
	breakLimit = silenceLimit - time.Second
	// alert bounds how long a sender is away from its duties, however slow its stream is.
	alert = 100 * time.Millisecond
	// retry is the pause when the system or the agent's own limit does not let a packet out.
	retry = time.Millisecond
	// denial is how long the agent's own limit may hold a stream back before it gives up.
	denial = time.Second
	// lead is how long before its first packet a stream begins, so that the wheel finds it, and a read that cannot be interrupted
	// ends.
	lead = wheelLook + 10*time.Millisecond
	// atOnce bounds the packets of one step, so that slow streams on the wheel wait for no other.
	atOnce = 64
	// lookEvery is how often, at most, a traced stream looks between its packets for the report that should be there by now.
	lookEvery = 15 * time.Millisecond
	// refusals is how many packets in a row the system may refuse before the stream gives up.
	refusals = 1000
)

// sender sends one stream of one direction. Its two halves are the data that goes out, and the reports that come in and are answered
// by echoes. A stream that is traced does both in one goroutine: nobody may wait on its socket. The halves of others run beside each
// other once data goes out, one in data and one in serve.
type sender struct {
	place
	set   settings
	sock  socket
	flow  *port.Flow
	clock *clock.Clock
	meter engine.Meter

	// The data half.
	ctx      context.Context
	marker   *marker
	pacer    *pace.Pacer // nil for a flood
	bits     bool        // a packet costs its bits of the rate
	buffer   []byte
	headers  int // bytes of IP and UDP header
	begin    int64
	counting int64 // when the warm-up is over (clock.Mono)
	end      int64 // 0 when the count decides
	most     uint64
	warmups  uint64
	denied   int64   // since when the meter says no; 0 while it does not
	refused  int     // packets in a row
	holding  int64   // since when nothing is sent because no report comes; 0 while they do
	seen     int64   // when it was last asked whether the stream goes on
	segments int     // of a super-packet; 0 when they cannot be sent
	turns    *turns  // of a flood's reader; nil where that is on another host
	stamp    int64   // of the super-packets that leave now ...
	stamped  int64   // ... and when it was made (clock.Mono)
	tracer   *tracer // nil for a stream that is not traced
	rides    bool    // what the tracer tells goes in data packets
	asked    int64   // when the kernel was asked for what these are to tell yet; 0 when they told all
	departed func(sequence uint64, kernel int64)
	stats    sendStats

	// Between the halves.
	timed  atomic.Bool   // the start is known: schedule was called
	sent   atomic.Uint64 // counted packets
	heard  atomic.Int64  // when the last report came (clock.Mono); 0 for never
	looked atomic.Int64  // when reports were last looked for
	trials atomic.Uint64 // trial packets that arrived
	state  atomic.Uint32 // ours
	peer   atomic.Uint32 // state of the receiver
	fault  atomic.Pointer[netp.Failure]

	// The report half.
	sign, check *port.Tagger
	out         [controlSize]byte
	news        [departuresSize]byte
	echoes      uint64
	began       int64 // when the initiator began the session (wall clock); 0 at the responder
	last        report
	arrived     int64  // when that arrived (clock.Mono) ...
	spacing     int64  // ... and when the next one will, after that
	complained  int64  // when the receiver was told last that none had come
	foreign     uint64 // packets that were not ours
}

// sendStats is what the data half counts.
type sendStats struct {
	errors    uint64 // packets that the system refused
	lastError error
	busy      uint64 // times the socket had no room
	held      uint64 // times the agent's limit said no
	breaks    int    // of the path that the stream outlived
	broken    time.Duration
	ended     int64 // clock.Mono
	segmented bool
	rough     uint64 // counted packets of a paced stream, not traced, whose call took longer than roughStamp
}

func newSender(p place, s settings, f *port.Flow, sock socket, job engine.Job) *sender {
	x := &sender{
		place: p, set: s, sock: sock, flow: f, clock: job.Clock, meter: job.Meter,
		marker: newMarker(f.SendKey, p.way, p.stream),
		sign:   port.NewTagger(f.SendKey), check: port.NewTagger(f.ReceiveKey),
		buffer: noise(s.largest(), job.Seed), headers: headers6,
	}
	if f.Remote.Addr().Is4() {
		x.headers = headers4
	}
	if s.flood() && job.SameClock {
		x.turns = new(turns)
	}
	x.state.Store(stateWaiting)
	return x
}

// noise is a buffer that does not compress: links that do would carry more than they can.
func noise(size int, seed uint64) []byte {
	b := make([]byte, size)
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// schedule prepares the stream for a start at a time of clock.Mono.
func (x *sender) schedule(ctx context.Context, start int64, seed uint64) error {
	x.ctx, x.begin = ctx, start
	x.counting = start + int64(x.set.omit)
	x.most = x.set.share(int(x.stream))
	if x.set.count == 0 {
		x.end = x.counting + int64(x.set.measured)
		x.most = maxSequence
	}
	if x.set.flood() {
		return nil
	}
	rate, bits := x.set.paceRate()
	x.bits = bits
	offset := int64(x.set.interval()) * int64(x.stream) / int64(x.set.streams)
	var plan pace.Schedule
	switch x.set.spacing {
	case spacingPoisson:
		plan = pace.Poisson(start, rate, seed, uint64(x.way)<<16|uint64(x.stream))
	case spacingBurst:
		plan = pace.Burst(start+offset*int64(x.set.burst), rate, x.set.burst)
	default:
		plan = pace.Constant(start+offset, rate)
	}
	var err error
	x.pacer, err = pace.New(pace.Config{Schedule: plan, CatchUp: x.set.timeOf(stallBytes), Rehearse: x.rehearse})
	return err
}

// run takes the stream from its set-up to its end.
func (x *sender) run(ctx context.Context, w *wheel) {
	if over := x.serve(ctx); over {
		return
	}
	x.state.Store(stateSending)
	x.seen = clock.Mono()
	x.heard.Store(x.seen)
	if x.trace() {
		x.data(w)
		x.sock.untrace()
		x.serve(ctx)
		return
	}
	var beside sync.WaitGroup
	beside.Go(func() { x.serve(ctx) })
	x.data(w)
	x.sock.interrupt() // the other half is to tell the end at once
	beside.Wait()
}

// data sends the stream until its end and blocks meanwhile.
func (x *sender) data(w *wheel) {
	switch pps := x.set.pps() / float64(x.set.streams); {
	case x.set.flood():
		x.flood()
	case x.set.slow():
		w.run(x.begin, pps, x.step)
	default:
		x.pace()
	}
	x.stats.ended = clock.Mono()
	if f := x.outlived(); f != nil {
		x.fault.CompareAndSwap(nil, f)
	}
}

// slow says whether the streams are paced together with others.
func (s settings) slow() bool { return !s.flood() && s.pps()/float64(s.streams) <= wheelBelow }

// traced says whether the kernel's stamps of the departures are asked for: as long as that does not slow the stream down.
func (s settings) traced() bool { return !s.flood() && s.pps() <= tracedUpTo }

// pace is the data half on a thread of its own.
func (x *sender) pace() {
	defer pace.Pin()()
	next, more := x.begin, true
	for more {
		now, _ := x.pacer.Wait(x.ctx, next) // when ctx is done, the step ends the stream
		next, more = x.step(now)
	}
}

// step sends what is due, and does the other half's work between packets where the stream has only this one.
func (x *sender) step(now int64) (next int64, more bool) {
	next, more = x.due(now)
	if x.tracer != nil && x.toLook(now) {
		x.look()
	}
	return next, more
}

// toLook says whether there probably is something to be read: many departures, or a report, which comes as long after the last as that
// came after the one before.
func (x *sender) toLook(now int64) bool {
	if x.tracer.pending() >= tellAfter {
		return true
	}
	return now-x.looked.Load() >= int64(lookEvery) && (x.expects(now) || x.tracer.due(now))
}

// reportSlack is by how much a report may be late without that anybody looks for it in vain.
const reportSlack = 10 * time.Millisecond

// expects says whether a report should be there.
func (x *sender) expects(now int64) bool { return now-x.arrived >= x.spacing+int64(reportSlack) }

// due sends what is due.
func (x *sender) due(now int64) (next int64, more bool) {
	if alive, hold := x.alive(now); !alive || hold {
		return now + int64(retry), alive
	}
	for range atOnce {
		due, ready := x.pacer.Due(), x.pacer.Ready()
		switch {
		case x.complete(due):
			x.state.Store(stateFinished)
			return 0, false
		case ready > now:
			return min(ready, now+int64(alert)), true
		}
		switch err := x.one(due); {
		case errors.Is(err, errBusy):
			return now + int64(retry), true
		case err != nil:
			return 0, false
		}
	}
	return now, true
}

// complete says whether what is due at a time is no longer part of the stream.
func (x *sender) complete(due int64) bool {
	return x.end > 0 && due >= x.end || x.sent.Load() >= x.most
}

// alive says whether the stream goes on, and stops it if not. When the reports have ended it may not send (hold). Once the other
// half has looked for them in vain that is a break of the path, and no host that stood still: the stream goes on when they come
// again, and ends when they do not.
func (x *sender) alive(now int64) (alive, hold bool) {
	x.awake(now)
	overdue := x.heard.Load() + int64(deadMan)
	switch {
	case x.state.Load() == stateStopped:
		return false, false
	case x.ctx.Err() != nil:
		x.stop(nil)
	case x.peer.Load() == stateGone:
		x.stop(interrupted("The receiver gave up and told the sender so."))
	case now <= overdue:
		x.resume(now)
		return true, false
	case x.looked.Load() <= overdue:
		return true, true
	case now-overdue < int64(breakLimit) && (x.end == 0 || now < x.end):
		if x.holding == 0 {
			x.holding = overdue
		}
		return true, true
	default:
		x.stop(interrupted(fmt.Sprintf("No report of the receiver arrived for %s, so the sender stopped. The path back from the receiver is down, or the receiver is, or its host is too busy.",
			quantity.Duration(time.Duration(now-overdue)+deadMan))))
	}
	return false, false
}

// awake takes out of the silence of the receiver the time in which this host stood still: an end on the same host did so, too, and has had
// no time to report.
func (x *sender) awake(now int64) {
	if asleep := now - x.seen; x.seen > 0 && asleep > int64(2*alert) {
		heard := x.heard.Load()
		x.heard.CompareAndSwap(heard, min(now, heard+asleep)) // else a report has come meanwhile
	}
	x.seen = now
}

// resume goes on after a break of the path. What was due meanwhile is never sent.
func (x *sender) resume(now int64) {
	if x.holding == 0 {
		return
	}
	x.stats.breaks++
	x.stats.broken += time.Duration(now-x.holding) + deadMan
	x.holding = 0
	if x.pacer != nil {
		x.pacer.Resume(now)
	}
}

// outlived is the failure of a stream that was sent to its end but for breaks of the path: what it lost is true, and not all that
// would have been lost.
func (x *sender) outlived() *netp.Failure {
	if x.stats.breaks == 0 {
		return nil
	}
	return interrupted(fmt.Sprintf("The receiver fell silent %s during the session, for %s in all: the path back from it broke for a time, or its host was too busy. The sender stops a second after the last report: what was lost until then is counted, what was not sent is not.",
		times(x.stats.breaks), quantity.Duration(x.stats.broken)))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// stop ends the stream before its time; a nil failure means that the context was done.
func (x *sender) stop(f *netp.Failure) {
	if f != nil {
		x.fault.CompareAndSwap(nil, f)
	}
	x.state.Store(stateStopped)
}

func interrupted(detail string) *netp.Failure {
	return &netp.Failure{Kind: netp.FailureInterrupted, Detail: detail}
}

// one sends one packet that is due.
func (x *sender) one(due int64) error {
	purpose, sequence := x.turn(due)
	size := x.size(sequence)
	if err := x.allowed(size + x.headers); err != nil {
		return err
	}
	at := clock.Mono()
	packet := x.buffer[:size]
	id, stamp := uint64(departure.None), x.clock.Nanos()
	if x.tracer != nil && purpose == purposeCounted && !x.tracer.blind() {
		purpose, id = purposeTraced, sequence
		x.tracer.sending(sequence, stamp)
	}
	x.marker.write(packet, purpose, sequence, stamp)
	if err := x.emit(packet, id); err != nil {
		return err
	}
	if purpose == purposeCounted && clock.Mono()-at > roughStamp {
		x.stats.rough++
	}
	cost := uint64(1)
	if x.bits {
		cost = 8 * uint64(size)
	}
	x.pacer.Next(cost)
	x.pacer.Sent(1, due, at)
	if purpose == purposeWarmup {
		x.warmups++
	} else {
		x.sent.Add(1)
	}
	if x.rides {
		x.ride() // now, when no packet waits for it
	}
	return nil
}

// rehearse does what one does for a packet, up to where it would leave. A kernel that sent it nevertheless would send one that counts for
// nothing.
func (x *sender) rehearse() {
	packet := x.buffer[:x.size(x.sent.Load())]
	x.marker.write(packet, purposeWarmup, 0, x.clock.Nanos())
	x.sock.rehearse(packet)
}

// turn is the purpose and the sequence number of the packet of a time.
func (x *sender) turn(at int64) (purpose uint8, sequence uint64) {
	if at < x.counting {
		return purposeWarmup, x.warmups
	}
	return purposeCounted, x.sent.Load()
}

// size is that of a packet of the stream.
func (x *sender) size(sequence uint64) int {
	if len(x.set.sizes) == 1 {
		return x.set.sizes[0]
	}
	index := sequence*uint64(x.set.streams) + uint64(x.stream)
	return x.set.sizes[index%uint64(len(x.set.sizes))]
}

// allowed asks the agent's own limit; errBusy means not now, another error never.
func (x *sender) allowed(bytes int) error {
	if x.meter == nil || x.meter.Allow(bytes) {
		x.denied = 0
		return nil
	}
	x.stats.held++
	now := clock.Mono()
	if x.denied == 0 {
		x.denied = now
	}
	if now-x.denied < int64(denial) {
		return errBusy
	}
	x.stop(&netp.Failure{Kind: netp.FailureRefused, Detail: "The agent's own limit on what it may send is used up, so the stream was stopped. Ask the operator of the agent for a higher limit, or send less."})
	return errStopped
}

var errStopped = errors.New("stopped")

// emit hands a packet to the system. What an ICMP message left behind in the socket is no answer to this packet: it is sent
// again. errBusy means not now, another error that the stream has ended.
func (x *sender) emit(packet []byte, id uint64) error {
	err := x.sock.send(packet, id)
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = x.sock.send(packet, id)
	}
	return x.emitted(err)
}

// emitted takes what the system said to a packet, and says what that means as emit does.
func (x *sender) emitted(err error) error {
	switch {
	case err == nil:
		x.refused = 0
		return nil
	case errors.Is(err, errBusy):
		x.stats.busy++
		return err
	case errors.Is(err, syscall.EMSGSIZE):
		x.stop(x.oversize())
		return errStopped
	case errors.Is(err, os.ErrPermission):
		x.stop(&netp.Failure{Kind: netp.FailurePermission, Detail: "The host does not allow the packets to leave (" + err.Error() + "): a local firewall rule rejects them."})
		return errStopped
	}
	// A route or link that is gone may come back; until then nothing leaves, which is not the path's loss.
	x.stats.errors++
	x.stats.lastError = err
	if x.refused++; x.refused < refusals {
		return errBusy
	}
	x.stop(interrupted("The system of the sender refused its packets again and again: " + err.Error() + "."))
	return errStopped
}
