package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/store"
)

// What a controller that was killed leaves behind, and what the next one does:
//
//	session                     what becomes of it
//	has its record              it is left as it is, and counts in the report
//	an attempt was begun,       the parts are judged as if nothing had been
//	both parts came or come
//	an attempt was begun,       when its agent says so, or at the hard end, another
//	a part will not come        one is made, under a new number: parts of two
//	                            attempts are never put together. After the last
//	                            attempt or the window: a record that says so
//	no attempt was begun        it runs as if nothing had been
//
// While an attempt may still be running its session keeps its claims.

// remains is what is left of an interrupted run.
type remains struct {
	records []netp.Record
	// last are the last attempts at sessions without a record, by session.
	last map[string]store.Attempt
	held map[string]*waiter // the claims of those that may still be running
	by   *claimant
	// here says that this controller began the run, and could not write to its store.
	here bool
}

// cause says why the run was interrupted.
func (r *remains) cause() string {
	if r.here {
		return "the controller could not write to its store"
	}
	return "the controller was stopped"
}

// lookBack finds the interrupted runs in the store; when it is called again, those that it
// has not found yet.
func (r *Runner) lookBack(ctx context.Context) error {
	if r.cfg.Ephemeral {
		return nil
	}
	unfinished, err := r.cfg.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, u := range unfinished {
		r.mu.Lock()
		_, known := r.interrupted[u.Run.Report.Run]
		r.mu.Unlock()
		if known {
			continue
		}
		left, err := r.examine(ctx, u)
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.interrupted[u.Run.Report.Run] = left
		r.mu.Unlock()
	}
	return nil
}

// examine finds what is left of a run, and takes the claims of what may be running.
func (r *Runner) examine(ctx context.Context, u store.Unfinished) (*remains, error) {
	run := u.Run.Report.Run
	left := &remains{last: make(map[string]store.Attempt), held: make(map[string]*waiter)}
	var err error
	if left.records, err = r.cfg.Store.Records(ctx, run); err != nil {
		return nil, err
	}
	attempts, err := r.cfg.Store.Attempts(ctx, run)
	if err != nil {
		return nil, err
	}
	tries := make(map[tryOf]map[netp.Role]netp.AgentID, len(attempts))
	for _, a := range attempts { // by number, so that the last one stays
		tries[tryOf{a.Session, a.Attempt}] = a.Agents
		left.last[a.Session] = a
	}
	for _, record := range left.records {
		delete(left.last, record.Session.Addr)
	}
	r.mu.Lock()
	r.begunTries[run] = tries
	r.mu.Unlock()
	left.by = r.queue.join(claimantName(u.Run.Report.Suite, run), nil)
	for _, s := range u.Plan.Sessions {
		a, begun := left.last[s.Addr]
		if !begun || a.Over || r.cfg.Now().After(a.HardEnd.Add(lateGrace)) {
			continue
		}
		w := waiterFor(left.by, run, &task{planned: s, session: netp.Session{Addr: s.Addr}, scheduled: u.Run.Terms.Start.Add(s.Start)})
		if err := r.queue.hold(w); err != nil { // what holds them already keeps others away
			r.cfg.Logger.Error("sessions that exclude each other were begun", "run", run, "error", err)
			continue
		}
		left.held[s.Addr] = w
	}
	return left, nil
}

// Recover brings a run to its end that a controller before this one began: it keeps
// its id, its records and its terms. The events are those of Execute, with those of
// the records that are there already first. Errors are those of Execute.
func (r *Runner) Recover(ctx context.Context, u store.Unfinished, events func(Event)) (netp.Report, error) {
	if err := r.await(ctx); err != nil {
		return netp.Report{}, err
	}
	before := u.Run
	x, err := r.newExecution(Work{
		Plan: u.Plan, Run: before.Report.Run, Trigger: before.Trigger, Slot: before.Slot,
		Start: before.Terms.Start, Timed: before.Terms.Timed, Window: before.Terms.Window,
	}, events)
	if err != nil {
		return netp.Report{}, err
	}
	x.terms.Missed = before.Terms.Missed
	x.report.Started, x.report.Cancelled = before.Report.Started, before.Report.Cancelled
	if err := x.open(); err != nil {
		return netp.Report{}, err
	}
	if x.remains, err = r.remainsOf(ctx, u); err != nil {
		x.close(err)
		return netp.Report{}, err
	}
	report, err := x.finish(ctx)
	r.queue.leave(x.remains.by)
	return report, err
}

