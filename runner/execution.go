package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner/store"
)

// Run executes a plan: every session once. It needs Serve to run. events hears
// what happens, one call at a time, and must not block for long; nil for nobody.
//
// When ctx is done the sessions in progress are stopped, within a second agents
// send nothing more, and those not yet begun do not begin; all have their records,
// and the report says Cancelled. An error means that the run could not be
// recorded (the store), or that Serve does not run.
func (r *Runner) Run(ctx context.Context, p *plan.Plan, events func(Event)) (netp.Report, error) {
	if events == nil {
		events = func(Event) {}
	}
	select {
	case <-r.ready:
	case <-ctx.Done():
		return netp.Report{}, context.Cause(ctx)
	}
	x, err := r.newExecution(p, events)
	if err != nil {
		return netp.Report{}, err
	}
	if err := r.cfg.Store.SaveRun(context.WithoutCancel(ctx), x.summary()); err != nil {
		return netp.Report{}, err
	}
	if err := x.run(ctx); err != nil {
		return x.report, err
	}
	err = r.cfg.Store.SaveRun(context.WithoutCancel(ctx), x.summary())
	done := x.report
	done.Records = nil
	events(RunDone{Report: done})
	return x.report, err
}

// execution is one run while it runs. Only its run method's goroutine touches it.
type execution struct {
	*Runner
	plan   *plan.Plan
	tasks  []*task // in the order of the queue
	queue  *queue
	report netp.Report
	tell   func(Event)

	life      context.Context // of the sessions
	stop      context.CancelCauseFunc
	running   int   // sessions begun and not ended
	unwritten int   // records on their way to the store
	ending    bool  // no session begins any more
	failed    error // why the run could not be recorded

	events  chan Event        // from sessions
	ended   chan outcome      // from sessions
	records chan netp.Record  // to the recorder; has room for all: nobody waits for it
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
}

// outcome is how a session ended.
type outcome struct {
	task     *task
	attempts int
	result   netp.Result
}

// eventBuffer lets sessions go on while an event is being told.
const eventBuffer = 1024

func (r *Runner) newExecution(p *plan.Plan, tell func(Event)) (*execution, error) {
	x := &execution{
		Runner: r, plan: p, tell: tell,
		events:  make(chan Event, eventBuffer),
		ended:   make(chan outcome),
		records: make(chan netp.Record, len(p.Sessions)),
		written: make(chan writtenBatch),
		report: netp.Report{
			FormatVersion: netp.FormatVersion, Run: r.cfg.NewID(), Suite: p.Suite.Name, Revision: p.Suite.Revision,
			Started: r.cfg.Now(),
		},
	}
	tests := make(map[string]plan.Test, len(p.Tests))
	for _, t := range p.Tests {
		tests[t.Addr] = t
	}
	sessions := slices.Clone(p.Sessions)
	slices.SortStableFunc(sessions, func(a, b plan.Session) int { return int(a.Start - b.Start) })
	items := make([]schedule.Item, len(sessions))
	capacity := x.capacities()
	for i, s := range sessions {
		test, ok := tests[s.Test]
		spec, known := r.cfg.Catalogue.Find(test.Kind)
		if !ok || !known {
			return nil, fmt.Errorf("run plan: session %s is of test %q and kind %q, which this plan or this build does not have", s.Addr, s.Test, test.Kind)
		}
		x.tasks = append(x.tasks, &task{
			index: i, planned: s, test: test, spec: spec, scheduled: x.report.Started.Add(s.Start),
			session: netp.Session{Addr: s.Addr, Kind: test.Kind, Path: s.Path, Params: test.Params, Duration: test.Timeout},
		})
		items[i] = schedule.Item{ID: s.Addr, Duration: s.Slot, Claims: x.claims(s, capacity)}
	}
	x.queue = newQueue(items, capacity)
	return x, nil
}

// allSessions is claimed by every session when their number is bounded.
const allSessions schedule.Resource = "run sessions"

// capacities are those of the plan's places, and of what the runner itself bounds.
func (x *execution) capacities() map[schedule.Resource]float64 {
	out := make(map[schedule.Resource]float64)
	for _, p := range x.plan.Cost.Places {
		out[p.Place] = p.Capacity
	}
	if x.cfg.Parallelism > 0 {
		out[allSessions] = float64(x.cfg.Parallelism)
	}
	for _, m := range x.fleet.Members() {
		if n := m.Agent.Limits.Sessions; n > 0 {
			out[slots(m.Agent.Name)] = float64(n)
		}
	}
	return out
}

// slots is the resource of which an agent has as many as it runs sessions at a time.
func slots(id netp.AgentID) schedule.Resource {
	return schedule.Resource("agent " + string(id) + " sessions")
}

// claims are the plan's, and one of each bound on the number of sessions.
func (x *execution) claims(s plan.Session, capacity map[schedule.Resource]float64) []schedule.Claim {
	claims := slices.Clone(s.Claims)
	bounds := []schedule.Resource{allSessions, slots(s.Path.Source)}
	if !s.Path.Endpoint {
		bounds = append(bounds, slots(netp.AgentID(s.Path.Dest)))
	}
	for _, b := range bounds {
		if capacity[b] > 0 {
			claims = append(claims, schedule.Claim{Resource: b, Rate: 1})
		}
	}
	return claims
}

