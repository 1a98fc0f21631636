package agent

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/agent/wire"
)

// session is one try at a session while it runs here.
type session struct {
	order  wire.Order
	engine engine.Engine
	job    engine.Job
	meter  *meter
	ctx    context.Context
	stop   context.CancelCauseFunc
	// visit and invitation are the two sides of a path that the responder opens; at
	// most one is there.
	visit      *port.Visit
	invitation *port.Invitation
}

// begin admits a session and starts it. Every no has its reason.
func (d *daemon) begin(o wire.Order) wire.Reply {
	e, ok := d.engineFor(o.Session.Kind)
	if !ok {
		return d.refuse(netp.FailureUnsupported, "Agent %s runs no %q sessions. Its version may be older than the controller's.", d.cfg.Name, o.Session.Kind)
	}
	if f := d.admit(o, e.Spec()); f != nil {
		return wire.Reply{Failure: f}
	}
	s, dataPort, failure := d.prepare(o, e)
	if failure == nil {
		failure = d.enter(s)
	}
	if failure != nil {
		s.close()
		return wire.Reply{Failure: failure}
	}
	go d.runSession(s)
	return wire.Reply{Accepted: true, DataPort: dataPort}
}

// prepare makes the session's job: the open data port for the end that waits, the
// dialer and the peer for the one that opens the path.
func (d *daemon) prepare(o wire.Order, e engine.Engine) (s *session, dataPort string, f *netp.Failure) {
	d.mu.Lock()
	left := o.NotAfter.Sub(d.now())
	d.mu.Unlock()
	s = &session{order: o, engine: e, meter: newMeter(d.cfg.Limits, d.day, time.Now().Add(left))}
	id := port.SessionID(o.DataID)
	s.job = engine.Job{
		Session: o.Session, ID: id, Keys: port.DeriveKeys(o.Secret, id),
		Clock: d.cfg.Clock, SameClock: o.SameClock, Meter: s.meter, Seed: o.Seed,
		Progress: d.progress(o),
		Log:      d.cfg.Logger.With("session", o.Session.Addr),
	}
	s.ctx, s.stop = context.WithCancelCause(d.life)
	until := time.Now().Add(left)
	var address netip.AddrPort
	var err error
	if o.Type == wire.Prepare {
		address, err = d.prepareResponder(s, until)
	} else {
		address, err = d.prepareInitiator(s, until)
	}
	if err != nil {
		return s, "", d.refuse(netp.FailureUnsupported, "Agent %s cannot open its data port for the session: %v.", d.cfg.Name, err).Failure
	}
	if address.IsValid() {
		dataPort = address.String()
	}
	return s, dataPort, nil
}

// prepareResponder opens the data port for the initiator, and gives its address; or
// it makes ready to open the path itself.
func (d *daemon) prepareResponder(s *session, until time.Time) (netip.AddrPort, error) {
	o, ip := s.order, s.order.Session.Params.Int("ip")
	e := port.Expectation{ID: s.job.ID, Keys: s.job.Keys, Peers: d.cfg.Reach.peers(), Until: until}
	if o.Inward {
		peer, err := peerOf(o)
		if err != nil {
			return netip.AddrPort{}, err
		}
		where, err := d.ports.where(o.Session.Path.DestInterface, ip)
		s.visit = port.NewVisit(port.Dialer{Where: where}, peer, e)
		s.job.Accept = s.visit.Session
		return netip.AddrPort{}, err
	}
	at, address, err := d.ports.find(o.Session.Path.DestInterface, ip)
	if err == nil {
		s.job.Accept, err = at.Expect(e)
	}
	return address, err
}

