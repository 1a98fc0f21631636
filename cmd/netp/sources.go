package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/runner/gitops"
)

func (a *app) suspendCommand() *cobra.Command {
	return a.sourceCommand("suspend", "Stop looking at a source; what is applied of it stays, until netp resume",
		func(s gitops.Status) {
			a.out().Printf("Source %s is suspended: %s stays applied. To go on: netp resume %s\n", s.Name, s.Good, s.Name)
		})
}

func (a *app) resumeCommand() *cobra.Command {
	return a.sourceCommand("resume", "Look at a suspended source again, at once", func(s gitops.Status) {
		a.out().Printf("Source %s is followed again. To see how it is: netp status\n", s.Name)
	})
}

func (a *app) reconcileCommand() *cobra.Command {
	return a.sourceCommand("reconcile", "Look at a source at once, and apply again what is found", func(s gitops.Status) {
		if s.Suspended {
			a.out().Printf("Source %s is suspended and waits for: netp resume %s\n", s.Name, s.Name)
			return
		}
		a.out().Printf("The controller looks at source %s now. To see what comes of it: netp status\n", s.Name)
	})
}

// sourceCommand is a command that tells a controller to do something with a source.
func (a *app) sourceCommand(what, short string, tell func(gitops.Status)) *cobra.Command {
	var r reach
	var json bool
	c := &cobra.Command{
		Use: what + " SOURCE", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := a.tellSource(c.Context(), r, args[0], what)
			switch {
			case err != nil:
				return err
			case json:
				return view.Document(a.env.stdout, s)
			}
			tell(s)
			return nil
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&json, "json", false, "print how the source is, as one JSON document")
	return c
}

func (a *app) tellSource(ctx context.Context, r reach, source, what string) (gitops.Status, error) {
	b, err := a.backendOf(r, ".")
	if err != nil {
		return gitops.Status{}, err
	}
	remote, ok := b.(*remoteSite)
	if !ok {
		return gitops.Status{}, errors.New("sources are a controller's\nWhich controller? Give -controller URL or set NETP_CONTROLLER.")
	}
	return remote.TellSource(ctx, source, what)
}
