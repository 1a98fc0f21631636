package udp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/departure"
	"github.com/netpupper/netp/quantity"
)

const (
	// finishEvery and finishLimit: how often the end is told until the receiver confirms it, and how long without a report of it.
	finishEvery = 50 * time.Millisecond
	finishLimit = time.Second
	// serveEvery is how often a sender looks up while no report comes.
	serveEvery = 200 * time.Millisecond
	// stopLimit is how long a stream that was stopped tries to tell the receiver.
	stopLimit = 200 * time.Millisecond
	// collectSlack is how much longer than the timeout a receiver may take for its last report.
	collectSlack = 3 * time.Second
)

// serve is the report half: it answers reports until the start of the stream is known, or, when the stream has begun, until the
// receiver is done, gives up, or falls silent after the end. Then it is over.
func (x *sender) serve(ctx context.Context) (over bool) {
	var ended, told int64 // when the stream had ended, and when the receiver was told last
	idle := false         // nothing was there at the last look: all that arrived was heard
	for {
		now, wait := clock.Mono(), serveEvery
		if x.timed.Load() && x.state.Load() == stateWaiting {
			return false
		}
		if state := x.state.Load(); state >= stateFinished {
			wait = finishEvery
			if ended == 0 {
				ended = now
			}
			if x.leave(ctx, time.Duration(now-ended), idle) {
				return true
			}
			if x.peer.Load() < stateCollecting && now-told >= int64(finishEvery) {
				x.tell(echo{})
				told = now
			}
		}
		batch, err := x.read(now + int64(wait))
		if err != nil {
			return true
		}
		if late := clock.Mono() - now - int64(wait); ended > 0 && late > int64(alert) {
			ended += late // this host stood still, perhaps with the receiver on it
		}
		idle = len(batch) == 0
		if ended == 0 && ctx.Err() != nil && x.state.Load() == stateWaiting {
			x.stop(nil)
		}
	}
}

// read hears what has come, or comes until a time (clock.Mono).
func (x *sender) read(until int64) ([]datagram, error) {
	batch, err := x.sock.read(until)
	if err != nil {
		x.stop(interrupted("The socket of the stream was closed."))
	}
	for _, d := range batch {
		x.hear(d)
	}
	x.looked.Store(clock.Mono())
	return batch, err
}

// leave says whether nothing more is to be expected since the stream ended.
func (x *sender) leave(ctx context.Context, since time.Duration, idle bool) bool {
	switch peer := x.peer.Load(); {
	case peer >= stateDone:
		return true
	case !idle:
		return false
	case ctx.Err() != nil || x.state.Load() == stateStopped:
		return since > stopLimit
	case peer < stateCollecting && min(since, time.Duration(clock.Mono()-x.heard.Load())) > finishLimit: // while it reports, it still reads
		x.fault.CompareAndSwap(nil, interrupted("The receiver did not confirm the end of the stream, and was not heard of for a second. The path back from the receiver is down, or the receiver is, or its host is too busy."))
		return true
	}
	return since > x.set.timeout+collectSlack
}

// hear takes what came on the flow.
func (x *sender) hear(d datagram) {
	r, ok := decodeReport(d.data, x.check)
	if !ok || r.place != x.place {
		if !x.flow.Setup(d.data) {
			x.foreign++
		}
		return
	}
	if r.number <= x.last.number {
		return // a copy, overtaken, or played back
	}
	x.last = r
	arrived := clock.Mono() - max(x.clock.Nanos()-d.stamp, 0)
	x.arrived, x.spacing = arrived, min(max(arrived-x.arrived, int64(reportEvery)), int64(reportSeldom))
	x.heard.Store(clock.Mono())
	x.trials.Store(r.trials)
	x.peer.Store(uint32(r.state))
	if r.wantEcho {
		x.tell(echo{answers: r.number, asked: r.stamp, heard: d.stamp})
	}
}

// tell sends an echo, or tells the end.
func (x *sender) tell(e echo) {
	x.echoes++
	e.place, e.number = x.place, x.echoes
	e.state = uint8(x.state.Load())
	e.sent = x.sent.Load() // after the state: with finished, it is final
	e.began = x.began
	e.stamp = x.clock.Nanos()
	if x.meter != nil && !x.meter.Allow(controlSize+x.headers) {
		return
	}
	_ = x.sock.send(e.encode(&x.out, x.sign), departure.None) // when it is lost, the next report asks again
	if x.tracer != nil && e.state >= stateFinished && x.peer.Load() < stateDone {
		x.tellRest()
	}
}

// sending is one direction as its sending side sees it.
type sending struct {
	senders []*sender
	started int64 // clock.Mono; 0 when it never was
	fault   *netp.Failure
}