// prepareInitiator makes ready to dial; or it opens the data port for a responder
// that opens the path, and gives its address.
func (d *daemon) prepareInitiator(s *session, until time.Time) (netip.AddrPort, error) {
	o, ip := s.order, s.order.Session.Params.Int("ip")
	where, err := d.ports.where(o.Session.Path.SourceInterface, ip)
	if o.Session.Path.Endpoint && where.Address.IsLoopback() {
		where.Address = netip.Addr{} // from there nothing beyond this host is reached
	}
	s.job.Dialer = port.Dialer{Where: where}
	if err != nil || o.Session.Path.Endpoint {
		return netip.AddrPort{}, err
	}
	if !o.Inward {
		s.job.Peer, err = peerOf(o)
		return netip.AddrPort{}, err
	}
	at, address, err := d.ports.find(o.Session.Path.SourceInterface, ip)
	if err == nil {
		s.invitation, err = at.Invite(port.Expectation{ID: s.job.ID, Keys: s.job.Keys, Peers: d.cfg.Reach.peers(), Until: until})
	}
	s.job.Dialer.Inward, s.job.Peer = s.invitation, address // nobody can dial the peer's own
	return address, err
}

func peerOf(o wire.Order) (netip.AddrPort, error) {
	peer, err := netip.ParseAddrPort(o.Peer)
	if err != nil {
		err = fmt.Errorf("the peer's data port %q: %w", o.Peer, err)
	}
	return peer, err
}

// enter puts the session among those that run, unless a cancel came first, the
// agent is leaving, or it has as many as it may.
func (d *daemon) enter(s *session) *netp.Failure {
	key := keyOf(s.order)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.orders[orderKey{key, s.order.Epoch, wire.Cancel}] != nil:
		return d.refuse(netp.FailureCancelled, "The session was cancelled before it started.").Failure
	case d.draining:
		return d.refuse(netp.FailureRefused, "Agent %s is being stopped and takes no new sessions.", d.cfg.Name).Failure
	case d.cfg.Limits.Sessions > 0 && len(d.sessions) >= d.cfg.Limits.Sessions:
		return d.refuse(netp.FailureRefused, "Agent %s runs at most %d sessions at a time, and has as many.", d.cfg.Name, d.cfg.Limits.Sessions).Failure
	case d.sessions[key] != nil:
		return d.refuse(netp.FailureRefused, "Agent %s runs the session already, in the other role.", d.cfg.Name).Failure
	}
	d.sessions[key] = s
	d.running.Add(1)
	return nil
}

func (s *session) close() {
	if s.job.Accept != nil {
		s.job.Accept.Close()
	}
	if s.invitation != nil {
		s.invitation.Close()
	}
	s.stop(nil)
}

// stopGrace is how long an engine may take to return after its context ended. One
// that takes longer is broken: its session is given up, its meter is closed.
const stopGrace = 5 * time.Second

// runSession runs the engine to its end and puts the result into the spool.
func (d *daemon) runSession(s *session) {
	defer d.running.Done()
	o := s.order
	ctx, cancel := context.WithTimeoutCause(s.ctx, time.Until(s.meter.end), d.hardEnd())
	defer cancel()
	late, stop := giveUp(ctx)
	defer stop()
	results := make(chan netp.Result, 1) // room for the result of an engine that was given up
	go func() { results <- d.play(ctx, s) }()
	if s.visit != nil {
		visited := make(chan struct{})
		go func() {
			defer close(visited)
			d.openPath(ctx, s)
		}()
		defer func() { cancel(); <-visited }()
	}
	var result netp.Result
	select {
	case result = <-results:
	case <-late:
		result.Failure = d.refuse(netp.FailureInternal, "The %s engine of agent %s did not stop when told to.", o.Session.Kind, d.cfg.Name).Failure
		d.cfg.Logger.Error("engine did not stop", "session", o.Session.Addr, "kind", o.Session.Kind)
	}
	s.meter.close()
	d.complete(ctx, &result, o)
	s.close()
	d.mu.Lock()
	delete(d.sessions, keyOf(o)) // before the controller can know that there is room
	d.mu.Unlock()
	d.deliverLater(result)
	d.spool.saveUsage(d.day.usage(time.Now()))
}

