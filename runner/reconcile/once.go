package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/google/uuid"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/store"
)

// once is what was run of a suite's one-shot tests. A session of them runs when it
// is new or its test has changed, and never again.
type once struct {
	// Starting is the run about to begin, "" for none: when the store does not have
	// it, it never began.
	Starting string `json:"starting,omitempty"`
	// Ran is by session.
	Ran map[string]ran `json:"ran"`
}

// ran is one session that was run.
type ran struct {
	What string `json:"what"` // digest of the test and the path
	Run  string `json:"run"`
}

func onceNote(suite string) string { return "once/" + suite }

// runOnce begins a run of the one-shot sessions of a suite that are due. It does not
// wait for its end. However often the controller is killed, each runs once.
func (r *Reconciler) runOnce(ctx context.Context, p *plan.Plan) error {
	suite := p.Suite.Name
	o := once{Ran: map[string]ran{}}
	if _, err := r.cfg.Store.Note(ctx, onceNote(suite), &o); err != nil {
		return err
	}
	if err := r.settle(ctx, &o); err != nil {
		return err
	}
	tests := map[string]bool{}
	for _, t := range p.Tests {
		tests[t.Addr] = t.Standing == nil
	}
	run := uuid.Must(uuid.NewV7()).String()
	due := p.Subset(func(t plan.Test, s plan.Session) bool {
		return tests[t.Addr] && o.Ran[s.Addr].What != what(t, s)
	})
	if len(due.Sessions) == 0 {
		return nil
	}
	o.note(due, run)
	o.forget(p)
	o.Starting = run
	if err := r.cfg.Store.SaveNote(ctx, onceNote(suite), o); err != nil {
		return err
	}
	begun := r.cfg.Applier.Once(due, run)
	if begun != nil {
		o.undo(run)
	}
	o.Starting = ""
	if begun == nil {
		r.cfg.Logger.Info("one-shot tests run", "suite", suite, "run", run, "sessions", len(due.Sessions))
	}
	return errors.Join(begun, r.cfg.Store.SaveNote(context.WithoutCancel(ctx), onceNote(suite), o))
}

// settle finds out about a run that was about to begin when the controller ended.
func (r *Reconciler) settle(ctx context.Context, o *once) error {
	if o.Starting == "" {
		return nil
	}
	_, err := r.cfg.Store.FindRun(ctx, o.Starting)
	if errors.Is(err, store.ErrNotFound) {
		o.undo(o.Starting)
		err = nil
	}
	if err == nil {
		o.Starting = ""
	}
	return err
}

// Again lets the one-shot sessions run again that were cancelled because the
// controller stopped. It is called when Run has ended.
func (r *Reconciler) Again(ctx context.Context, cancelled []runs.Cancelled) error {
	for _, c := range cancelled {
		if c.Trigger != store.ByCommit {
			continue
		}
		records, err := r.cfg.Store.Records(ctx, c.Run)
		if err != nil {
			return err
		}
		o := once{Ran: map[string]ran{}}
		if _, err := r.cfg.Store.Note(ctx, onceNote(c.Suite), &o); err != nil {
			return err
		}
		for _, one := range records {
			if f := one.Result.Failure; f != nil && f.Kind == netp.FailureCancelled && o.Ran[one.Session.Addr].Run == c.Run {
				delete(o.Ran, one.Session.Addr)
			}
		}
		if err := r.cfg.Store.SaveNote(ctx, onceNote(c.Suite), o); err != nil {
			return err
		}
	}
	return nil
}

// note marks the sessions of a plan as run.
func (o *once) note(p *plan.Plan, run string) {
	tests := map[string]plan.Test{}
	for _, t := range p.Tests {
		tests[t.Addr] = t
	}
	for _, s := range p.Sessions {
		o.Ran[s.Addr] = ran{what(tests[s.Test], s), run}
	}
}

// undo forgets the sessions of a run that never began.
func (o *once) undo(run string) {
	maps.DeleteFunc(o.Ran, func(_ string, r ran) bool { return r.Run == run })
}

// forget drops the sessions of tests that the suite no longer has. Those of agents
// that are away are kept: coming back is no reason to run again.
func (o *once) forget(p *plan.Plan) {
	maps.DeleteFunc(o.Ran, func(session string, _ ran) bool {
		return !slices.ContainsFunc(p.Tests, func(t plan.Test) bool {
			return t.Standing == nil && len(session) > len(t.Addr) && session[:len(t.Addr)] == t.Addr && session[len(t.Addr)] == '['
		})
	})
}

// what identifies a session by all that its test asks of it: not by when it runs,
// nor by the agents' present addresses.
func what(t plan.Test, s plan.Session) string {
	sum := sha256.New()
	err := json.NewEncoder(sum).Encode([]any{t.Kind, t.Params, t.Tags, t.Assertions, s.Path.Source, s.Path.Dest, s.Path.Via, s.Path.Links})
	if err != nil {
		return "" // not what JSON can hold: it runs each time
	}
	return hex.EncodeToString(sum.Sum(nil))
}
