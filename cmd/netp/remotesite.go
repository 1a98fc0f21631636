package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/api/client"
)

// remoteSite is a controller: it runs, this process watches.
type remoteSite struct {
	*client.Client                    // State, Destroy, History, Paths
	holder         string             // how this user is named to others
	note           func(string)       // tells the user something beside the run
	suite          func() *lang.Suite // what was planned, with the secrets of its sinks; nil for nothing
	others         atomic.Bool        // whether it is attached to a run that somebody else began
}

func (r *remoteSite) Inventory(ctx context.Context, _ *lang.Suite) (inventory, error) {
	agents, err := r.Agents(ctx)
	return inventory{agents: agents}, err
}

// cancelTimeout bounds the request that cancels a run.
const cancelTimeout = 10 * time.Second

// errLeft says that this command was interrupted and its run was not.
var errLeft = errors.New("interrupted")

// Apply begins the run, or attaches to one of the same work that is in progress,
// and follows it to its end. When ctx ends it cancels the run and goes on following;
// a run that somebody else began it leaves, with errLeft.
func (r *remoteSite) Apply(ctx context.Context, p *plan.Plan, events func(runner.Event)) (netp.Report, error) {
	started, err := r.Client.Apply(ctx, p, secrets(r.suite()))
	if err != nil {
		return netp.Report{}, err
	}
	if started.Attached {
		r.others.Store(started.Lock.Holder != r.holder)
		r.note(fmt.Sprintf("Attached to run %s of the same sessions, begun by %s.", view.ShortID(started.Run), started.Lock.Holder))
	}
	following, leave := context.WithCancelCause(context.WithoutCancel(ctx))
	defer leave(nil)
	cancelling := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelling)
		if r.others.Load() {
			leave(fmt.Errorf("%w; the run was begun by %s and goes on\nTo cancel it for all: POST %s%sruns/%s/cancel",
				errLeft, started.Lock.Holder, r.URL(), api.Prefix, started.Run))
			return
		}
		asking, done := context.WithTimeout(following, cancelTimeout)
		defer done()
		if err := r.Cancel(asking, started.Run); err != nil {
			leave(fmt.Errorf("the run could not be cancelled and goes on: %w", err))
		}
	})
	err = r.Follow(following, started.Run, events)
	if !stop() {
		<-cancelling
	}
	if err != nil {
		return netp.Report{}, fmt.Errorf("%w\nTo see how it ended: netp show %s", err, view.ShortID(started.Run))
	}
	ended, err := r.Client.Run(context.WithoutCancel(ctx), started.Run)
	return ended.Report, err
}

// secrets are those of the suite's sinks, by address and name.
func secrets(suite *lang.Suite) map[string]map[string]string {
	if suite == nil {
		return nil
	}
	out := map[string]map[string]string{}
	for _, s := range suite.Sinks {
		if len(s.Secrets) > 0 {
			out[s.Addr] = s.Secrets
		}
	}
	return out
}

func (r *remoteSite) Run(ctx context.Context, run string) (api.Run, error) {
	if run == "" {
		latest, err := r.Client.Runs(ctx, "", 1)
		if err == nil && len(latest) == 0 {
			err = fmt.Errorf("%s has no runs yet\nRun a suite first: netp apply DIR", r.URL())
		}
		if err != nil {
			return api.Run{}, err
		}
		run = latest[0].Report.Run
	}
	return r.Client.Run(ctx, run)
}
