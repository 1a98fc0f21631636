package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestHurry has a database that refuses connections, and one that says nothing: who ends waits for neither beyond the grace.
func TestHurry(t *testing.T) {
	away := errors.New("away")
	for name, try := range map[string]func(context.Context) (bool, error){
		"refuses": func(context.Context) (bool, error) { return true, away },
		"silent":  func(ctx context.Context) (bool, error) { <-ctx.Done(); return true, ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStore(nil, dialect{
					attempt: attemptTimeout, lost: func(err error) bool { return errors.Is(err, away) },
					full: postgresFull, remedy: postgresRemedy,
				}, "db", nil)
				s.patience = time.Hour
				begun, done := time.Now(), make(chan error)
				go func() { done <- s.again(t.Context(), try) }()
				time.Sleep(time.Minute)
				s.Hurry(10 * time.Second)
				var told *Away
				if err := s.explain(t.Context(), "write", <-done); !errors.As(err, &told) || time.Since(begun) > 72*time.Second || time.Since(begun) < 70*time.Second {
					t.Errorf("what was in progress ends after %s with %v", time.Since(begun), err)
				}
				begun = time.Now()
				if err := s.again(t.Context(), try); err == nil || time.Since(begun) > lateAttempt {
					t.Errorf("what comes later ends after %s with %v", time.Since(begun), err)
				}
				begun = time.Now()
				if err := s.again(t.Context(), try); err == nil || time.Since(begun) > 0 {
					t.Errorf("the one after it ends after %s with %v", time.Since(begun), err)
				}
			})
		})
	}
}
