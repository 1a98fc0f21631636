//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// The addresses of a path. Each path has namespaces of its own.
var (
	nearAddress = netip.MustParseAddr("10.20.0.1")
	farAddress  = netip.MustParseAddr("10.20.0.2")

	nearAddress6 = netip.MustParseAddr("fd20::1")
	farAddress6  = netip.MustParseAddr("fd20::2")
)

// dataPort is the port of the far agent.
const dataPort = 8620

// path is two hosts and the line between them: forward is from near to far.
type path struct {
	lab       *lab.Lab
	near, far *lab.Node
	line      *lab.Line
	from, to  netip.Addr // of near and far
}

// headers is the length of those of IP and UDP.
func (p path) headers() int {
	if p.to.Is6() {
		return headers + 20
	}
	return headers
}

func newPath(l *lab.Lab) (path, error) { return newPathAt(l, nearAddress, farAddress, 24) }

// newPath6 is one of IPv6.
func newPath6(l *lab.Lab) (path, error) { return newPathAt(l, nearAddress6, farAddress6, 64) }

func newPathAt(l *lab.Lab, from, to netip.Addr, bits int) (path, error) {
	p := path{lab: l, from: from, to: to}
	var err error
	if p.near, err = l.Node("near"); err != nil {
		return p, err
	}
	if p.far, err = l.Node("far"); err != nil {
		return p, err
	}
	p.line, err = l.Line(
		lab.End{Node: p.near, Device: "wan", Address: netip.PrefixFrom(from, bits)},
		lab.End{Node: p.far, Device: "wan", Address: netip.PrefixFrom(to, bits)})
	return p, err
}

// newRouted makes a path without a line: cables join the hosts to a router, whose devices are named after them.
func newRouted(l *lab.Lab) (p path, router *lab.Node, err error) {
	p = path{lab: l, from: nearAddress, to: farAddress}
	var failed [3]error
	p.near, failed[0] = l.Node("near")
	p.far, failed[1] = l.Node("far")
	router, failed[2] = l.Router("router")
	if err := errors.Join(failed[:]...); err != nil {
		return p, router, err
	}
	for device, end := range map[string]struct {
		node           *lab.Node
		address, other netip.Addr
	}{"near": {p.near, nearAddress, farAddress}, "far": {p.far, farAddress, nearAddress}} {
		gateway := netip.AddrFrom4([4]byte{10, 20, 0, end.address.As4()[3] ^ 1}) // the other address of the pair
		err := errors.Join(
			l.Cable(lab.End{Node: end.node, Device: "wan", Address: netip.PrefixFrom(end.address, 31)}, lab.End{Node: router, Device: device, Address: netip.PrefixFrom(gateway, 31)}),
			end.node.Route(0, netip.PrefixFrom(end.other, 32), gateway))
		if err != nil {
			return p, router, err
		}
	}
	return p, router, nil
}

// sick sets what the two directions do, and begins counting anew.
func (p path) sick(forward, backward emulator.Impair) error {
	for w, i := range map[*lab.Way]emulator.Impair{p.line.Forward: forward, p.line.Backward: backward} {
		if err := w.Set(i); err != nil {
			return err
		}
		if err := w.Reset(); err != nil {
			return err
		}
	}
	return nil
}

// counts are the counters of the two directions.
func (p path) counts() (forward, backward emulator.Counters, err error) {
	if forward, _, err = p.line.Forward.Count(); err != nil {
		return forward, backward, err
	}
	backward, _, err = p.line.Backward.Count()
	return forward, backward, err
}

// sessions numbers the sessions of this program.
var sessions atomic.Uint64

// session is one session of an engine, both ends in this process, each in its namespace.
type session struct {
	kind   netp.Kind
	params netp.Params
	// near and far are the clocks of the two ends; nil for one that is right.
	near, far *clock.Clock
	// apart is true when the ends do not know that they read one clock.
	apart bool
	// begun is called when the first packets have been sent; nil for nobody.
	begun func()
	// meter of the initiator; nil for none.
	meter engine.Meter
}

