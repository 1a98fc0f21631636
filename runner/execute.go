package runner

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

// Run is Execute for a plan that somebody applied.
func (r *Runner) Run(ctx context.Context, p *plan.Plan, events func(Event)) (netp.Report, error) {
	return r.Execute(ctx, Work{Plan: p, Trigger: store.ByApply, Window: r.cfg.Window}, events)
}

// Execute brings every session of a piece of work to its record. It needs Serve to
// run, and may be called several times at once: the sessions of all runs share what
// they claim. events hears what happens, one call at a time, and must not block for
// long; nil for nobody.
//
// When ctx is done the sessions in progress are stopped, within a second agents
// send nothing more, and those not yet begun do not begin; all have their records,
// and the report says Cancelled. The error is store.ErrSlotTaken when the work's
// slot was begun before: nothing has run then. Any other error means that the run
// could not be recorded (the store), or that Serve does not run.
func (r *Runner) Execute(ctx context.Context, w Work, events func(Event)) (netp.Report, error) {
	return r.begin(ctx, w, nil, events)
}

// Miss records every session of a piece of work as missed, for the reason given
// and with its slot, and sends nothing. Errors are those of Execute.
func (r *Runner) Miss(ctx context.Context, w Work, why netp.Failure) (netp.Report, error) {
	why.Kind = netp.FailureMissed
	return r.begin(ctx, w, &why, nil)
}

func (r *Runner) begin(ctx context.Context, w Work, missed *netp.Failure, events func(Event)) (netp.Report, error) {
	if err := r.await(ctx); err != nil {
		return netp.Report{}, err
	}
	x, err := r.newExecution(w, events)
	if err != nil {
		return netp.Report{}, err
	}
	x.terms.Missed = missed
	if err := x.open(); err != nil {
		return netp.Report{}, err
	}
	if err := r.cfg.Store.BeginRun(context.WithoutCancel(ctx), x.begun(), x.plan); err != nil {
		x.close(nil)
		return netp.Report{}, err
	}
	if missed != nil {
		ctx = context.WithoutCancel(ctx) // it takes no time
	}
	return x.finish(ctx)
}

// await waits until Serve serves.
func (r *Runner) await(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	case <-r.over:
		return errNotServing
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// finish runs what is left of a run that is in the store, and notes its end.
func (x *execution) finish(ctx context.Context) (netp.Report, error) {
	err := x.run(ctx)
	if err == nil {
		err = x.cfg.Store.SaveRun(context.WithoutCancel(ctx), x.summary())
	}
	x.close(err)
	if err != nil {
		return x.report, err
	}
	done := x.report
	done.Records = nil
	x.tell(RunDone{Report: done})
	return x.report, nil
}

func (r *Runner) newExecution(w Work, tell func(Event)) (*execution, error) {
	if tell == nil {
		tell = func(Event) {}
	}
	x := &execution{
		Runner: r, plan: w.Plan, tell: tell, trigger: w.Trigger, slot: w.Slot,
		terms:   store.Terms{Start: w.Start, Timed: w.Timed, Window: w.Window},
		events:  make(chan Event, eventBuffer),
		ended:   make(chan outcome),
		records: make(chan entry, len(w.Plan.Sessions)),
		written: make(chan writtenBatch),
		report: netp.Report{
			FormatVersion: netp.FormatVersion, Run: w.Run, Suite: w.Plan.Suite.Name, Revision: w.Plan.Suite.Revision,
			Started: r.cfg.Now(),
		},
	}
	if x.report.Run == "" {
		x.report.Run = r.cfg.NewID()
	}
	if x.terms.Start.IsZero() {
		x.terms.Start = x.report.Started
	}
	return x, x.makeTasks()
}

// makeTasks makes the sessions of the run, in the order of their planned start.
func (x *execution) makeTasks() error {
	tests := make(map[string]plan.Test, len(x.plan.Tests))
	for _, t := range x.plan.Tests {
		tests[t.Addr] = t
	}
	sessions := slices.Clone(x.plan.Sessions)
	slices.SortStableFunc(sessions, func(a, b plan.Session) int { return cmp.Compare(a.Start, b.Start) })
	x.byAddr = make(map[string]*task, len(sessions))
	for _, s := range sessions {
		test, ok := tests[s.Test]
		spec, known := x.cfg.Catalogue.Find(test.Kind)
		if !ok || !known {
			return fmt.Errorf("run plan: session %s is of test %q and kind %q, which this plan or this build does not have", s.Addr, s.Test, test.Kind)
		}
		if x.byAddr[s.Addr] != nil {
			return fmt.Errorf("run plan: it has the session %s twice", s.Addr)
		}
		t := &task{
			index: len(x.tasks), planned: s, test: test, spec: spec, scheduled: x.terms.Start.Add(s.Start),
			session: netp.Session{Addr: s.Addr, Kind: test.Kind, Path: s.Path, Params: test.Params, Duration: test.Timeout},
		}
		x.tasks = append(x.tasks, t)
		x.byAddr[s.Addr] = t
	}
	x.left = len(x.tasks)
	return nil
}

// open makes the run known to the runner: it stands in the queue, and progress and
// results of its sessions find it.
func (x *execution) open() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	id := x.report.Run
	if x.runs[id] != nil {
		return fmt.Errorf("run %s is in progress", id)
	}
	x.runs[id] = x.events
	if x.begunTries[id] == nil {
		x.begunTries[id] = make(map[tryOf]map[netp.Role]netp.AgentID)
	}
	x.bound()
	x.claimant = x.queue.join(claimantName(x.report.Suite, id), x.capacities())
	return nil
}

// close ends what open began. After an error the run is not at its end: the next
// controller goes on with it, and results are still checked against its attempts.
func (x *execution) close(err error) {
	x.queue.leave(x.claimant)
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.runs, x.report.Run)
	if err == nil {
		delete(x.begunTries, x.report.Run)
	}
}

// begun is the run as the store keeps it until its end.
func (x *execution) begun() store.Run {
	s := x.summary()
	s.Report.Status, s.Report.Counts = "", netp.Counts{}
	return s
}

// summary is the run as the store keeps it in the end.
func (x *execution) summary() store.Run {
	return store.Run{
		Report: x.report, PlanHash: x.plan.Hash, Version: x.cfg.Version, Sessions: len(x.tasks),
		Trigger: x.trigger, Slot: x.slot, Terms: x.terms,
	}
}
