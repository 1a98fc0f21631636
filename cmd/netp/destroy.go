package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) destroyCommand() *cobra.Command {
	var r reach
	var dir string
	var approve bool
	c := &cobra.Command{
		Use: "destroy SUITE", Short: "Forget the applied tests of a suite; its runs are kept", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.destroy(c.Context(), r, dir, args[0]) },
	}
	r.flags(c)
	c.Flags().StringVar(&dir, "dir", ".", "the suite's directory, where its state is kept")
	c.Flags().BoolVar(&approve, "auto-approve", false, "do not ask; what is forgotten can be applied again")
	return c
}

func (a *app) destroy(ctx context.Context, r reach, dir, suite string) error {
	b, err := a.backendOf(r, dir)
	if err != nil {
		return err
	}
	n, err := b.Destroy(ctx, suite)
	switch {
	case err != nil:
		return err
	case n == 0:
		a.out().Printf("Nothing of suite %s is applied.\n", suite)
	default:
		a.out().Printf("Forgot %d applied tests of suite %s. Its runs are kept: netp runs %s\n", n, suite, dir)
	}
	return nil
}
