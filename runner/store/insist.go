package store

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Between two tries of what a controller begins with.
const (
	firstInsistence = time.Second
	lastInsistence  = 15 * time.Second
)

// Insist has do done, and done again, until ctx is done, for as long as it finds the
// database away: for what a controller that runs cannot do without. do must bear being
// done again.
func Insist(ctx context.Context, logger *slog.Logger, do func(context.Context) error) error {
	for pause := firstInsistence; ; pause = min(2*pause, lastInsistence) {
		err := do(ctx)
		if away := (*Away)(nil); !errors.As(err, &away) || ctx.Err() != nil {
			return err
		}
		logger.Warn("the controller cannot go on with what it begins with before it can use its store", "error", err, "again in", pause)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
