package runner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/quantity"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/store"
)

const (
	// orderTimeout bounds one order with its repetitions: a bus that loses a node may
	// be gone for half of it.
	orderTimeout = 15 * time.Second
	// maxSetUps bounds the sessions being set up at a time, so that a thousand that
	// may start at once do not wait for each other's answers on the bus.
	maxSetUps = 32
	// lateGrace is how long after the hard end parts are waited for.
	lateGrace = 5 * time.Second
	// stopGrace is how long after a cancel parts are waited for: an agent stops
	// within a second, and a busy host may stand still for two.
	stopGrace = 5 * time.Second
	// mostBehind is how far the controller may be behind with what agents have delivered
	// when it sets up another session, mostBacklog how long it waits for that, and how
	// long for parts that may be in the queue, backlogPoll how often it looks.
	mostBehind  = 2 * time.Second
	mostBacklog = 2 * time.Minute
	backlogPoll = 100 * time.Millisecond
)

// try is one attempt at a session.
type try struct {
	*execution
	task    *task
	attempt int
	members map[netp.Role]fleet.Member
	order   wire.Order // what all its orders have in common
	parts   <-chan netp.Result
	got     map[netp.Role]netp.Result
	started map[netp.Role]bool // who was told to begin
	until   time.Time          // how long parts are waited for when all goes well
	nothing <-chan netp.Role   // who will deliver nothing; nil when nobody was asked
	// failure is why the runner itself ended the attempt, nil when it did not.
	failure *netp.Failure
}

// attempt tries a session once: prepare the responder, start the initiator,
// collect the parts of both.
func (x *execution) attempt(ctx context.Context, t *task, attempt int) netp.Result {
	tr := x.newTry(t, attempt)
	if !x.mayBegin(ctx) {
		return x.without(t, attempt, x.unbegun(t))
	}
	if tr.failure = tr.clear(ctx); tr.failure == nil {
		tr.failure = tr.setUp()
	}
	if tr.failure != nil {
		<-x.setUps
		return x.without(t, attempt, tr.failure)
	}
	noted := store.Attempt{Run: x.report.Run, Session: t.session.Addr, Attempt: attempt, Agents: tr.agents(), HardEnd: tr.order.NotAfter}
	if err := x.note(ctx, noted); err != nil {
		<-x.setUps
		return x.without(t, attempt, x.unnoted(ctx, t, err))
	}
	parts, done := x.expect(noted)
	defer done()
	tr.parts = parts
	tr.failure = tr.begin(ctx)
	<-x.setUps
	tr.collect(ctx)
	t.ordered, t.loose = tr.order, tr.loose()
	return tr.explainNAT(tr.merge())
}

