package udp

import (
	"context"
	"fmt"
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
	// reportEvery is how often a receiver reports, and echoEvery how often, at most, it asks for an echo meanwhile. That of a slow stream
	// reports only once in reportSeldom, unless the path is lossy, or the sender missed a report in the last seldomAfter: then more of them are
	// needed for one to arrive in time. Until the sender stops, at least six are due.
	reportEvery  = 100 * time.Millisecond
	reportSeldom = 220 * time.Millisecond
	seldomAfter  = 10 * time.Second
	echoEvery    = 440 * time.Millisecond
	// probeEvery and probes are the exchanges that find out the clock offset before the stream and after it. Where both ends read one
	// clock, one of them is enough to see that it is one.
	probeEvery     = 15 * time.Millisecond
	probes         = 16
	probesOfItself = 1
	// probeLimit is how long is tried when their answers do not come.
	probeLimit = 3 * time.Second
	// setupLimit bounds the time until all receivers are ready.
	setupLimit = 10 * time.Second
	// silenceLimit is how long a receiver waits for a sender of which nothing is heard: a break of the path this long is loss, a
	// longer one the end of the session. When the stream should be over, overdueLimit is enough.
	silenceLimit = 10 * time.Second
	overdueLimit = 2 * time.Second
	// doneEvery and doneLimit: how often and how long the last report is sent until the sender has it.
	doneEvery = 50 * time.Millisecond
	doneLimit = 500 * time.Millisecond
	// copiesLimit is how long, after the last packet, copies of the last ones are waited for.
	copiesLimit = 50 * time.Millisecond
	// stallLimit is how late a host may serve us before the window is marked.
	stallLimit = 10 * time.Millisecond
	// chunk is how many arrivals are handed to the collector at once.
	chunk = 512
)

// receiver receives one stream of one direction, reports to its sender, and keeps the clock offset (the first stream only).
// It is for one goroutine.
type receiver struct {
	place
	ctx       context.Context
	set       settings
	sock      socket
	flow      *port.Flow
	clock     *clock.Clock
	meter     engine.Meter
	marker    *marker
	sign      *port.Tagger
	check     *port.Tagger
	out       [controlSize]byte
	headers   int
	collector *collector
	track     *track
	prober    bool
	probes    uint64    // wanted before the stream and after it
	user      bool      // stamps are the reader's
	neighbour bool      // the sender is on this host
	arrivals  []arrival // read, and not yet handed on
	held      held

	state     uint8
	entered   int64 // when the state began; like all times here, clock.Mono
	due       int64 // of the next report
	asked     int64 // when an echo was asked for last
	missed    int64 // when the sender missed a report; 0 for never
	heard     int64 // when anything of the sender arrived
	fed       int64 // when data did
	firstData int64
	reached   uint64 // the highest sequence number that came + 1
	came      uint64 // packets with sequence numbers
	reports   uint64
	doneAs    uint64 // number of the first report in the state done
	known     bool   // the sender has that
	stirred   bool   // data came with this batch
	news      bool   // departures were told with this batch
	idle      bool   // nothing was there at the last look: all that arrived was taken
	exchanges uint64 // in this state
	foreign   uint64
	trials    uint64
	stall     int64
	lagged    func(from, lag int64) // lag, made once

	peerState uint8
	echoes    uint64 // number of the last
	told      uint64 // packets sent, as the sender said last
	began     int64  // when the session began by the sender's clock; 0 for unknown
	ending    ending
}

// ending is how the receiving of a stream ended.
type ending struct {
	sent      uint64 // packets of the stream
	exact     bool   // the sender said so
	completed bool   // and sent all it was to
	fault     *netp.Failure
}

func newReceiver(p place, f *port.Flow, sock socket, c *collector, job engine.Job) *receiver {
	r := &receiver{
		place: p, set: c.set, sock: sock, flow: f, clock: job.Clock, meter: job.Meter,
		marker: newMarker(f.ReceiveKey, p.way, p.stream),
		sign:   port.NewTagger(f.SendKey), check: port.NewTagger(f.ReceiveKey),
		collector: c, track: c.tracks[p.stream], prober: p.stream == 0, probes: probes,
		user: !sock.describe().kernelStamps, neighbour: job.SameClock, headers: headers6,
		state: statePreparing,
	}
	r.lagged = r.lag
	if c.set.traced() {
		r.held.departures = newDepartures(c.set.pps()/float64(c.set.streams), c.set.timeout)
	}
	if f.Remote.Addr().Is4() {
		r.headers = headers4
	}
	if r.neighbour {
		r.probes = probesOfItself
	}
	return r
}

