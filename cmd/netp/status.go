package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
)

func (a *app) statusCommand() *cobra.Command {
	var r reach
	var json bool
	c := &cobra.Command{
		Use: "status [DIR]", Short: "Show how the controller is: what runs, what it follows, what repeats, who receives records", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := a.backendOf(r, directory(args))
			if err != nil {
				return err
			}
			if remote, ok := b.(*remoteSite); ok {
				return a.remoteStatus(c.Context(), remote, json)
			}
			if json {
				return view.Document(a.env.stdout, map[string]any{"format_version": netp.FormatVersion, "netp_version": version, "controller": ""})
			}
			a.out().Printf("No controller is configured: suites run in this process. To use one, give -controller URL or set NETP_CONTROLLER.\n")
			return nil
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&json, "json", false, "as one JSON document")
	return c
}

func (a *app) remoteStatus(ctx context.Context, r *remoteSite, json bool) error {
	s, err := r.Status(ctx)
	if err != nil {
		return err
	}
	if json {
		return view.Document(a.env.stdout, s)
	}
	return a.out().Status(r.URL(), s, a.env.now())
}