// mayBegin waits until few others are being set up, and until the controller has
// taken in what came before: else results would wait until they are given up for
// lost. It takes a place in setUps, unless ctx is done first.
func (x *execution) mayBegin(ctx context.Context) bool {
	select {
	case x.setUps <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	for until := time.Now().Add(mostBacklog); x.cfg.Bus.Behind() > mostBehind && time.Now().Before(until); {
		select {
		case <-time.After(backlogPoll):
		case <-ctx.Done():
			<-x.setUps
			return false
		}
	}
	return true
}

func (x *execution) newTry(t *task, attempt int) *try {
	return &try{
		execution: x, task: t, attempt: attempt,
		members: make(map[netp.Role]fleet.Member), got: make(map[netp.Role]netp.Result), started: make(map[netp.Role]bool),
	}
}

// unnoted says why an attempt is not made that could not be noted.
func (x *execution) unnoted(ctx context.Context, t *task, err error) *netp.Failure {
	if ctx.Err() != nil {
		return x.unbegun(t)
	}
	return &netp.Failure{Kind: netp.FailureInternal, Detail: fmt.Sprintf("The controller could not note the attempt in its store, so it gave no order: %v.", err)}
}

// setUp finds the agents and makes the order.
func (tr *try) setUp() *netp.Failure {
	for role, id := range tr.task.roles() {
		m, ok := tr.fleet.Find(id)
		if !ok {
			return lost(id, "is not connected")
		}
		m.Agent.NAT = m.Agent.NAT || tr.plan.NAT(id)
		tr.members[role] = m
	}
	var random [48]byte
	if _, err := io.ReadFull(tr.cfg.Random, random[:]); err != nil {
		return &netp.Failure{Kind: netp.FailureInternal, Detail: fmt.Sprintf("The controller has no random numbers for the session's keys: %v.", err)}
	}
	now := tr.cfg.Now()
	source, dest := tr.members[netp.Initiator].Agent.Host, tr.members[netp.Responder].Agent.Host
	tr.order = wire.Order{
		Epoch: tr.cfg.Epoch, NotBefore: now, NotAfter: now.Add(tr.task.session.Duration),
		Run: tr.report.Run, Attempt: tr.attempt, Session: tr.task.session,
		DataID:    binary.BigEndian.Uint64(random[:8]),
		Seed:      binary.BigEndian.Uint64(random[8:16]),
		Secret:    random[16:],
		SameClock: source != "" && source == dest,
	}
	tr.until = tr.order.NotAfter.Add(lateGrace)
	return nil
}

func (tr *try) agents() map[netp.Role]netp.AgentID {
	out := make(map[netp.Role]netp.AgentID)
	for role, m := range tr.members {
		out[role] = m.Agent.Name
	}
	return out
}

// begin opens the responder, if there is one, and starts the initiator.
func (tr *try) begin(ctx context.Context) *netp.Failure {
	tr.state(tr.task, Preparing, tr.attempt)
	if tr.inward() {
		failure := tr.beginInward(ctx)
		if failure == nil {
			tr.state(tr.task, Running, tr.attempt)
		}
		return failure
	}
	peer := ""
	if _, ok := tr.members[netp.Responder]; ok {
		reply, failure := tr.tell(ctx, netp.Responder, wire.Prepare, "")
		if failure != nil {
			return failure
		}
		peer = reply.DataPort
	}
	if _, failure := tr.tell(ctx, netp.Initiator, wire.Start, peer); failure != nil {
		return failure
	}
	tr.state(tr.task, Running, tr.attempt)
	return nil
}

// tell gives an order to the agent of a role.
func (tr *try) tell(ctx context.Context, role netp.Role, what wire.OrderType, peer string) (wire.Reply, *netp.Failure) {
	m := tr.members[role]
	o := addressed(tr.order, what, m)
	o.Peer = peer
	ctx, cancel := context.WithTimeout(ctx, orderTimeout)
	defer cancel()
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	go func() { // ends with ctx
		select {
		case <-m.Gone:
			leave(errGone)
		case <-ctx.Done():
		}
	}()
	tr.started[role] = tr.started[role] || what != wire.Cancel
	reply, err := tr.link.Order(ctx, o)
	switch {
	case err != nil && errors.Is(context.Cause(ctx), errGone):
		return reply, tr.lostMember(role)
	case errors.Is(err, context.Canceled):
		return reply, cancelled()
	case errors.Is(err, wire.ErrAbsent):
		tr.started[role] = false
		return reply, lost(m.Agent.Name, "has lost its connection to the bus")
	case err != nil:
		return reply, lost(m.Agent.Name, fmt.Sprintf("did not answer within %s (%v)", quantity.Duration(orderTimeout), err))
	case !reply.Accepted:
		tr.started[role] = false
		return reply, reply.Failure
	}
	return reply, nil
}

// addressed is an order as one agent gets it.
func addressed(o wire.Order, what wire.OrderType, to fleet.Member) wire.Order {
	o.Type, o.Version, o.Audience, o.Incarnation = what, to.Version, to.Agent.Name, to.Incarnation
	if what != wire.Prepare && what != wire.Start {
		o.Secret = nil
	}
	return o
}

// errGone ends the wait for an agent's answer.
var errGone = errors.New("the agent is gone")

// lostMember says that the agent of a role is gone, and how.
func (tr *try) lostMember(role netp.Role) *netp.Failure {
	m := tr.members[role]
	if now, ok := tr.fleet.Find(m.Agent.Name); ok && now.Incarnation != m.Incarnation {
		return lost(m.Agent.Name, "was started again during the session")
	}
	return lost(m.Agent.Name, fmt.Sprintf("left during the session: at %s it had been stopped, or its connection had not come back within %s",
		tr.cfg.Now().UTC().Format("15:04:05 MST"), quantity.Duration(tr.cfg.Lease)))
}

func lost(id netp.AgentID, what string) *netp.Failure {
	return &netp.Failure{Kind: netp.FailureAgentLost, Agent: id,
		Detail: fmt.Sprintf("Agent %s %s. Check on its host: systemctl status netp-agent.", id, what)}
}

func cancelled() *netp.Failure {
	return &netp.Failure{Kind: netp.FailureCancelled, Detail: "The run was stopped during the session."}
}

// collect waits for the parts of those who began: past the hard end when all goes
// well, for as long as stopping takes when it does not.
func (tr *try) collect(ctx context.Context) {
	limit := time.NewTimer(tr.until.Sub(tr.cfg.Now()))
	defer limit.Stop()
	if tr.failure != nil {
		tr.cancel(ctx)
		limit.Reset(stopGrace)
	}
	var over time.Time // when the parts should have been there
	stopping := ctx.Done()
	gone := map[netp.Role]<-chan struct{}{}
	for role, m := range tr.members {
		gone[role] = m.Gone
	}
	for tr.missing() {
		select {
		case p := <-tr.parts:
			tr.got[p.Part] = p
			tr.state(tr.task, Collecting, tr.attempt)
			if !p.Completed && tr.missing() { // the other end has nothing to wait for
				tr.cancel(ctx)
				limit.Reset(tr.cfg.Lease + stopGrace) // long enough to see whether its agent is lost
			}
		case <-gone[netp.Initiator]:
			gone[netp.Initiator] = nil
			tr.left(ctx, netp.Initiator, limit)
		case <-gone[netp.Responder]:
			gone[netp.Responder] = nil
			tr.left(ctx, netp.Responder, limit)
		case role := <-tr.nothing:
			if _, ok := tr.got[role]; !ok { // unless it is on its way this very moment, the attempt is over
				tr.cancel(ctx)
				limit.Reset(lateGrace)
			}
		case <-stopping:
			stopping = nil
			tr.failure = cancelled()
			tr.cancel(ctx)
			limit.Reset(stopGrace)
		case <-limit.C:
			if over.IsZero() {
				over = time.Now()
			}
			if stopping == nil || !tr.backlog(over) {
				return
			}
			limit.Reset(backlogPoll)
		}
	}
}

// backlog says whether a part that came by a time may be in the queue still.
func (tr *try) backlog(by time.Time) bool {
	behind := tr.cfg.Bus.Behind()
	return behind > 0 && time.Since(by) < min(behind, mostBacklog)
}

// left notes that the agent of a role is gone. If its part is missing it may
// still be on its way, as the other's is.
func (tr *try) left(ctx context.Context, role netp.Role, limit *time.Timer) {
	if _, ok := tr.got[role]; ok || !tr.started[role] {
		return
	}
	if tr.failure == nil {
		tr.failure = tr.lostMember(role)
	}
	tr.cancel(ctx)
	limit.Reset(stopGrace)
}

// missing says whether a part is still to come.
func (tr *try) missing() bool {
	for role, began := range tr.started {
		if _, ok := tr.got[role]; began && !ok {
			return true
		}
	}
	return false
}

// cancel tells those who began and have not delivered to stop, at the same time,
// without waiting: that is what collect does.
func (tr *try) cancel(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for role, began := range tr.started {
		if _, ok := tr.got[role]; !began || ok {
			continue
		}
		m := tr.members[role]
		if m.Incarnation == "" { // nobody has given an order to it yet
			m, _ = tr.fleet.Find(m.Agent.Name)
		}
		if m.Incarnation == "" || !tr.cfg.Now().Before(tr.order.NotAfter) {
			continue
		}
		o := addressed(tr.order, wire.Cancel, m)
		go func() { // ends by itself within orderTimeout
			ctx, done := context.WithTimeout(ctx, orderTimeout)
			defer done()
			if _, err := tr.link.Order(ctx, o); err != nil {
				tr.cfg.Logger.Warn("cancel", "session", o.Session.Addr, "agent", o.Audience, "error", err)
			}
		}()
	}
}

// merge joins what came. A part that did not come makes the result a failure, and
// what the runner knows goes before what an end concluded from being alone.
func (tr *try) merge() netp.Result {
	var parts []netp.Result
	for _, role := range []netp.Role{netp.Initiator, netp.Responder} {
		if p, ok := tr.got[role]; ok {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		return tr.without(tr.task, tr.attempt, tr.whyMissing())
	}
	result := netp.Merge(parts...)
	for _, p := range parts { // an end that failed by itself explains what the other one concluded from that
		if p.Failure != nil && !explained(p.Failure.Kind) && explained(result.Failure.Kind) {
			result.Failure = p.Failure
		}
	}
	result.Health = append(result.Health, Contradictions(tr.task.test.Params, result)...)
	missing := len(parts) < len(tr.members) // also an end that never began
	if missing || tr.failure != nil && !result.Completed {
		result.Completed = false
		result.Failure = tr.decisive(result.Failure)
	}
	if missing && result.Failure == nil {
		result.Failure = tr.whyMissing()
	}
	if f := result.Failure; f != nil && (f.Kind == netp.FailureAgentLost || f.Kind == netp.FailureController) {
		told := *f
		told.Detail += tr.kept(result)
		result.Failure = &told
	}
	return result
}

// kept says what there is of a session that was cut short by no fault of the path.
func (tr *try) kept(r netp.Result) string {
	var packets uint64
	for _, m := range tr.task.spec.Metrics(tr.task.test.Params) {
		if ratio := r.Metrics[m.Name].Ratio; ratio != nil && m.Basis == netp.PerPacket {
			packets = max(packets, ratio.Trials)
		}
	}
	switch {
	case packets > 0:
		return fmt.Sprintf(" %s packets were measured before; they are kept in the record, and no assertion was judged.", quantity.Count(packets))
	case len(r.Metrics) > 0:
		return " What was measured before is kept in the record, and no assertion was judged."
	}
	return ""
}

// decisive chooses between what the runner knows and what the parts say: a
// finding about the path or the host stays unless the run was stopped or an agent
// was lost, which explain it.
func (tr *try) decisive(ofParts *netp.Failure) *netp.Failure {
	if tr.failure == nil || ofParts != nil && !explained(ofParts.Kind) {
		return ofParts
	}
	return tr.failure
}

// explained lists what a missing or stopped peer looks like to the other end.
func explained(k netp.FailureKind) bool {
	return k == netp.FailureCancelled || k == netp.FailureInterrupted || k == netp.FailureTimeout || k == netp.FailureUnreachable
}

// whyMissing is the failure of an attempt whose parts did not all come.
func (tr *try) whyMissing() *netp.Failure {
	if tr.failure != nil {
		return tr.failure
	}
	for role, began := range tr.started {
		if _, ok := tr.got[role]; began && !ok {
			id := tr.members[role].Agent.Name
			return &netp.Failure{Kind: netp.FailureTimeout, Agent: id, Detail: fmt.Sprintf(
				"Agent %s is connected but delivered no result within %s of the session's hard end. Its log says why; the result is kept there.", id, quantity.Duration(lateGrace))}
		}
	}
	return &netp.Failure{Kind: netp.FailureInternal, Detail: "The session ended without a result and without a reason."}
}