// run receives the stream until its end, or until ctx is done. What it reads too late the kernel drops, so that the flood of a
// busy host is read with priority.
func (r *receiver) run(ctx context.Context) {
	if r.set.flood() {
		defer pace.Pin()()
		if r.neighbour {
			defer r.sock.follow()()
		}
	}
	now := clock.Mono()
	r.ctx, r.entered, r.heard, r.due = ctx, now, now, now
	r.sock.each(r.step)
}

// step takes what was read, and does what is due.
func (r *receiver) step(batch []datagram, err error) (until int64, more bool) {
	if err != nil {
		r.give(interrupted("The socket of the stream was closed."))
		return 0, false
	}
	r.idle = len(batch) == 0
	r.take(batch)
	now := clock.Mono()
	if !r.advance(now) {
		return 0, false
	}
	if r.ctx.Err() != nil {
		r.give(contextFailure(r.ctx))
		return 0, false
	}
	if now >= r.due {
		r.late(now)
		r.report(now)
	}
	r.sock.relax(r.steady(now))
	return r.due, true
}

// steady says whether data comes, and nothing else is expected before the next report is due.
func (r *receiver) steady(now int64) bool {
	return r.state == stateReceiving && r.firstData > 0 && time.Duration(now-r.firstData) < r.set.omit+r.set.span()-reportSeldom
}

// enter begins a state.
func (r *receiver) enter(state uint8, now int64) {
	r.state, r.entered, r.due, r.exchanges = state, now, now, 0
}

// advance moves from state to state, and says whether to go on.
func (r *receiver) advance(now int64) bool {
	in := time.Duration(now - r.entered)
	if r.peerState >= stateFinished && r.state < stateCollecting {
		r.enter(stateCollecting, now)
		return true
	}
	if r.state < stateCollecting && r.silent(now) {
		return false
	}
	switch r.state {
	case statePreparing:
		if !r.prober || r.exchanges >= r.probes || in > probeLimit {
			r.enter(stateReady, now)
		}
	case stateReady:
		if r.firstData > 0 || r.peerState >= stateSending {
			r.enter(stateReceiving, now)
		}
	case stateCollecting:
		if r.collected(now) {
			r.hand(all)
			r.ending.sent, r.ending.exact = r.told, true
			r.ending.completed = r.peerState == stateFinished
			r.enter(stateDone, now)
			r.doneAs = r.reports + 1
		}
	case stateDone:
		return !r.known && (in <= doneLimit || !r.idle)
	}
	return true
}

// collected says whether nothing more is to be waited for.
func (r *receiver) collected(now int64) bool {
	in := time.Duration(now - r.entered)
	if in > r.set.timeout {
		return r.idle
	}
	if r.prober && r.exchanges < r.probes && in < probeLimit/6 || time.Duration(now-r.fed) < copiesLimit {
		return false
	}
	return r.track.received+r.track.late >= r.told
}

// silent says whether the sender has to be given up, and does so.
func (r *receiver) silent(now int64) bool {
	quiet := time.Duration(now - r.heard)
	limit := silenceLimit
	if length := r.set.omit + r.set.span(); r.firstData > 0 && r.set.span() > 0 && time.Duration(now-r.firstData) > length {
		limit = overdueLimit
	}
	if quiet <= limit || !r.idle {
		return false
	}
	r.give(interrupted(fmt.Sprintf("Nothing of the sender was heard for %s: the path or the sender died during the session. Loss is judged up to the last packet that is known to have been sent.", quantity.Duration(quiet))))
	return true
}

// give ends the stream with a failure, and tells the sender.
func (r *receiver) give(f *netp.Failure) {
	r.hand(all)
	if !r.ending.exact {
		r.ending.sent = max(r.told, r.track.highest)
		r.ending.fault = f
	}
	r.state = stateGone
	r.report(clock.Mono())
}

// late notes that the host let us wait for a report that was due.
func (r *receiver) late(now int64) {
	if r.state == stateReceiving {
		r.stall = max(r.stall, now-r.due)
	}
}

