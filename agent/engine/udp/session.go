package udp

import (
	"context"
	"errors"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/internal/host"
)

// progressEvery is how often signs of life are given.
const progressEvery = 500 * time.Millisecond

// session is one side of a running session.
type session struct {
	job     engine.Job
	set     settings
	role    netp.Role
	began   time.Time
	sending *sending     // nil when this side only receives
	inbound *receiving   // nil when this side only sends
	host    host.Reading // at the start
}

// receiving is one direction as its receiving side sees it.
type receiving struct {
	receivers []*receiver
	collector *collector
}

// run runs this side of the session, with all flows open.
func (e *Engine) run(ctx context.Context, job engine.Job, s settings, flows *flows, role netp.Role, began time.Time) netp.Result {
	x := &session{job: job, set: s, role: role, began: began}
	defer x.close()
	if f := x.prepare(e, flows); f != nil {
		return failed(began, f)
	}
	x.host = host.ReadProcess()
	var running sync.WaitGroup
	if x.sending != nil {
		running.Go(func() { x.sending.run(ctx, &e.wheel, job.Seed) })
	}
	if x.inbound != nil {
		for _, r := range x.inbound.receivers {
			running.Go(func() { r.run(ctx) })
		}
	}
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { x.progress(over) })
	running.Wait()
	close(over)
	watching.Wait()
	return x.result()
}

// prepare makes a sender or a receiver of each flow.
func (x *session) prepare(e *Engine, flows *flows) *netp.Failure {
	for _, way := range ways(x.set.direction) {
		sends := (way == wayForward) == (x.role == netp.Initiator)
		if sends {
			x.sending = new(sending)
		} else {
			x.inbound = &receiving{collector: newCollector(x.set, x.job.SameClock)}
		}
		for stream := range x.set.streams {
			p := place{uint16(stream), way}
			sock, err := e.openSocket(flows.all[p], x.set, x.job.Clock, !sends)
			if err != nil {
				return socketFailure(err)
			}
			if sends {
				one := newSender(p, x.set, flows.all[p], sock, x.job)
				if x.role == netp.Initiator {
					one.began = x.began.UnixNano()
				}
				x.sending.senders = append(x.sending.senders, one)
			} else {
				x.inbound.receivers = append(x.inbound.receivers, newReceiver(p, flows.all[p], sock, x.inbound.collector, x.job))
			}
		}
	}
	return nil
}

// close ends the use of the sockets.
func (x *session) close() {
	if x.sending != nil {
		for _, s := range x.sending.senders {
			s.sock.close()
		}
	}
	if x.inbound != nil {
		for _, r := range x.inbound.receivers {
			r.sock.close()
		}
	}
}

func socketFailure(err error) *netp.Failure {
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return &netp.Failure{Kind: netp.FailureUnsupported, Detail: engine.Sentence(err)}
	case errors.Is(err, os.ErrPermission):
		return &netp.Failure{Kind: netp.FailurePermission, Detail: engine.Sentence(err)}
	}
	return &netp.Failure{Kind: netp.FailureInternal, Detail: engine.Sentence(err)}
}

// way is the name of the direction in which this side sends or receives.
func (x *session) way(sends bool) string {
	if sends == (x.role == netp.Initiator) {
		return string(netp.Forward)
	}
	return string(netp.Reverse)
}

// name is a metric or fact of a direction.
func (x *session) name(sends bool, name string) string {
	if x.set.direction != netp.Both {
		return name
	}
	return x.way(sends) + "." + name
}

// directed says of a failure which stream it was about, where there are two. What broke need not be the path of its data: it may be that of
// the reports.
func (x *session) directed(sends bool, f *netp.Failure) *netp.Failure {
	if x.set.direction != netp.Both || f.Kind == netp.FailureCancelled {
		return f
	}
	said := *f
	said.Detail = "The stream " + x.way(sends) + ": " + f.Detail
	return &said
}

// progress gives signs of life until the session is over.
func (x *session) progress(over <-chan struct{}) {
	if x.job.Progress == nil {
		return
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	var last uint64
	since := clock.Mono()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		now := clock.Mono()
		values := map[string]float64{}
		if x.inbound != nil {
			packets, lost, bytes := x.inbound.collector.progress()
			values[x.name(false, "rate")] = float64(bytes-last) * 8e9 / float64(now-since)
			values[x.name(false, "packets")] = float64(packets)
			values[x.name(false, "lost")] = float64(lost)
			last = bytes
		}
		if x.sending != nil {
			values[x.name(true, "sent")] = float64(x.sending.sent())
		}
		since = now
		x.job.Progress(netp.Progress{Session: x.job.Addr, Elapsed: time.Since(x.began), Total: x.set.omit + x.set.span(), Values: values})
	}
}

// progress is what is known while packets still arrive: lost are those that should be here already, bytes are all that came.
func (c *collector) progress() (packets, lost, bytes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.tracks {
		lost += t.highest - min(t.received, t.highest)
	}
	return c.received, lost, c.arrived
}

// sent is the number of counted packets so far.
func (g *sending) sent() (n uint64) {
	for _, s := range g.senders {
		n += s.sent.Load()
	}
	return n
}

