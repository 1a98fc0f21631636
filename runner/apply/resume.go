package apply

import (
	"context"
	"slices"
	"time"

	"github.com/netpupper/netp/runner/store"
)

// Who holds the suites whose runs go on without those who began them.
const (
	restarted = "the controller, which was started again"
	recovered = "the controller, which could not go on with the run for a while"
)

// retakenNote is written to find out whether the store can be.
const retakenNote = "retaken"

// Resume brings the runs to their end that the last controller left. It returns
// when all of them are in progress. Standing tests are the scheduler's own to resume.
func (a *Applier) Resume(ctx context.Context) error {
	left, err := a.cfg.Store.Unfinished(ctx)
	if err != nil {
		return err
	}
	for _, u := range left {
		if err := a.resume(u, restarted); err != nil {
			return err
		}
	}
	return nil
}

// Retake goes on, until ctx is done, with runs of this controller that could not go on
// because the store was away or its disk full: as soon as it can be written again.
func (a *Applier) Retake(ctx context.Context) error {
	tick := time.NewTicker(a.cfg.RetakeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			a.retake(ctx)
		}
	}
}

// retake goes on with what is stuck. What the store does not have as unfinished has
// come to its end: only the answer to that was lost.
func (a *Applier) retake(ctx context.Context) {
	stuck := a.cfg.Runs.TakeStuck()
	if len(stuck) == 0 {
		return
	}
	var left []store.Unfinished
	err := a.cfg.Store.SaveNote(ctx, retakenNote, a.cfg.Now().UTC())
	if err == nil {
		left, err = a.cfg.Store.Unfinished(ctx)
	}
	if err != nil {
		a.cfg.Logger.Warn("runs that stopped cannot go on yet", "runs", len(stuck), "error", err)
		a.cfg.Runs.PutBack(stuck)
		return
	}
	for _, u := range left {
		if !slices.Contains(stuck, u.Run.Report.Run) {
			continue
		}
		if err := a.resume(u, recovered); err != nil {
			a.cfg.Logger.Error("run cannot go on yet", "run", u.Run.Report.Run, "error", err)
		}
	}
}

// resume goes on with one run. One that was applied holds its suite, so that the
// command attaches to it again.
func (a *Applier) resume(u store.Unfinished, holder string) error {
	a.cfg.Logger.Info("interrupted run goes on", "run", u.Run.Report.Run, "suite", u.Run.Report.Suite)
	if u.Run.Trigger != store.ByApply {
		return a.cfg.Runs.Recover(u, nil)
	}
	h, held, err := a.hold(u.Run.Report.Suite, holder, digest([]any{u.Plan.Tests, u.Plan.Sessions}))
	if err != nil || held != nil {
		return a.cfg.Runs.Recover(u, nil) // another run of the suite was left, too, or is in progress
	}
	a.begun(h, u.Run.Report.Run)
	return a.cfg.Runs.Recover(u, func() { a.release(h) })
}