// openPath opens the path of a session from the inside. What cannot be opened ends
// the session.
func (d *daemon) openPath(ctx context.Context, s *session) {
	err := s.visit.Run(ctx)
	if f := engine.Unreached(err); f != nil {
		f.Kind, f.Agent = netp.FailureUnreachable, d.cfg.Name
		f.Detail = fmt.Sprintf("Agent %s is behind NAT and opens the path itself, but could not. %s", d.cfg.Name, f.Detail)
		s.stop(f)
	} else if err != nil && ctx.Err() == nil {
		s.stop(&netp.Failure{Kind: netp.FailureInternal, Agent: d.cfg.Name, Detail: fmt.Sprintf("Agent %s could not open the path: %v.", d.cfg.Name, err)})
	}
}

// giveUp gives a channel that is closed stopGrace after ctx is done, unless stop
// was called by then.
func giveUp(ctx context.Context) (late <-chan struct{}, stop func() bool) {
	closing := make(chan struct{})
	stop = context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, func() { close(closing) }) })
	return closing, stop
}

func (d *daemon) hardEnd() *netp.Failure {
	return &netp.Failure{Kind: netp.FailureTimeout, Agent: d.cfg.Name, Detail: "The session had not ended at its hard end and was stopped."}
}

// play runs the engine in its role. A panic of an engine is its session's failure
// and nobody else's.
func (d *daemon) play(ctx context.Context, s *session) (result netp.Result) {
	started := time.Now()
	defer func() {
		if p := recover(); p != nil {
			d.cfg.Logger.Error("panic in an engine", "session", s.order.Session.Addr, "panic", p, "stack", string(debug.Stack()))
			result = netp.Result{Started: started, Ended: time.Now(), Failure: &netp.Failure{
				Kind: netp.FailureInternal, Agent: d.cfg.Name,
				Detail: fmt.Sprintf("The %s engine of agent %s met a fault of its own: %v. The agent's log has the details.", s.order.Session.Kind, d.cfg.Name, p)}}
		}
	}()
	if roleOf(s.order) == netp.Responder {
		return s.engine.Respond(ctx, s.job)
	}
	return s.engine.Initiate(ctx, s.job)
}

// complete names the result, and says why it is not complete if the engine did
// not: the reason its context ended goes before what the engine made of that.
func (d *daemon) complete(ctx context.Context, r *netp.Result, o wire.Order) {
	r.Run, r.Session, r.Attempt = o.Run, o.Session.Addr, o.Attempt
	r.Part, r.Agent = roleOf(o), d.cfg.Name
	if r.Completed && r.Failure == nil {
		return
	}
	r.Completed = false
	var cause *netp.Failure
	if errors.As(context.Cause(ctx), &cause) && (r.Failure == nil || followsFromEnd(r.Failure.Kind)) {
		r.Failure = cause
	}
	if r.Failure == nil {
		r.Failure = &netp.Failure{Kind: netp.FailureInternal, Detail: "The engine ended early and gave no reason."}
	}
	if r.Failure.Agent == "" {
		r.Failure.Agent = d.cfg.Name
	}
}

// followsFromEnd lists what an engine reports when its context has ended.
func followsFromEnd(k netp.FailureKind) bool {
	return k == netp.FailureCancelled || k == netp.FailureTimeout || k == netp.FailureInterrupted
}

// progressEvery bounds the signs of life of one session.
const progressEvery = 200 * time.Millisecond

// progress gives the function by which a session's engine reports. It never
// blocks; what comes too soon is dropped.
func (d *daemon) progress(o wire.Order) func(netp.Progress) {
	next := make(chan time.Time, 1) // when the next one may go; empty while somebody reports
	next <- time.Time{}
	return func(p netp.Progress) {
		select {
		case after := <-next:
			now := time.Now()
			if now.Before(after) {
				next <- after
				return
			}
			p.Run, p.Session, p.Agent = o.Run, o.Session.Addr, d.cfg.Name
			d.link.Progress(p)
			next <- now.Add(progressEvery)
		default: // another goroutine of the engine is reporting
		}
	}
}