// specOf gives what a kind declares.
func specOf(kind netp.Kind) netp.KindSpec {
	for _, spec := range agent.Catalogue() {
		if spec.Kind == kind {
			return spec
		}
	}
	panic("no kind " + kind)
}

// complete gives parameters with the defaults of the kind, as the language does.
func complete(kind netp.Kind, given netp.Params) netp.Params {
	out := netp.Params{}
	for _, spec := range specOf(kind).Params {
		if spec.Default != nil {
			out[spec.Name] = spec.Default
		}
	}
	maps.Copy(out, given)
	return out
}

// run runs a session over the path.
func (p path) run(ctx context.Context, s session) (netp.Result, error) {
	return p.between(ctx, s, play)
}

// between prepares both ends of a session over the path, and has something play them.
func (p path) between(ctx context.Context, s session, play func(ctx context.Context, here, there engine.Job) (netp.Result, error)) (netp.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	data, err := port.Listen(port.Config{Where: port.Where{Netns: p.far.Path(), Address: p.to}, Port: dataPort})
	if err != nil {
		return netp.Result{}, err
	}
	defer data.Close()
	id := port.SessionID(sessions.Add(1))
	secret := make([]byte, 32)
	rand.Read(secret)
	job := engine.Job{
		Session: netp.Session{Addr: "truth", Kind: s.kind, Params: complete(s.kind, s.params)},
		ID:      id, Keys: port.DeriveKeys(secret, id), SameClock: !s.apart, Seed: uint64(id), Log: slog.New(slog.DiscardHandler),
	}
	accept, err := data.Expect(port.Expectation{ID: id, Keys: job.Keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		return netp.Result{}, err
	}
	defer accept.Close()
	here, there := job, job
	here.Peer, here.Dialer, here.Clock = data.Addr(), port.Dialer{Where: port.Where{Netns: p.near.Path(), Address: p.from}}, orRight(s.near)
	there.Accept, there.Clock = accept, orRight(s.far)
	here.Meter = s.meter
	if s.begun != nil {
		var once sync.Once
		here.Progress = func(netp.Progress) { once.Do(s.begun) }
	}
	r, err := play(ctx, here, there)
	r.Health = append(r.Health, runner.Contradictions(job.Params, r)...) // as the runner does
	return r, err
}

func orRight(c *clock.Clock) *clock.Clock {
	if c == nil {
		return new(clock.Clock)
	}
	return c
}

// play runs both ends and merges their results.
func play(ctx context.Context, here, there engine.Job) (netp.Result, error) {
	ours, theirs, err := engines(here.Kind)
	if err != nil {
		return netp.Result{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var initiator, responder netp.Result
	var both sync.WaitGroup
	both.Go(func() {
		initiator = ours.Initiate(ctx, here)
		if initiator.Failure != nil {
			cancel() // nobody comes to the responder any more
		}
	})
	both.Go(func() { responder = theirs.Respond(ctx, there) })
	both.Wait()
	initiator.Part, responder.Part = netp.Initiator, netp.Responder
	if initiator.Failure != nil {
		responder.Failure = nil // that of the initiator says why
	}
	return netp.Merge(initiator, responder), nil
}

// engines makes an engine of the kind for each end.
func engines(kind netp.Kind) (initiator, responder engine.Engine, err error) {
	find := func() engine.Engine {
		for _, e := range agent.Engines() {
			if e.Spec().Kind == kind {
				return e
			}
		}
		return nil
	}
	if initiator, responder = find(), find(); initiator == nil || responder == nil {
		return nil, nil, fmt.Errorf("no engine for %s", kind)
	}
	return initiator, responder, nil
}

// value is a figure of a result.
func value(r netp.Result, name string) (float64, error) {
	m, ok := r.Metrics[name]
	switch {
	case r.Failure != nil:
		return 0, fmt.Errorf("the session failed: %w", r.Failure)
	case !ok:
		return 0, fmt.Errorf("the session delivered no %s", name)
	case m.Ratio != nil:
		return m.Ratio.Value(), nil
	case m.Value != nil:
		return *m.Value, nil
	}
	return 0, fmt.Errorf("%s is a distribution", name)
}
