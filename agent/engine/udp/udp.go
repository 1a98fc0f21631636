// Package udp is the engine of the kind "udp": streams of packets between two agents, measured in one direction or in both at
// the same time. Each packet carries a sequence number and the time at which it was sent; the receiving side makes of that
// delay, delay variation, loss, reordering and duplication, the sending side says how well it kept its schedule.
//
// It judges nothing and reads no suite. It sends only to a peer that has proven the session's key on the data port, and stops
// within a second when that peer's reports end.
//
// protocol.md describes what crosses the wire. In the code start with Engine.run (session.go), then sender.go for the way out,
// receiver.go for the way in, and collector.go for the statistics, which are pure.
package udp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
)

// Kind is the name of the kind.
const Kind netp.Kind = "udp"

// Engine runs sessions of the kind. The zero value is ready; one Engine serves all sessions of an agent, whose slow streams it
// paces together, and for whose packets it waits together.
type Engine struct {
	wheel    wheel
	poller   poller
	portable bool // use on Linux what the other systems use
}

// New returns an engine.
func New() *Engine { return new(Engine) }

var _ engine.Engine = (*Engine)(nil)

// flowTimeout is how long a responder waits for the other flows of a session after the first.
const flowTimeout = 10 * time.Second

// Initiate opens the flows of the session and runs it.
func (e *Engine) Initiate(ctx context.Context, job engine.Job) netp.Result {
	began := time.Now()
	s := newSettings(job.Params)
	flows := newFlows(s)
	defer flows.close()
	if f := e.dial(ctx, job, s, flows); f != nil {
		return failed(began, f)
	}
	return e.run(ctx, job, s, flows, netp.Initiator, began)
}

func (e *Engine) dial(ctx context.Context, job engine.Job, s settings, flows *flows) *netp.Failure {
	if v4 := job.Peer.Addr().Unmap().Is4(); s.ip == 4 && !v4 || s.ip == 6 && v4 {
		return &netp.Failure{Kind: netp.FailureUnsupported, Detail: fmt.Sprintf("The profile asks for IPv%d, and the responder's data port has the address %s. Give the destination agent an address of that version, or remove ip.", s.ip, job.Peer.Addr())}
	}
	var opening sync.WaitGroup
	var mu sync.Mutex // guards flows and failed
	var failed error
	for p := range maps.Clone(flows.all) {
		opening.Go(func() {
			f, err := job.Dialer.DialUDP(ctx, job.Peer, job.ID, job.Keys, port.Options{Stream: p.stream, Role: p.way, DSCP: s.dscp})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			flows.all[p] = f
		})
	}
	opening.Wait()
	if failed == nil {
		return nil
	}
	if silent := new(port.Unreachable); errors.As(failed, &silent) {
		silent.Stood = flows.stood()
	}
	return dialFailure(ctx, failed)
}

func dialFailure(ctx context.Context, err error) *netp.Failure {
	unreached := engine.Unreached(err)
	switch {
	case unreached != nil:
		return unreached
	case ctx.Err() != nil:
		return contextFailure(ctx)
	case errors.Is(err, os.ErrPermission):
		return &netp.Failure{Kind: netp.FailurePermission, Detail: engine.Sentence(err)}
	}
	return &netp.Failure{Kind: netp.FailureInternal, Detail: engine.Sentence(err)}
}

// Respond waits for the flows of the session and runs it.
func (e *Engine) Respond(ctx context.Context, job engine.Job) netp.Result {
	began := time.Now()
	s := newSettings(job.Params)
	flows := newFlows(s)
	defer flows.close()
	if f := accept(ctx, job, flows); f != nil {
		return failed(began, f)
	}
	return e.run(ctx, job, s, flows, netp.Responder, time.Now())
}

func accept(ctx context.Context, job engine.Job, flows *flows) *netp.Failure {
	for missing := len(flows.all); missing > 0; {
		f, err := job.Accept.AcceptUDP(ctx)
		if err != nil {
			return acceptFailure(ctx, err, missing)
		}
		p := place{f.Stream, f.Role}
		if taken, expected := flows.all[p]; !expected || taken != nil {
			f.Close() // not of this session: its peer will notice
			continue
		}
		flows.all[p] = f
		if missing == len(flows.all) {
			limited, cancel := context.WithTimeout(ctx, flowTimeout)
			defer cancel()
			ctx = limited
		}
		missing--
	}
	return nil
}

func acceptFailure(ctx context.Context, err error, missing int) *netp.Failure {
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return contextFailure(ctx)
	case ctx.Err() != nil, errors.Is(err, port.ErrExpired):
		return &netp.Failure{Kind: netp.FailureTimeout, Detail: fmt.Sprintf("The initiator did not open the flows of the session in time; %d are missing. Can it reach this agent's data port?", missing)}
	}
	return &netp.Failure{Kind: netp.FailureInternal, Detail: engine.Sentence(err)}
}

// flows are the flows of a session by their place; nil until they are open.
type flows struct {
	all map[place]*port.Flow
}

func newFlows(s settings) *flows {
	f := &flows{all: make(map[place]*port.Flow)}
	for _, way := range ways(s.direction) {
		for stream := range s.streams {
			f.all[place{uint16(stream), way}] = nil
		}
	}
	return f
}

func (f *flows) close() {
	for _, one := range f.all {
		if one != nil {
			one.Close()
		}
	}
}

// stood is how many of the flows are there.
func (f *flows) stood() (n int) {
	for _, flow := range f.all {
		if flow != nil {
			n++
		}
	}
	return n
}

// ways are the directions in which a session sends data.
func ways(d netp.Direction) []uint8 {
	switch d {
	case netp.Reverse:
		return []uint8{wayReverse}
	case netp.Both:
		return []uint8{wayForward, wayReverse}
	}
	return []uint8{wayForward}
}

// failed is the result of a session that never began.
func failed(began time.Time, f *netp.Failure) netp.Result {
	return netp.Result{Started: began, Ended: time.Now(), Failure: f}
}

// contextFailure says why a context is done.
func contextFailure(ctx context.Context) *netp.Failure {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &netp.Failure{Kind: netp.FailureTimeout, Detail: "The session reached the hard end of its orders before it was over."}
	}
	return &netp.Failure{Kind: netp.FailureCancelled, Detail: "The session was cancelled."}
}
