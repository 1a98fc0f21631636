package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/runner/apply"
)

func (a *app) destroyCommand() *cobra.Command {
	var r reach
	var dir string
	var how approval
	c := &cobra.Command{
		Use: "destroy SUITE", Short: "End the standing tests of a suite and forget what is applied; its runs are kept", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.destroy(c.Context(), r, dir, args[0], how) },
	}
	r.flags(c)
	c.Flags().StringVar(&dir, "dir", ".", "the suite's directory, where its state is kept")
	c.Flags().BoolVar(&how.auto, "auto-approve", false, "do not ask before standing tests on a controller end; nothing else is ever asked")
	return c
}

func (a *app) destroy(ctx context.Context, r reach, dir, suite string, how approval) error {
	b, err := a.backendOf(r, dir)
	if err != nil {
		return err
	}
	ended := ""
	if remote, ok := b.(*remoteSite); ok {
		there, err := remote.Suite(ctx, suite)
		switch {
		case err != nil:
			return err
		case there.Source != "": // the controller would say so after the question
			return &apply.Owned{Suite: suite, Owner: apply.Owner{Source: there.Source}}
		}
		if n := standingTests(there.State); n > 0 {
			if err := a.approve(ctx, fmt.Sprintf("This ends the standing tests of suite %s on %s, %d in all.", suite, remote.URL(), n), how); err != nil {
				return err
			}
			ended = fmt.Sprintf("Ended the standing tests, %d in all. ", n)
		}
	}
	n, err := b.Destroy(ctx, suite)
	switch {
	case err != nil:
		return err
	case n == 0:
		a.out().Printf("Nothing of suite %s is applied.\n", suite)
	default:
		where := strings.TrimPrefix(view.DirFlag(keptIn(b)), "-dir=")
		a.out().Printf("%sForgot the applied tests of suite %s, %d in all. Its runs are kept: %s\n", ended, suite, n, strings.TrimSpace("netp runs "+where))
	}
	return nil
}
