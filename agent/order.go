package agent

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

// sessionKey names one try at a session at this agent.
type sessionKey struct {
	run     string
	session string
	attempt int
}

// orderKey names an order: what is done once however often it is heard.
type orderKey struct {
	sessionKey
	epoch uint64
	order wire.OrderType
}

// answer is what an order was answered; reply is set when done is closed.
type answer struct {
	done  chan struct{}
	reply wire.Reply
	until time.Time // by the controller's clock: later the order is invalid anyway
}

// clockSlack is how far the clocks of controller and agent may be apart beyond
// what the last welcome told.
const clockSlack = 2 * time.Second

// order carries out a signed order, or says why not. The same order again gets
// the same reply and does nothing.
func (d *daemon) order(o wire.Order) wire.Reply {
	select { // the first order may overtake the welcome that says what time it is
	case <-d.welcomed:
	case <-time.After(helloTimeout):
	}
	if err := d.valid(o); err != nil {
		d.cfg.Logger.Warn("order refused", "order", o.Type, "session", o.Session.Addr, "reason", err)
		kind := netp.FailureRefused
		if errors.Is(err, errUnheard) {
			kind = netp.FailureAgentLost
		}
		return d.refuse(kind, "Agent %s refused the order: %v.", d.cfg.Name, err)
	}
	if o.Type == wire.Query { // the answer changes
		return d.carryOut(o)
	}
	a, first := d.remember(o)
	if !first {
		<-a.done // carrying out an order is bounded: it opens sockets, it waits for nobody
		return a.reply
	}
	a.reply = d.carryOut(o)
	close(a.done)
	if !a.reply.Accepted {
		d.cfg.Logger.Warn("order refused", "order", o.Type, "session", o.Session.Addr, "reason", a.reply.Failure.Detail)
	}
	return a.reply
}

func (d *daemon) carryOut(o wire.Order) (reply wire.Reply) {
	defer func() { // a bug that one order meets must not end the other sessions
		if p := recover(); p != nil {
			d.cfg.Logger.Error("panic in an order", "panic", p, "stack", string(debug.Stack()))
			reply = d.refuse(netp.FailureInternal, "Agent %s met a fault of its own: %v. Its log has the details.", d.cfg.Name, p)
		}
	}()
	switch o.Type {
	case wire.Prepare, wire.Start:
		return d.begin(o)
	case wire.Cancel:
		d.cancel(o)
		return wire.Reply{Accepted: true}
	case wire.Query:
		return wire.Reply{Accepted: true, Nothing: !d.owes(o)}
	}
	return d.refuse(netp.FailureUnsupported, "Agent %s knows no order %q.", d.cfg.Name, o.Type)
}

// valid checks signature-independent things: addressee, epoch, time, lease.
func (d *daemon) valid(o wire.Order) error {
	d.mu.Lock()
	now := d.now()
	d.mu.Unlock()
	bounds := wire.Bounds{Audience: d.cfg.Name, Incarnation: d.incarnation, Epoch: d.spool.highestEpoch(), Now: now, Slack: clockSlack}
	if err := bounds.Check(o); err != nil {
		return err
	}
	if lease := d.renewed(); time.Now().After(lease) && o.Type != wire.Cancel {
		return fmt.Errorf("its own lease ran out at %s: %w", lease.UTC().Format(time.RFC3339), errUnheard)
	}
	return d.spool.raiseEpoch(o.Epoch)
}

// errUnheard is why an agent whose lease ran out begins nothing: for the controller
// it is not there.
var errUnheard = errors.New("it hears the controller, but is not heard")

// renewed gives the end of the lease. If that is past, as after a restart of the
// controller, it announces the agent and waits for the answer.
func (d *daemon) renewed() time.Time {
	d.mu.Lock()
	lease, answer := d.lease, d.answer
	d.mu.Unlock()
	if !time.Now().After(lease) {
		return lease
	}
	d.announceSoon()
	select {
	case <-answer:
	case <-time.After(2 * helloTimeout):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lease
}

// remember notes an order and says whether it is heard for the first time.
func (d *daemon) remember(o wire.Order) (*answer, bool) {
	key := orderKey{keyOf(o), o.Epoch, o.Type}
	d.mu.Lock()
	defer d.mu.Unlock()
	if a := d.orders[key]; a != nil {
		return a, false
	}
	a := &answer{done: make(chan struct{}), until: o.NotAfter}
	d.orders[key] = a
	return a, true
}

func keyOf(o wire.Order) sessionKey {
	return sessionKey{run: o.Run, session: o.Session.Addr, attempt: o.Attempt}
}

// forget drops orders that are invalid by their date. d.mu is held.
func (d *daemon) forget() {
	now := d.now()
	for key, a := range d.orders {
		if now.After(a.until.Add(clockSlack)) {
			delete(d.orders, key)
		}
	}
}

// cancel ends a session, or keeps one from starting whose order comes later. A
// controller ends what the one before it began, too.
func (d *daemon) cancel(o wire.Order) {
	d.mu.Lock()
	s := d.sessions[keyOf(o)]
	d.mu.Unlock()
	if s != nil {
		s.stop(&netp.Failure{Kind: netp.FailureCancelled, Detail: "The controller cancelled the session.", Agent: d.cfg.Name})
	}
}

// owes says whether a result of the session is still to come from here.
func (d *daemon) owes(o wire.Order) bool {
	d.mu.Lock()
	s := d.sessions[keyOf(o)]
	d.mu.Unlock()
	return s != nil || d.spool.keeps(o.Run, o.Session.Addr, o.Attempt)
}

// refuse is the reply that says no.
func (d *daemon) refuse(kind netp.FailureKind, format string, args ...any) wire.Reply {
	return wire.Reply{Failure: &netp.Failure{Kind: kind, Detail: fmt.Sprintf(format, args...), Agent: d.cfg.Name}}
}