// report sends a report and sets the time of the next.
func (r *receiver) report(now int64) {
	r.reports++
	r.due = now + int64(r.pause(now))
	m := report{
		place: r.place, state: r.state, number: r.reports, trials: r.trials,
		received: r.track.received, next: r.track.highest, duplicates: r.track.copies, late: r.track.late,
		judged: r.ending.sent,
	}
	if r.state != stateReceiving && r.state != stateReady || now-r.asked >= int64(echoEvery) {
		m.wantEcho = true
		r.asked = now
	}
	if r.meter != nil && !r.meter.Allow(controlSize+r.headers) {
		return
	}
	m.stamp = r.clock.Nanos()
	_ = r.sock.send(m.encode(&r.out, r.sign), departure.None) // when it is lost, the next one tells more
}

// pause is the time to the next report.
func (r *receiver) pause(now int64) time.Duration {
	switch {
	case r.prober && r.state == statePreparing, r.prober && r.state == stateCollecting && r.exchanges < r.probes:
		return probeEvery
	case r.state == stateDone:
		return doneEvery
	case r.state == stateReceiving && r.set.slow() && !r.lossy() && (r.missed == 0 || now-r.missed > int64(seldomAfter)):
		return reportSeldom
	}
	return reportEvery
}

// lossy says whether more than one packet in a hundred is missing so far.
func (r *receiver) lossy() bool {
	missing := r.reached - min(r.came, r.reached)
	return missing*100 > r.reached
}

// take takes what was read.
func (r *receiver) take(batch []datagram) {
	for _, d := range batch {
		for len(d.data) > 0 {
			d.data = d.data[r.some(&d):]
		}
	}
	if len(r.arrivals) > 0 || r.news {
		r.hand(0)
		r.news = false
	}
	if r.stirred {
		r.stirred, r.fed = false, clock.Mono()
		r.heard = r.fed
		if r.firstData == 0 {
			r.firstData = r.fed
		}
	}
	r.sock.lags(r.lagged)
}

// some takes the first packet of those that were joined, and those that are of one run with it, and says how many bytes they have.
func (r *receiver) some(d *datagram) int {
	packet := d.data[:min(d.size, len(d.data))]
	var a arrival
	if !r.marker.read(packet, &a) {
		r.control(packet, d.stamp)
		return len(packet)
	}
	r.marker.follow(d.data, &a)
	switch a.purpose {
	case purposeCounted, purposeTraced:
		a.received = d.stamp
		r.came += a.more + 1
		r.reached = max(r.reached, a.sequence+a.more+1)
		if a.purpose == purposeTraced && r.held.late != nil && r.held.aboard(packet, r.place, r.collector.limit, r.check) {
			r.news = true
		}
		if n := len(r.arrivals); n > 0 && r.arrivals[n-1].extend(&a) {
			break
		}
		if len(r.arrivals) == chunk {
			r.hand(0)
		}
		r.arrivals = append(r.arrivals, a)
	case purposeTrial:
		if r.trials++; r.trials == 1 {
			r.due = clock.Mono() // the sender waits for this
		}
		return len(packet)
	}
	r.stirred = true
	return len(packet) * int(a.more+1)
}

// lag notes from when on, and for how long, packets have waited for us.
func (r *receiver) lag(from, lag int64) {
	if r.state != stateReceiving || lag <= int64(stallLimit) {
		return
	}
	r.stall = max(r.stall, lag)
	r.collector.mu.Lock()
	defer r.collector.mu.Unlock()
	r.collector.lag(from, lag)
}

// control takes a packet that is no data.
func (r *receiver) control(packet []byte, stamp int64) {
	if r.held.late != nil && r.held.decode(packet, r.place, r.collector.limit, r.check) {
		r.news = true
		return
	}
	e, ok := decodeEcho(packet, r.check)
	if !ok || e.place != r.place {
		if !r.flow.Setup(packet) {
			r.foreign++
		}
		return
	}
	if e.number <= r.echoes {
		return // a copy, overtaken, or played back
	}
	r.echoes = e.number
	r.heard = clock.Mono()
	r.peerState = max(r.peerState, e.state)
	r.told = max(r.told, e.sent)
	r.began = e.began
	if e.answers == 0 { // not asked for
		r.missed = r.heard
		return
	}
	r.exchanges++
	if r.state == stateDone && e.answers >= r.doneAs {
		r.known = true
	}
	if r.prober {
		r.collector.exchange(e.asked, e.heard, e.stamp, stamp, r.clock.Nanos())
	}
}

// exchange takes the stamps of a report and its echo, and follows the clocks.
func (c *collector) exchange(t1, t2, t3, t4, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock.exchange(t1, t2, t3, t4)
	c.clock.update(now)
}