// trialLimit is how long trial packets are sent, some sixty of them.
const trialLimit = 3 * time.Second

// oversizeFrom is the size from which on a trial packet is sent first: smaller ones pass any path (IPv6 asks for 1280 bytes).
const oversizeFrom = 1200

// await waits until all receivers are ready, and the path has carried a packet of the largest size.
func (g *sending) await(ctx context.Context) *netp.Failure {
	begin := clock.Mono()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var trying, tried int64 // when the first and the last trial packet left
	for {
		first := g.senders[0]
		now := clock.Mono()
		alive := first.heard.Load() > 0
		carried := first.set.largest() <= oversizeFrom || first.trials.Load() > 0
		if carried && g.ready() {
			return nil
		}
		if alive && !carried && now-tried >= int64(finishEvery) {
			tried = now
			if trying == 0 {
				trying = now
			}
			if f := first.try(); f != nil {
				return f
			}
		}
		if now-begin > int64(setupLimit) || !carried && trying > 0 && now-trying > int64(trialLimit) {
			return g.explain(alive, carried)
		}
		select {
		case <-ctx.Done():
			return contextFailure(ctx)
		case <-tick.C:
		}
		for _, x := range g.senders {
			if f := x.fault.Load(); f != nil {
				return f
			}
			if x.peer.Load() == stateGone {
				return interrupted("The receiver gave up before the stream began.")
			}
		}
	}
}

func (g *sending) ready() bool {
	for _, x := range g.senders {
		if x.peer.Load() < stateReady {
			return false
		}
	}
	return true
}

func (g *sending) explain(alive, carried bool) *netp.Failure {
	size := g.senders[0].set.largest()
	switch {
	case !alive:
		return &netp.Failure{Kind: netp.FailureUnreachable, Detail: fmt.Sprintf("The flow was opened, but no report of the receiver arrived in %s. A firewall on the way lets the first packets through and drops what follows, or the receiver has died, or its host is too busy.", quantity.Duration(setupLimit))}
	case !carried:
		return &netp.Failure{Kind: netp.FailureUnreachable, Detail: fmt.Sprintf("Packets of %d bytes do not arrive, small ones do: the path has a smaller MTU than the %d bytes (IP) they need and does not say so (an MTU black hole), or a filter drops them. Try a size of at most %d.", size, size+g.senders[0].headers, oversizeFrom)}
	}
	return &netp.Failure{Kind: netp.FailureTimeout, Detail: fmt.Sprintf("The receiver was not ready in %s.", quantity.Duration(setupLimit))}
}

// try sends a packet of the largest size that is not counted.
func (x *sender) try() *netp.Failure {
	size := x.set.largest()
	if x.meter != nil && !x.meter.Allow(size+x.headers) {
		return nil
	}
	x.marker.write(x.buffer[:size], purposeTrial, 0, x.clock.Nanos())
	if err := x.emit(x.buffer[:size], departure.None); err != nil {
		return x.fault.Load() // nil while it may still work
	}
	return nil
}

// oversize names the size that fits.
func (x *sender) oversize() *netp.Failure {
	size := x.set.largest()
	detail := fmt.Sprintf("Packets of %d bytes need an MTU of %d, and the path does not have it.", size, size+x.headers)
	if mtu := x.sock.describe().path; mtu > x.headers && mtu < size+x.headers {
		detail = fmt.Sprintf("Packets of %d bytes need an MTU of %d, and that of the path is %d. The largest size that fits is %d.", size, size+x.headers, mtu, mtu-x.headers)
	}
	return &netp.Failure{Kind: netp.FailureUnsupported, Detail: detail + " netp does not send fragments, because the loss of one would count as the loss of all."}
}

// run takes the direction from its set-up to its end.
func (g *sending) run(ctx context.Context, w *wheel, seed uint64) {
	var running sync.WaitGroup
	for _, x := range g.senders {
		running.Go(func() { x.run(ctx, w) })
	}
	if g.fault = g.await(ctx); g.fault == nil {
		start := clock.Mono() + int64(lead)
		for _, x := range g.senders {
			if err := x.schedule(ctx, start, seed); err != nil {
				g.fault = &netp.Failure{Kind: netp.FailureInternal, Detail: err.Error()}
			}
		}
		if g.fault == nil {
			g.started = start
		}
	}
	for _, x := range g.senders {
		if g.started == 0 {
			x.stop(nil) // tell the receiver not to wait
		}
		x.timed.Store(g.started != 0)
		x.sock.interrupt()
	}
	running.Wait()
	for _, x := range g.senders {
		if f := x.fault.Load(); f != nil && g.fault == nil {
			g.fault = f
		}
	}
	if g.fault == nil && ctx.Err() != nil {
		g.fault = contextFailure(ctx)
	}
}