// result puts together what this side found out.
func (x *session) result() netp.Result {
	r := netp.Result{
		Started: x.began, Ended: time.Now(), Completed: true,
		Metrics: map[string]netp.Measurement{}, Facts: map[string]string{},
	}
	if x.inbound != nil {
		x.received(&r)
	}
	if x.sending != nil {
		x.sent(&r)
	}
	r.Health = append(r.Health, saturation(x.host.Until(host.ReadProcess()), x.set.flood())...)
	r.Completed = r.Completed && r.Failure == nil
	return r
}

// sent adds what the sending side knows.
func (x *session) sent(r *netp.Result) {
	g := x.sending
	if g.fault != nil {
		r.Failure = x.directed(true, g.fault)
	}
	for _, s := range g.senders {
		if s.state.Load() != stateFinished {
			r.Completed = false
		} else {
			r.Measured = max(r.Measured, time.Duration(s.stats.ended-s.counting))
		}
	}
	r.Health = append(r.Health, x.sendHealth()...)
	first := g.senders[0]
	facts := first.sock.describe()
	r.Facts[x.name(true, "packets_sent")] = strconv.FormatUint(g.sent(), 10)
	r.Facts[x.name(true, "offload")] = "none"
	if first.stats.segmented {
		r.Facts[x.name(true, "offload")] = "gso, " + strconv.Itoa(first.segments) + " packets per call"
	}
	r.Facts[x.name(true, "send_stamps")] = "user"
	if first.tracer != nil && first.tracer.known > 0 {
		r.Facts[x.name(true, "send_stamps")] = "kernel"
	}
	if facts.path > 0 {
		r.Facts[x.name(true, "path_mtu")] = strconv.Itoa(facts.path)
	}
	r.Facts[x.name(true, "send_address")] = first.flow.Local.String()
	r.Facts[x.name(true, "receive_address")] = first.flow.Remote.String()
}

// leadOf is how long after the initiator began the first counted packet was sent. The responder knows it by the initiator's
// clock, in which the stamps are, too; the initiator takes the packet's arrival for its departure.
func (x *session) leadOf(g *receiving) time.Duration {
	if began := g.receivers[0].began; began != 0 {
		return max(0, time.Duration(g.collector.rows.start-began))
	}
	return time.Duration(g.collector.began - x.began.UnixNano())
}

// received adds what the receiving side knows: the metrics.
func (x *session) received(r *netp.Result) {
	g := x.inbound
	sent := make([]uint64, len(g.receivers))
	completed := true
	for i, one := range g.receivers {
		sent[i] = one.ending.sent
		completed = completed && one.ending.completed
		if one.ending.fault != nil && r.Failure == nil {
			r.Failure = x.directed(false, one.ending.fault)
		}
	}
	span := x.set.span()
	if x.set.random() { // nobody knows whether silence at its end is the path's or the schedule's
		span = 0
	}
	if !completed {
		span = 0
		r.Completed = false
		if r.Failure == nil {
			r.Failure = interrupted("The sender stopped before the end of the stream. Its own part of the session says why.")
		}
	}
	outcome := g.collector.finish(sent, span)
	for name, m := range outcome.metrics {
		r.Metrics[x.name(false, name)] = m
	}
	shift := x.leadOf(g)
	for _, row := range outcome.intervals {
		row.Start += shift
		row.Values = x.named(row.Values)
		r.Intervals = append(r.Intervals, row)
	}
	if n := len(outcome.intervals); n > 0 {
		r.Measured = span
		if span == 0 {
			r.Measured = g.collector.lasted()
		}
	}
	r.Health = append(r.Health, x.receiveHealth(outcome)...)
	x.receiveFacts(r)
}

// lasted is how long counted packets arrived.
func (c *collector) lasted() time.Duration {
	return time.Duration(int64(len(c.rates.cells)) * c.rates.length)
}

// named puts the direction in front of the names of a row.
func (x *session) named(values map[string]float64) map[string]float64 {
	if x.set.direction != netp.Both {
		return values
	}
	out := make(map[string]float64, len(values))
	for name, v := range values {
		out[x.name(false, name)] = v
	}
	return out
}

func (x *session) receiveFacts(r *netp.Result) {
	g := x.inbound
	socket := g.receivers[0].sock.describe()
	fact := func(name, value string) { r.Facts[x.name(false, name)] = value }
	fact("receive_stamps", "user")
	if socket.kernelStamps {
		fact("receive_stamps", "kernel")
	}
	if socket.receiveBuffer > 0 {
		fact("receive_buffer", strconv.Itoa(socket.receiveBuffer))
	}
	if socket.joins {
		fact("receive_offload", "gro")
	}
	c := &g.collector.clock
	fact("clock_exchanges", strconv.FormatUint(c.exchanges, 10))
	if value, bound, ok := c.estimator.Estimate(); ok {
		fact("clock_offset", value.String())
		fact("clock_bound", bound.String())
	}
	var foreign uint64
	for _, one := range g.receivers {
		foreign += one.foreign
	}
	fact("packets_rejected", strconv.FormatUint(foreign, 10))
	var unknown uint64
	for _, one := range g.receivers {
		unknown += one.held.unknown
	}
	if unknown > 0 {
		fact("departures_unknown", strconv.FormatUint(unknown, 10))
	}
	if n := g.collector.forgotten; n > 0 {
		fact("packets_after_window", strconv.FormatUint(n, 10))
	}
}
