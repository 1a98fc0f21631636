package apply

import (
	"context"
	"fmt"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// SinkFault is the error for sinks that cannot be as they are declared.
type SinkFault struct{ Err error }

func (s *SinkFault) Error() string { return s.Err.Error() }

// Unwrap gives the fault itself.
func (s *SinkFault) Unwrap() error { return s.Err }

// Installation is a suite of a source as it shall be.
type Installation struct {
	Plan   *plan.Plan
	Source string
	Sinks  []Sink
}

// Install makes a plan the state of its suite and installs its standing tests,
// unless all that is so already; it runs nothing. changed says whether anything was
// different. Errors are those of Apply.
func (a *Applier) Install(ctx context.Context, in Installation) (changed bool, err error) {
	p, suite := in.Plan, in.Plan.Suite.Name
	h, _, err := a.hold(suite, "source "+in.Source, "")
	if err != nil {
		return false, err
	}
	defer a.release(h)
	if err := a.claim(ctx, suite, in.Source); err != nil {
		return false, err
	}
	if a.cfg.Sinks != nil && len(in.Sinks) > 0 {
		if err := a.cfg.Sinks.Check(ctx, suite, in.Sinks); err != nil {
			return false, &SinkFault{err}
		}
	}
	there, err := a.installed(ctx, suite)
	if err != nil {
		return false, err
	}
	changed = p.Changed() || !same(there, plan.Install(nil, p)) || a.doubts(suite)
	if changed {
		if err := a.commit(ctx, p, in.Source, true); err != nil {
			return false, err
		}
	}
	return changed, a.setSinks(ctx, suite, in.Sinks)
}

// claim makes a suite the source's, unless it is somebody else's.
func (a *Applier) claim(ctx context.Context, suite, source string) error {
	owner, err := a.Owner(ctx, suite)
	switch {
	case err != nil:
		return err
	case owner == Owner{}:
		return a.own(ctx, suite, Owner{Source: source})
	case owner.Source != source:
		return &Owned{suite, owner}
	}
	return nil
}

// same reports whether two plans repeat the same sessions of the same revision.
func same(there *store.StandingPlan, next *plan.Plan) bool {
	if there == nil || next == nil {
		return there == nil && next == nil
	}
	essence := func(p *plan.Plan) string { // as a plan, which is written the same before and after the store
		return digest(plan.Plan{Suite: plan.SuiteInfo{Revision: p.Suite.Revision}, Tests: p.Tests, Sessions: p.Sessions, Capacities: p.Capacities})
	}
	return essence(there.Plan) == essence(next)
}

// Remove ends the standing tests and the runs of a suite that the source no longer
// has, and forgets what is applied of it; its runs stay in the history.
func (a *Applier) Remove(ctx context.Context, suite, source string) error {
	h, _, err := a.hold(suite, "source "+source, "")
	if err != nil {
		return err
	}
	defer a.release(h)
	owner, err := a.Owner(ctx, suite)
	if err != nil || owner.Source != source {
		return err
	}
	if _, err := a.destroy(ctx, suite); err != nil {
		return fmt.Errorf("remove suite %s: %w", suite, err)
	}
	a.cfg.Runs.CancelSuite(suite, store.ByCommit)
	a.cfg.Logger.Info("suite removed", "suite", suite, "source", source)
	return nil
}

// Once runs a part of a source's suite once, because a commit or an agent brought
// it. The run has the given id; it does not hold the suite.
func (a *Applier) Once(p *plan.Plan, run string) error {
	_, err := a.cfg.Runs.Start(runner.Work{Plan: p, Run: run, Trigger: store.ByCommit}, nil)
	return err
}
