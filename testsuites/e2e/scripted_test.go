package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
)

// scriptedKind is the kind of the scripted engine.
const scriptedKind netp.Kind = "scripted"

// scripted is an engine without traffic: it does what the parameters say.
//
//	duration  [s] how long the session takes
//	lost      of 1000 packets
//	act       "" runs to the end; "panic", "unreachable" (the initiator), "sick" (a
//	          failed check), "nan" (a figure that is no number), "deaf" (does not
//	          stop when told to)
type scripted struct {
	initiators *gauge       // nil for nobody who counts
	journal    *journal     // nil for nobody who writes down
	hung       *atomic.Bool // whether the responder that goes on until it is stopped was there; nil for none
}

// journal is when initiators were at work, whoever ordered it.
type journal struct {
	mu    sync.Mutex // guards spans
	spans []span
}

type span struct {
	session    string
	from, till time.Time
}

func (j *journal) begin(session string) (end func()) {
	if j == nil {
		return func() {}
	}
	from := time.Now()
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.spans = append(j.spans, span{session, from, time.Now()})
	}
}

func (j *journal) all() []span {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.spans)
}

// gauge counts what goes on at a time, and in all.
type gauge struct{ now, most, started atomic.Int64 }

func (g *gauge) enter() (leave func()) {
	if g == nil {
		return func() {}
	}
	g.started.Add(1)
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	return func() { g.now.Add(-1) }
}

func (scripted) Spec() netp.KindSpec {
	return netp.KindSpec{
		Kind: scriptedKind, Agents: true,
		Metrics: func(netp.Params) []netp.MetricSpec {
			return []netp.MetricSpec{{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower"}}
		},
		Demand: func(p netp.Params) netp.Demand {
			return netp.Demand{
				Duration: p.Duration("duration"),
				Forward:  netp.Load{Rate: p.Number("rate"), Bytes: uint64(p.Number("bytes")), Exclusive: p.Bool("exclusive")},
			}
		},
	}
}

func (s scripted) Initiate(ctx context.Context, j engine.Job) netp.Result {
	defer s.initiators.enter()()
	defer s.journal.begin(j.Session.Addr)()
	r := play(ctx, j)
	r.Facts = map[string]string{"initiator": fmt.Sprint(j.Seed)}
	switch j.Params.String("act") {
	case "panic":
		panic("scripted")
	case "unreachable":
		return netp.Result{Failure: &netp.Failure{Kind: netp.FailureUnreachable, Detail: "No answer from the data port."}}
	case "sick":
		r.Health = append(r.Health, netp.Check{Name: "send_time_error_p99", Reason: "The sender was late.", Metrics: []string{"loss"}})
	case "nan":
		zero := 0.0
		r.Metrics = map[string]netp.Measurement{"loss.ratio": netp.Value(zero / zero)}
	}
	return r
}

func (s scripted) Respond(ctx context.Context, j engine.Job) netp.Result {
	if j.Params.String("act") == "unreachable" {
		<-ctx.Done()
		return netp.Result{}
	}
	if s.hung != nil && s.hung.CompareAndSwap(false, true) {
		j.Params = maps.Clone(j.Params)
		maps.Copy(j.Params, long(nil))
	}
	r := play(ctx, j)
	r.Facts = map[string]string{"responder": fmt.Sprint(j.Seed)}
	lost := uint64(j.Params.Int("lost"))
	r.Metrics = map[string]netp.Measurement{"loss.ratio": {Ratio: &netp.Ratio{Events: lost, Trials: 1000, BatchLength: 500, Batches: []uint64{lost / 2, lost - lost/2}}}}
	return r
}

// play takes the session's time, asking the meter and telling progress as it goes.
func play(ctx context.Context, j engine.Job) netp.Result {
	started := time.Now()
	end := time.NewTimer(j.Params.Duration("duration"))
	defer end.Stop()
	j.Progress(netp.Progress{Total: j.Params.Duration("duration")})
	done := ctx.Done()
	if j.Params.String("act") == "deaf" {
		done = nil
	}
	select {
	case <-done:
		return netp.Result{Started: started, Ended: time.Now(), Failure: &netp.Failure{Kind: netp.FailureCancelled, Detail: "The session was stopped."}}
	case <-end.C:
		return netp.Result{Started: started, Ended: time.Now(), Completed: true}
	}
}
