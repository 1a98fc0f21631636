package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/quantity"
	"github.com/netpupper/netp/runner/store"
)

// execution is one run while it runs. Only the goroutine of its run method touches
// what follows tell; the sessions' goroutines send to the channels.
type execution struct {
	*Runner
	plan    *plan.Plan
	trigger store.Trigger
	slot    *store.Slot
	terms   store.Terms
	tell    func(Event)

	report   netp.Report
	tasks    []*task // in planned order
	byAddr   map[string]*task
	entered  int       // of tasks, in order: those whose time had come
	claimant *claimant // the run in the queue
	remains  *remains  // of a run that is recovered; nil for others

	life      context.Context // of the sessions
	stop      context.CancelCauseFunc
	left      int   // sessions neither begun nor dropped
	running   int   // sessions begun and not ended
	unwritten int   // records on their way to the store
	ending    bool  // no session begins any more
	failed    error // why the run could not be recorded

	events  chan Event        // from sessions
	ended   chan outcome      // from sessions
	records chan entry        // to the recorder; has room for all: nobody waits for it
	written chan writtenBatch // from the recorder
}

// task is one session of the run.
type task struct {
	index     int
	session   netp.Session
	planned   plan.Session
	test      plan.Test
	spec      netp.KindSpec
	scheduled time.Time

	began   bool    // or dropped, or in the store before
	waiter  *waiter // what stands in the queue; nil before its time
	claimed *waiter // what holds its claims; nil when it has none
	// attempts were made by an earlier controller, and last is what came of the last.
	attempts int
	last     netp.Result

	// The session's goroutine keeps these: the last orders, and until when agents
	// that are out of reach may still be carrying them out.
	ordered wire.Order
	loose   time.Time
}

// outcome is how a session ended.
type outcome struct {
	task     *task
	attempts int
	result   netp.Result
	again    bool // it is to be tried again, in its turn
}

// eventBuffer lets sessions go on while an event is being told.
const eventBuffer = 1024

// errNotServing ends a run whose controller no longer hears its agents.
var errNotServing = errors.New("the controller stopped serving during the run")

// missedPoll is how often sessions are looked for that missed their window.
const missedPoll = 200 * time.Millisecond

// run brings every session to its record.
func (x *execution) run(ctx context.Context) error {
	x.life, x.stop = context.WithCancelCause(ctx)
	defer x.stop(nil)
	go x.record(context.WithoutCancel(ctx))
	defer close(x.records)
	x.tell(RunStarted{Run: x.report.Run, Suite: x.report.Suite, Started: x.report.Started, Sessions: len(x.tasks), Makespan: x.plan.Makespan})
	x.resume()
	if x.report.Cancelled { // when the controller before this one was stopped
		x.ending = true
		x.stop(nil)
		x.drop(x.unbegun)
	}
	if x.terms.Missed != nil {
		x.drop(func(*task) *netp.Failure { return x.terms.Missed })
	}
	missed := time.NewTicker(missedPoll)
	defer missed.Stop()
	due := time.NewTimer(x.enter())
	defer due.Stop()
	for x.left > 0 || x.running > 0 || x.unwritten > 0 {
		x.step(ctx, missed.C, due)
	}
	x.drainEvents()
	x.report.Ended = x.cfg.Now()
	if len(x.tasks) == 0 {
		x.report.Status = netp.Inconclusive // no data is never a pass
	}
	return x.failed
}

// step takes in one thing that happens.
func (x *execution) step(ctx context.Context, missed <-chan time.Time, due *time.Timer) {
	cancelled, over := ctx.Done(), x.over
	if x.ending {
		cancelled, over = nil, nil
	}
	select {
	case e := <-x.events:
		x.tell(e)
	case <-x.claimant.wake:
		x.start(x.queue.collect(x.claimant))
	case o := <-x.ended:
		x.running--
		x.end(o)
	case w := <-x.written:
		x.unwritten -= len(w.entries)
		x.release(w)
		if w.err != nil {
			x.abandon(w.err)
			break
		}
		for _, e := range w.entries {
			x.account(SessionDone{Record: e.record})
		}
	case <-due.C:
		due.Reset(x.enter())
	case <-missed:
		x.drop(x.missed)
	case <-over:
		x.abandon(errNotServing)
	case <-cancelled:
		x.cancel()
	}
}

// cancel stops the run because somebody wants it stopped. That is noted at once: a
// controller that starts again must not begin what is left.
func (x *execution) cancel() {
	x.ending = true
	x.report.Cancelled = true
	if err := x.cfg.Store.SaveRun(context.WithoutCancel(x.life), x.begun()); err != nil {
		x.abandon(err)
		return
	}
	x.drop(x.unbegun)
}

// abandon ends the run because it cannot go on. What has no record yet gets none:
// the next controller finds it and brings it to its end.
func (x *execution) abandon(why error) {
	x.ending = true
	if x.failed == nil {
		x.failed = why
	}
	x.stop(why)
	for _, t := range x.tasks {
		if !t.began && (t.waiter == nil || x.queue.withdraw(t.waiter)) {
			t.began = true
			x.left--
		}
	}
	x.queue.settle()
}

// idle is how long to wait for the next session's time when there is none.
const idle = time.Hour

