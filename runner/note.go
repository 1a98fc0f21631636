package runner

import (
	"context"

	"github.com/netpupper/netp/runner/store"
)

// note is an attempt that is to be in the store before its first order, and whom to
// tell.
type note struct {
	attempt store.Attempt
	saved   chan<- error // has room
}

// note writes down an attempt; it is on the disk when this returns nil. Those who
// come at the same time share a commit.
func (r *Runner) note(ctx context.Context, a store.Attempt) error {
	saved := make(chan error, 1)
	select {
	case r.notes <- note{a, saved}:
		return <-saved // the writer answers whatever it has taken
	case <-r.over:
		return errNotServing
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write writes down attempts until ctx is done.
func (r *Runner) write(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case first := <-r.notes:
			batch := gather(first, r.notes)
			attempts := make([]store.Attempt, len(batch))
			for i, n := range batch {
				attempts[i] = n.attempt
			}
			err := r.cfg.Store.SaveAttempts(ctx, attempts)
			for _, n := range batch {
				n.saved <- err
			}
		}
	}
}
