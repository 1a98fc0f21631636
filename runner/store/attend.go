package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// attention is how long a read may take before its server is asked, and asked again,
// whether it is there. A server that is busy answers; one that was stopped, or whose
// network is gone, does not, and would keep the read until the bound of a try.
const attention = 5 * time.Second

// errSilent ends a read whose server has fallen silent.
var errSilent = fmt.Errorf("the server does not answer a new connection either: %w", context.DeadlineExceeded)

// attended ends a try once the server has fallen silent.
func (s *Store) attended(try func(context.Context) (bool, error)) func(context.Context) (bool, error) {
	if s.dialect.answers == nil {
		return try
	}
	return func(ctx context.Context) (bool, error) {
		ctx, end := context.WithCancelCause(ctx)
		var watch sync.WaitGroup
		watch.Go(func() { s.attend(ctx, end) })
		repeatable, err := try(ctx)
		if err != nil && errors.Is(context.Cause(ctx), errSilent) { // drivers have many words for it
			err = errSilent
		}
		end(nil)
		watch.Wait()
		return repeatable, err
	}
}

// attend calls end when the server does not answer; until then, or until ctx is done, it asks.
func (s *Store) attend(ctx context.Context, end context.CancelCauseFunc) {
	tick := time.NewTicker(attention)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if !s.dialect.answers(ctx) {
				end(errSilent)
			}
		}
	}
}
