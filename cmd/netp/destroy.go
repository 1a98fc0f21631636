package main

import (
	"context"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

func (a *app) destroyCommand() *cobra.Command {
	var dir string
	var approve bool
	c := &cobra.Command{
		Use: "destroy SUITE", Short: "Forget the applied tests of a suite; its runs are kept", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.destroy(c.Context(), dir, args[0]) },
	}
	c.Flags().StringVar(&dir, "dir", ".", "the suite's directory, where its state is kept")
	c.Flags().BoolVar(&approve, "auto-approve", false, "do not ask; a local state is forgotten without a question")
	return c
}

func (a *app) destroy(ctx context.Context, dir, suite string) error {
	history, err := a.openHistory(ctx, dir)
	if err != nil {
		return err
	}
	defer history.Close()
	before, err := history.State(ctx, suite)
	if err != nil {
		return err
	}
	if len(before.Tests) == 0 {
		a.out().Printf("Nothing of suite %s is applied.\n", suite)
		return nil
	}
	after := plan.State{Lineage: before.Lineage, Serial: before.Serial + 1, Tests: map[string]map[string]string{}}
	if err := history.Apply(ctx, store.Application{Suite: suite, PlanHash: uuid.NewString(), Before: before, After: after}); err != nil {
		return err
	}
	a.out().Printf("Forgot %d applied tests of suite %s. Its runs are kept: netp runs %s\n", len(before.Tests), suite, dir)
	return nil
}
