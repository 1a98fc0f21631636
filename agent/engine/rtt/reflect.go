package rtt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/internal/departure"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
	"github.com/netpupper/netp/agent/pace"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/quantity"
)

const (
	// replayWindow is how many probes back a late one is still answered; older ones are dropped.
	replayWindow = 4096
	// lingering is how long the reflector goes on after the initiator said that it is done, in case the answer to that is lost.
	lingering = 300 * time.Millisecond
	// overtime is how much longer than it should take a session may take before the reflector takes the initiator as gone.
	overtime = 5 * time.Second
)

// Respond plays the session-reflector (RFC 8762 §4.3, stateful and authenticated) until the initiator says that it is done. For
// the modes that need no reflector it returns at once. See engine.Engine.
func (*Engine) Respond(ctx context.Context, j engine.Job) netp.Result {
	c := newSettings(j.Params)
	result := netp.Result{Started: j.Clock.Now()}
	if c.mode == modeStamp {
		result = reflect(ctx, j, c)
	} else {
		result.Completed = true
	}
	result.Ended = j.Clock.Now()
	return result
}

func reflect(ctx context.Context, j engine.Job, c settings) netp.Result {
	result := netp.Result{Started: j.Clock.Now()}
	flow, err := j.Accept.AcceptUDP(ctx)
	if err != nil {
		result.Failure = failure(ctx, fmt.Errorf("wait for the initiator: %w", err))
		return result
	}
	sock, err := flowSocket(flow, true)
	if err != nil {
		flow.Close()
		result.Failure = failure(ctx, fmt.Errorf("prepare the socket: %w", err))
		return result
	}
	defer sock.close()
	r := newReflector(j, c, sock, flow)
	if err := r.run(ctx); err != nil {
		result.Failure = failure(ctx, err)
	}
	result.Completed = result.Failure == nil
	result.Health, result.Facts = r.health(), r.facts()
	return result
}

// reflector answers the probes of one session. One goroutine runs it.
type reflector struct {
	job      engine.Job
	socket   socket
	flow     *port.Flow
	codec    stamp.Codec
	estimate stamp.Estimate
	header   int
	until    int64 // clock.Mono; the end even if nobody says so
	done     int64 // clock.Mono of the latest End; 0 before
	unheard  bool  // it ended by its time, not by an End
	counts   window

	rejected, repeated, outdated uint64
	unsent                       uint64
	stay                         int64 // the longest a probe waited for its answer, ns
	lag                          int64 // the longest an answer took to leave after its clock was read, ns
	leaving                      [leavingRing]leaving
	told                         stamp.Tail // the latest departure of which the kernel told
	drops                        uint32
	ttl, tos                     span
}

// leaving is an answer whose departure the kernel has not told yet.
type leaving struct {
	count uint64
	left  int64 // Unix nanoseconds, as read before it was sent
}

const leavingRing = 1 << 10

func newReflector(j engine.Job, c settings, sock socket, flow *port.Flow) *reflector {
	r := &reflector{
		job: j, socket: sock, flow: flow,
		codec:    stamp.Sealed(port.NewTagger(flow.SendKey), port.NewTagger(flow.ReceiveKey)),
		estimate: estimate(j.Clock),
		header:   ipHeader(flow.Remote.Addr()),
		until:    clock.Mono() + int64(c.length()+c.length()/2+c.overrun()+c.timeout+grace+closings*closingEvery+overtime),
	}
	if fd, ok := flow.Raw(); ok && c.dscp != 0 {
		if err := port.SetDSCP(uintptr(fd), family("udp", flow.Remote.Addr()), c.dscp); err != nil && j.Log != nil {
			j.Log.Warn("answers are not marked", "session", j.Addr, "dscp", c.dscp, "error", err)
		}
	}
	return r
}

// run answers until the initiator is done, the session has taken too long, or ctx is done. That the initiator does not say that it is done
// is no failure of the session: the path may have died, which is what it measures, and the controller knows when its agent is lost.
func (r *reflector) run(ctx context.Context) error {
	defer pace.Pin()() // what it is late with its answers is the client's rtt_user, and its stamps' error
	buffer := make([]byte, 64<<10)
	departed := r.departed
	var a arrival
	for {
		n, err := r.socket.receive(buffer, &a)
		now := clock.Mono()
		switch err {
		case nil:
			r.answer(buffer[:n], &a, now)
		case errNothing, errICMP:
		default:
			return fmt.Errorf("receive: %w", err)
		}
		r.socket.departures(departed) // takes ICMP errors off their queue too
		switch err := ctx.Err(); {
		case r.done != 0 && (err != nil || now-r.done > int64(lingering)):
			return nil
		case errors.Is(err, context.DeadlineExceeded), now > r.until:
			r.unheard = true
			return nil
		case err != nil:
			return err
		}
	}
}