// remainsOf gives what is left of a run, found by Serve or now.
func (r *Runner) remainsOf(ctx context.Context, u store.Unfinished) (*remains, error) {
	run := u.Run.Report.Run
	r.mu.Lock()
	left := r.interrupted[run]
	delete(r.interrupted, run)
	r.mu.Unlock()
	if left != nil {
		return left, nil
	}
	left, err := r.examine(ctx, u)
	if err == nil {
		left.here = true
	}
	return left, err
}

// resume takes up what is left of a recovered run.
func (x *execution) resume() {
	if x.remains == nil {
		return
	}
	for _, r := range x.remains.records {
		if t := x.byAddr[r.Session.Addr]; t != nil {
			t.began = true
			x.left--
		}
		x.account(SessionDone{Record: r, Before: true})
	}
	for _, t := range x.tasks {
		a, begun := x.remains.last[t.session.Addr]
		switch {
		case !begun:
			continue
		case a.Over:
			t.attempts, t.last = a.Attempt, x.without(t, a.Attempt, x.controllerLost(a.Attempt))
			continue
		}
		t.began, t.claimed = true, x.remains.held[t.session.Addr]
		x.left--
		x.running++
		go x.settle(x.life, t, a)
	}
}

// settle waits for the parts of an attempt that an earlier controller began, as
// long as they may come, and says what becomes of the session.
func (x *execution) settle(ctx context.Context, t *task, a store.Attempt) {
	tr := x.takeOver(t, a)
	parts, done := x.expect(a)
	defer done()
	tr.parts = parts
	stored, err := x.cfg.Store.Parts(context.WithoutCancel(ctx), a.Run, a.Session)
	if err != nil {
		x.cfg.Logger.Error("results that came before cannot be read", "session", a.Session, "error", err)
	}
	for _, p := range stored {
		if p.Attempt == a.Attempt && a.Agents[p.Part] == p.Agent {
			x.deliver(p)
		}
	}
	x.state(t, Running, a.Attempt)
	nothing := make(chan netp.Role, len(a.Agents))
	tr.nothing = nothing
	asked, stop := context.WithCancel(ctx)
	asking := tr.query(asked, nothing)
	tr.collect(ctx)
	stop()
	asking.Wait()
	t.ordered, t.loose = tr.order, tr.loose()
	if tr.missing() && tr.failure == nil {
		tr.failure = x.controllerLost(a.Attempt)
	}
	o := outcome{task: t, attempts: a.Attempt, result: tr.merge()}
	f := o.result.Failure
	if f != nil && f.Kind == netp.FailureCancelled && ctx.Err() == nil { // the one before stopped it, but nobody the run
		f = x.controllerLost(a.Attempt)
		o.result.Failure = f
	}
	if o.again = f != nil && f.Retryable() && a.Attempt < maxAttempts && ctx.Err() == nil; o.again {
		pause(ctx, t.loose.Sub(x.cfg.Now()))
		x.conclude(ctx, a)
	}
	x.ended <- o
}

// conclude notes that an attempt is over before its claims are given back: else the
// next controller would hold them against those who have them then.
func (x *execution) conclude(ctx context.Context, a store.Attempt) {
	a.Over = true
	if err := x.note(ctx, a); err != nil {
		x.cfg.Logger.Error("the end of an attempt cannot be noted", "session", a.Session, "error", err)
	}
}

func (x *execution) controllerLost(attempt int) *netp.Failure {
	detail := "The controller was stopped during the session (attempt %d), and not all that its agents measured came to the next one."
	if x.remains.here {
		detail = "The controller could not write to its store during the session (attempt %d), and not all that its agents measured came to it afterwards."
	}
	return &netp.Failure{Kind: netp.FailureController, Detail: fmt.Sprintf(detail, attempt)}
}

// takeOver makes the try of an attempt that is under way. Its agents may come back
// at any time, and may have been started again.
func (x *execution) takeOver(t *task, a store.Attempt) *try {
	tr := x.newTry(t, a.Attempt)
	for role, id := range a.Agents {
		tr.members[role], tr.started[role] = fleet.Member{Agent: netp.Agent{Name: id}}, true
	}
	tr.order.Epoch, tr.order.NotBefore, tr.order.NotAfter = x.cfg.Epoch, x.cfg.Now(), a.HardEnd
	tr.order.Run, tr.order.Attempt, tr.order.Session = a.Run, a.Attempt, t.session
	tr.until = later(a.HardEnd, x.cfg.Now().Add(x.cfg.Lease)).Add(lateGrace)
	return tr
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
