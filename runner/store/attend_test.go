package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestAttended has a server that never answers a read: who asks hears so when patience is
// over, unless the server answers others, and then the bound of a try ends it.
func TestAttended(t *testing.T) {
	never := func(ctx context.Context) (bool, error) { <-ctx.Done(); return true, ctx.Err() }
	silent := func(ctx context.Context) bool {
		select {
		case <-time.After(connectTimeout):
		case <-ctx.Done():
		}
		return false
	}
	for name, c := range map[string]struct {
		answers func(context.Context) bool
		most    time.Duration
		least   time.Duration
	}{
		"silent": {silent, 45 * time.Second, 30 * time.Second},
		"busy":   {func(context.Context) bool { return true }, attemptTimeout, attemptTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(nil, dialect{attempt: attemptTimeout, answers: c.answers, lost: postgresLost, full: postgresFull, remedy: postgresRemedy}, "db", nil)
				s.patience = serverPatience
				begun := time.Now()
				err := s.explain(t.Context(), "list runs in", s.again(t.Context(), s.attended(never)))
				var away *Away
				if took := time.Since(begun); !errors.As(err, &away) || took < c.least || took > c.most {
					t.Errorf("%v after %s; want that the database is away after %s to %s", err, took, c.least, c.most)
				}
			})
		})
	}
}
