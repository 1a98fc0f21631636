package reconcile

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/planfile"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/store"
)

// take makes the suites of a revision what the source has: those that are gone end,
// the others are planned and applied. All of them are planned before the first is
// applied, so that a fault in one holds back the whole revision. What it found without an error are warnings.
func (r *Reconciler) take(ctx context.Context, source string, revision gitops.Revision, suites []gitops.Suite) (found diag.List, err error) {
	for _, s := range suites {
		_, of, err := r.plan(ctx, revision, s)
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	if found.HasErrors() {
		return nil, &gitops.Fault{Reason: gitops.ReasonPlan, Revision: revision, Diagnostics: found, Err: found.Err()}
	}
	if err := r.drop(ctx, source, suites); err != nil {
		return nil, err
	}
	for _, s := range suites {
		if err := r.install(ctx, source, revision, s); err != nil {
			return nil, fmt.Errorf("suite %s: %w", s.Name, err)
		}
	}
	return found, nil
}

// drop ends the source's suites that are not in the revision any more.
func (r *Reconciler) drop(ctx context.Context, source string, suites []gitops.Suite) error {
	owned, err := r.cfg.Applier.Owned(ctx, source)
	if err != nil {
		return err
	}
	for _, name := range owned {
		if slices.ContainsFunc(suites, func(s gitops.Suite) bool { return s.Name == name }) {
			continue
		}
		if err := r.remove(ctx, name, source); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reconciler) remove(ctx context.Context, suite, source string) error {
	if err := r.cfg.Applier.Remove(ctx, suite, source); err != nil {
		return err
	}
	return r.cfg.Store.DeleteNote(ctx, onceNote(suite))
}

// plan plans a suite against what is applied of it and the agents that count for it.
func (r *Reconciler) plan(ctx context.Context, revision gitops.Revision, s gitops.Suite) (*plan.Plan, diag.List, error) {
	state, err := r.cfg.Store.State(ctx, s.Name)
	if err != nil {
		return nil, nil, err
	}
	p, found := plan.Build(plan.Input{
		Suite: s.Suite, Catalogue: r.cfg.Catalogue, Inventory: r.agents.of(s.Suite), State: state,
		Now: r.cfg.Now(), NetpVersion: r.cfg.Version, Revision: string(revision),
	})
	for i := range found { // file names start at the source's root
		if found[i].Range != nil {
			at := *found[i].Range
			at.Filename = path.Join(s.Dir, at.Filename)
			found[i].Range = &at
		}
	}
	return p, found, nil
}

// install has a suite applied, and runs once what is due of it.
func (r *Reconciler) install(ctx context.Context, source string, revision gitops.Revision, s gitops.Suite) error {
	var p *plan.Plan
	for try := 0; ; try++ {
		made, faults, err := r.plan(ctx, revision, s)
		if err == nil {
			err = faults.Err()
		}
		if err != nil {
			return err
		}
		p = made
		changed, err := r.cfg.Applier.Install(ctx, apply.Installation{Plan: p, Source: source, Sinks: sinks(s)})
		if err == nil {
			if changed {
				r.cfg.Logger.Info("suite applied", "suite", s.Name, "source", source, "revision", revision, "tests", len(p.Tests), "sessions", len(p.Sessions))
			}
			break
		}
		if stale := errors.Is(err, planfile.ErrStale) || errors.Is(err, store.ErrConflict); !stale || try == 2 {
			return err
		}
	}
	return r.runOnce(ctx, p)
}

func sinks(s gitops.Suite) []apply.Sink {
	var out []apply.Sink
	for _, one := range s.Sinks {
		out = append(out, apply.Sink{Addr: one.Addr, Type: one.Type, Arguments: one.Arguments, Secrets: one.Secrets})
	}
	return out
}
