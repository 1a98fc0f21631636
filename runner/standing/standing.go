// Package standing says when standing tests run.
package standing

import (
	"context"
	"log/slog"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// Status is how one standing test is doing.
type Status struct{}

// Executor executes turns.
type Executor interface {
	Execute(context.Context, runner.Work, func(runner.Event)) (netp.Report, error)
	Miss(context.Context, runner.Work, netp.Failure) (netp.Report, error)
}

// Config is what a Scheduler needs.
type Config struct {
	Executor Executor
	Store    *store.Store
	Logger   *slog.Logger
}

// Scheduler runs standing tests.
type Scheduler struct{}

// New gives a Scheduler.
func New(Config) (*Scheduler, error) { return new(Scheduler), nil }

// Run runs until ctx is done.
func (*Scheduler) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Install replaces what the suite had.
func (*Scheduler) Install(store.StandingPlan) {}

// Remove removes a suite.
func (*Scheduler) Remove(string) {}

// Status is per test.
func (*Scheduler) Status() []Status { return nil }