// answer answers one packet, if it proves to be a probe of this session. The answer takes its place and is as long.
func (r *reflector) answer(packet []byte, a *arrival, now int64) {
	came := r.job.Clock.Nanos()
	if a.kernel != 0 {
		came = r.job.Clock.Stamp(a.kernel)
	}
	r.drops = max(r.drops, a.drops)
	request, err := r.codec.Request(packet)
	if err != nil {
		if !r.flow.Setup(packet) {
			r.rejected++
		}
		return
	}
	count, state := r.counts.count(request.Sequence)
	switch state {
	case outdated:
		r.outdated++
		return
	case repeated:
		r.repeated++
	}
	r.ttl.see(a.ttl)
	r.tos.see(a.tos)
	reply := stamp.Reply{
		Sequence: count, Estimate: r.estimate, SSID: request.SSID,
		Received: stamp.NTP(came), Request: request, TTL: 255,
	}
	if a.ttl >= 0 {
		reply.TTL = uint8(a.ttl)
	}
	tail, extended := r.codec.Tail(packet)
	if tail.End && extended {
		r.done = now
	}
	if r.job.Meter != nil && !r.job.Meter.Allow(r.header+udpHeader+len(packet)) {
		r.unsent++
		return
	}
	if extended {
		tail.Sequence, tail.Left = r.told.Sequence, r.told.Left
		r.codec.PutTail(packet, count, tail)
	}
	// A malformed TLV is marked, and the packet answered like the others (RFC 8972 §4).
	_ = r.codec.Reflect(packet)
	left := r.job.Clock.Nanos()
	r.stay = max(r.stay, left-came)
	reply.Time = stamp.NTP(left)
	r.codec.PutReply(packet, reply)
	id := uint64(departure.None)
	if state == fresh { // the answer to a copy has a count that has been told
		id = uint64(count)
		r.leaving[count%leavingRing] = leaving{id, left}
	}
	if r.socket.send(packet, id) != nil {
		r.unsent++
	}
}

// departed takes the kernel's stamp of an answer that has left. The next answer tells it: it is later than the clock that was read for
// the answer itself, by what its tag and the system call took.
func (r *reflector) departed(count uint64, kernel int64) {
	if l := r.leaving[count%leavingRing]; l.count == count && l.left != 0 {
		at := r.job.Clock.Stamp(kernel)
		r.lag = max(r.lag, at-l.left)
		r.told = stamp.Tail{Sequence: uint32(count), Left: stamp.NTP(at)}
	}
}

func (r *reflector) health() []netp.Check {
	checks := []netp.Check{unansweredCheck(r.unsent), stayCheck(time.Duration(r.stay), newSettings(r.job.Params).timeout), lagCheck(time.Duration(r.lag))}
	if r.socket.clocks() == kernelClocks {
		checks = append(checks, dropCheck(r.drops, r.socket.late(r.drops), "the reflecting agent"))
	}
	return checks
}

// unansweredCheck: answers that the reflector itself kept look like losses on the way back.
func unansweredCheck(n uint64) netp.Check {
	c := netp.Check{Name: "reflector_unsent", Value: float64(n), Unit: "packets", OK: n == 0}
	if !c.OK {
		c.Reason = fmt.Sprintf("The reflecting agent could not or must not send %d answers, so the losses are not all the network's. Check its limits and its host.", n)
		c.Metrics = lossMetrics
	}
	return c
}

// stayCheck: an answer that the reflector sat on can come too late to be one. What it sat on is not in rtt.
func stayCheck(longest, timeout time.Duration) netp.Check {
	c := netp.Check{Name: "reflector_stall", Value: longest.Seconds(), Limit: (timeout / 2).Seconds(), Unit: "s", OK: longest <= timeout/2}
	if !c.OK {
		c.Reason = fmt.Sprintf("The reflecting agent held a probe for %s before it answered, so not all losses are the network's. Give its host more processor time.", quantity.Duration(longest))
		c.Metrics = lossMetrics
	}
	return c
}

// lagCheck: what an answer waits after it was stamped is in rtt, and not the network's, until the next answer tells when it left; that one
// may be lost.
func lagCheck(longest time.Duration) netp.Check {
	c := netp.Check{Name: "reflector_send_lag", Value: longest.Seconds(), Limit: stallLimit.Seconds(), Unit: "s", OK: longest <= stallLimit}
	if !c.OK {
		c.Reason = fmt.Sprintf("The reflecting agent was held up for %s between stamping an answer and sending it. Give its host more processor time.", quantity.Duration(longest))
		c.Metrics = []string{metricRTT, metricUser}
	}
	return c
}

func (r *reflector) facts() map[string]string {
	f := map[string]string{
		"reflector_timestamps": r.socket.clocks(),
		"reflected":            fmt.Sprint(r.counts.next),
	}
	for name, n := range map[string]uint64{"reflector_rejected": r.rejected, "reflector_repeated": r.repeated, "reflector_outdated": r.outdated} {
		if n > 0 {
			f[name] = fmt.Sprint(n)
		}
	}
	if r.unheard {
		f["reflector_end"] = "by its time: the initiator's word that it is done did not arrive"
	}
	if r.tos.any {
		f["dscp_forward"] = span{r.tos.low >> 2, r.tos.high >> 2, true}.String()
	}
	return f
}

// window numbers probes in the order in which they come, and knows those that come again. A copy gets the number of the
// original: it is a duplicate and no new probe, and the initiator sees it as such.
type window struct {
	next    uint32 // number of the next new probe
	highest uint32 // sequence number
	any     bool
	known   [replayWindow]struct {
		sequence uint32
		count    uint32
		used     bool
	}
}

type novelty uint8

const (
	fresh novelty = iota
	repeated
	outdated // too old to tell
)

func (w *window) count(sequence uint32) (uint32, novelty) {
	if w.any && int32(w.highest-sequence) >= replayWindow {
		return 0, outdated
	}
	at := &w.known[sequence%replayWindow]
	if at.used && at.sequence == sequence {
		return at.count, repeated
	}
	if !w.any || int32(sequence-w.highest) > 0 {
		w.highest, w.any = sequence, true
	}
	at.sequence, at.count, at.used = sequence, w.next, true
	w.next++
	return at.count, fresh
}