// errNotServing ends a run whose controller no longer hears its agents.
var errNotServing = errors.New("the controller stopped serving during the run")

// missedPoll is how often sessions are looked for that missed their window.
const missedPoll = 200 * time.Millisecond

// run brings every session to its record.
func (x *execution) run(ctx context.Context) error {
	x.tell(RunStarted{Run: x.report.Run, Suite: x.report.Suite, Started: x.report.Started, Sessions: len(x.tasks), Makespan: x.plan.Makespan})
	x.listen(x.events)
	defer x.listen(nil)
	x.life, x.stop = context.WithCancelCause(ctx)
	defer x.stop(nil)
	go x.record(context.WithoutCancel(ctx))
	defer close(x.records)
	missed := time.NewTicker(missedPoll)
	defer missed.Stop()
	x.start(x.queue.takeAll())
	for x.running > 0 || x.unwritten > 0 || x.queue.left > 0 {
		if x.running == 0 && x.unwritten == 0 { // nobody holds anything, and still nobody may start
			x.unblock()
			continue
		}
		x.step(ctx, missed.C)
	}
	x.drainEvents()
	x.report.Ended = x.cfg.Now()
	if len(x.tasks) == 0 {
		x.report.Status = netp.Inconclusive // no data is never a pass
	}
	return x.failed
}

// step takes in one thing that happens.
func (x *execution) step(ctx context.Context, missed <-chan time.Time) {
	cancelled, over := ctx.Done(), x.over
	if x.ending {
		cancelled, over = nil, nil
	}
	select {
	case e := <-x.events:
		x.tell(e)
	case o := <-x.ended:
		x.running--
		x.keep(x.terminal(o))
		x.queue.release(o.task.index)
		x.start(x.queue.take())
	case w := <-x.written:
		x.unwritten -= len(w.records)
		x.account(w)
		if w.err != nil {
			x.abandon(w.err)
		}
	case <-missed:
		x.drop(x.missed)
		x.start(x.queue.take())
	case <-over:
		x.abandon(errNotServing)
	case <-cancelled:
		x.ending = true
		x.report.Cancelled = true
		x.drop(x.unbegun)
	}
}

// abandon ends the run because it cannot go on.
func (x *execution) abandon(why error) {
	x.ending = true
	x.failed = errors.Join(x.failed, why)
	x.stop(why)
	x.drop(x.unbegun)
}

// unblock ends those who can never start, so that the others can.
func (x *execution) unblock() {
	if x.drop(x.impossible) == 0 {
		x.drop(x.stuck)
	}
	x.start(x.queue.take())
}

// keep hands a record to the recorder.
func (x *execution) keep(r netp.Record) {
	x.unwritten++
	x.records <- r
}

// listen says where the run's progress goes; nil for nowhere.
func (x *execution) listen(events chan<- Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if events == nil {
		delete(x.runs, x.report.Run)
		return
	}
	x.runs[x.report.Run] = events
}

// start begins sessions.
func (x *execution) start(indices []int) {
	for _, i := range indices {
		x.running++
		go x.session(x.life, x.tasks[i])
	}
}

// drop ends waiting sessions for which why gives a failure, without their ever
// having begun, and says how many.
func (x *execution) drop(why func(*task) *netp.Failure) int {
	n := 0
	for _, t := range x.tasks {
		if !x.queue.waiting[t.index] {
			continue
		}
		if failure := why(t); failure != nil {
			x.queue.drop(t.index)
			x.keep(x.terminal(outcome{task: t, result: x.without(t, 1, failure)}))
			n++
		}
	}
	return n
}

func (x *execution) unbegun(*task) *netp.Failure {
	return &netp.Failure{Kind: netp.FailureCancelled, Detail: "The run was stopped before the session began."}
}

func (x *execution) impossible(t *task) *netp.Failure {
	c := x.queue.obstacle(t.index)
	if c.Resource == "" {
		return nil
	}
	return &netp.Failure{Kind: netp.FailureMissed, Detail: fmt.Sprintf("The session can never start: it claims more of %s than there is. Lower its rate, or raise the capacity that is declared.", c.Resource)}
}

// stuck is for what cannot happen: everything is free and still nobody may start.
func (x *execution) stuck(*task) *netp.Failure {
	return &netp.Failure{Kind: netp.FailureInternal, Detail: "The session was never let start although nothing was in its way, a fault in netp."}
}

// missed is for sessions beyond their window. The tasks are in planned order.
func (x *execution) missed(t *task) *netp.Failure {
	if x.cfg.Window <= 0 || x.cfg.Now().Before(t.scheduled.Add(x.cfg.Window)) {
		return nil
	}
	detail := fmt.Sprintf("The session could not start within %v of its planned start", x.cfg.Window)
	if c := x.queue.obstacle(t.index); c.Resource != "" {
		detail += fmt.Sprintf(": %s was in use by %s", c.Resource, c.Blocker)
	}
	return &netp.Failure{Kind: netp.FailureMissed, Detail: detail + "."}
}

// account takes records that are in the store into the report.
func (x *execution) account(w writtenBatch) {
	for _, r := range w.records {
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
		x.tell(SessionDone{Record: r})
	}
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

// summary is the run as the store keeps it.
func (x *execution) summary() store.Run {
	return store.Run{Report: x.report, PlanHash: x.plan.Hash, Version: x.cfg.Version, Sessions: len(x.tasks)}
}