// enter lets those stand in the queue whose time has come, and says when to look
// again. A session that can never start ends here, so that nobody waits for it.
func (x *execution) enter() time.Duration {
	now := x.cfg.Now()
	var list []*waiter
	for ; x.entered < len(x.tasks); x.entered++ {
		t := x.tasks[x.entered]
		if x.terms.Timed && now.Before(t.scheduled) {
			break
		}
		if t.began {
			continue
		}
		if w := x.turn(t); w != nil {
			list = append(list, w)
		}
	}
	x.queue.enter(list...)
	if x.entered == len(x.tasks) {
		return idle
	}
	return x.tasks[x.entered].scheduled.Sub(now)
}

// turn makes what stands in the queue for a session, or ends the session: it is too
// late for it, or it can never start.
func (x *execution) turn(t *task) *waiter {
	if failure := x.missed(t); failure != nil {
		x.giveUp(t, failure)
		return nil
	}
	w := waiterFor(x.claimant, x.report.Run, t)
	if resource := x.queue.impossible(w); resource != "" {
		x.giveUp(t, &netp.Failure{Kind: netp.FailureMissed, Detail: fmt.Sprintf(
			"The session can never start: it claims more of %s than there is. Lower its rate, or raise the capacity that is declared.", resource)})
		return nil
	}
	t.waiter = w
	return w
}

// start begins the sessions that were granted their claims.
func (x *execution) start(granted []*waiter) {
	for _, w := range granted {
		t := x.tasks[w.index]
		if failure := x.missed(t); failure != nil {
			x.queue.release(w)
			x.giveUp(t, failure)
			continue
		}
		t.began, t.claimed = true, w
		x.left--
		x.running++
		go x.session(x.life, t)
	}
}

// end takes in how a session ended.
func (x *execution) end(o outcome) {
	t := o.task
	if !o.again && x.failed == nil {
		x.keep(t, x.terminal(o))
		return
	}
	if t.claimed != nil {
		x.queue.release(t.claimed)
		t.claimed = nil
	}
	if x.failed != nil {
		return
	}
	t.attempts, t.last = o.attempts, o.result
	t.began, t.waiter = false, nil
	x.left++
	if x.ending {
		x.giveUp(t, x.unbegun(t))
	} else if w := x.turn(t); w != nil {
		x.queue.enter(w)
	}
}

// keep hands a record to the recorder.
func (x *execution) keep(t *task, r netp.Record) {
	x.unwritten++
	x.records <- entry{t, r}
}

// release gives back the claims of sessions whose records are in the store: what
// is claimed without a record is, to the next controller, perhaps still running.
// Claims of what may really still be running are given back when that is over.
func (x *execution) release(w writtenBatch) {
	var done []*waiter
	for _, e := range w.entries {
		claimed, left := e.task.claimed, e.task.loose.Sub(x.cfg.Now())
		switch {
		case claimed == nil:
		case left > 0:
			time.AfterFunc(left, func() { x.queue.release(claimed) })
		default:
			done = append(done, claimed)
		}
	}
	x.queue.release(done...)
}

// drop ends waiting sessions for which why gives a failure, without their ever
// having begun.
func (x *execution) drop(why func(*task) *netp.Failure) {
	for _, t := range x.tasks {
		if t.began {
			continue
		}
		failure := why(t)
		if failure != nil && (t.waiter == nil || x.queue.withdraw(t.waiter)) {
			x.giveUp(t, failure)
		}
	}
	x.queue.settle()
}

// giveUp ends a session that this controller has not begun. What came of an attempt
// of the one before says more than the failure.
func (x *execution) giveUp(t *task, failure *netp.Failure) {
	t.began = true
	x.left--
	o := outcome{task: t, attempts: t.attempts, result: t.last}
	if t.attempts == 0 {
		o.result = x.without(t, 1, failure)
	}
	x.keep(t, x.terminal(o))
}

func (x *execution) unbegun(*task) *netp.Failure {
	return &netp.Failure{Kind: netp.FailureCancelled, Detail: "The run was stopped before the session began."}
}

// missed is for sessions beyond their window.
func (x *execution) missed(t *task) *netp.Failure {
	if x.terms.Window <= 0 || x.cfg.Now().Before(t.scheduled.Add(x.terms.Window)) {
		return nil
	}
	detail := fmt.Sprintf("The session could not start within %s of its planned start", quantity.Duration(x.terms.Window))
	switch {
	case t.waiter != nil:
		if obstacle := x.queue.obstacle(t.waiter); obstacle != "" {
			detail += ": " + obstacle
		}
	case x.remains != nil:
		detail += ": " + x.remains.cause() + " meanwhile"
	}
	return &netp.Failure{Kind: netp.FailureMissed, Detail: detail + "."}
}

// account takes a record that is in the store into the report.
func (x *execution) account(done SessionDone) {
	r := done.Record
	x.report.Records = append(x.report.Records, r)
	if x.report.Status == "" || r.Status.Worse(x.report.Status) {
		x.report.Status = r.Status
	}
	if f := r.Result.Failure; f != nil && f.Kind == netp.FailureCancelled {
		x.report.Counts.Skipped++
	} else {
		x.report.Counts.Add(r.Status)
	}
	x.drainEvents() // what the session told before it ended comes before its end
	x.tell(done)
}

func (x *execution) drainEvents() {
	for {
		select {
		case e := <-x.events:
			x.tell(e)
		default:
			return
		}
	}
}
