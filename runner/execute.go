package runner

import (
	"context"
	"errors"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/store"
)

// Execute runs the sessions of a piece of work, each once.
func (r *Runner) Execute(ctx context.Context, w Work, events func(Event)) (netp.Report, error) {
	return r.Run(ctx, w.Plan, events)
}

// Miss records every session of a piece of work as missed; nothing is sent.
func (r *Runner) Miss(ctx context.Context, w Work, why netp.Failure) (netp.Report, error) {
	return netp.Report{}, errors.New("not there yet")
}

// Recover brings an interrupted run to its end.
func (r *Runner) Recover(ctx context.Context, u store.Unfinished, events func(Event)) (netp.Report, error) {
	return netp.Report{}, errors.New("not there yet")
}
