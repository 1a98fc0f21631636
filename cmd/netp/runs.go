package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
)

func (a *app) runsCommand() *cobra.Command {
	var r reach
	var json bool
	var suite string
	var limit int
	c := &cobra.Command{
		Use: "runs [DIR]", Short: "List runs, the latest first", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkNumber("limit", limit); err != nil {
				return err
			}
			b, err := a.backendOf(r, directory(args))
			if err != nil {
				return err
			}
			runs, err := b.Runs(c.Context(), suite, limit)
			if err != nil {
				return err
			}
			if json {
				return view.Document(a.env.stdout, map[string]any{"format_version": netp.FormatVersion, "runs": runs})
			}
			return a.out().Runs(runs)
		},
	}
	r.flags(c)
	c.Flags().BoolVar(&json, "json", false, "as one JSON document")
	c.Flags().StringVar(&suite, "suite", "", "list only the runs of this suite")
	c.Flags().IntVar(&limit, "limit", 20, "list at most this many; 0 for all")
	return c
}

func (a *app) explainCommand() *cobra.Command {
	var r reach
	var dir string
	var json bool
	c := &cobra.Command{
		Use:   "explain [RUN/]SESSION",
		Short: "Explain one session: what was measured, how it was judged and why",
		Long: "Explain one session of a run, or the latest one of its name when no run is named:\n" +
			"  netp explain 'test.voice[\"syd->mel\"]'\n  netp explain '0199c3a1-02ab/test.voice[\"syd->mel\"]'",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := a.backendOf(r, dir)
			if err != nil {
				return err
			}
			record, err := findSession(c.Context(), b, args[0])
			if err != nil {
				return err
			}
			if json {
				return view.Document(a.env.stdout, record)
			}
			spec, _ := a.catalogue.Find(record.Session.Kind)
			a.out().Session(record, spec, dir)
			return nil
		},
	}
	r.flags(c)
	c.Flags().StringVar(&dir, "dir", ".", "the suite's directory, where its runs are kept")
	c.Flags().BoolVar(&json, "json", false, "print the record as one JSON document")
	return c
}

// findSession finds a record by RUN/SESSION, or by SESSION the latest one: on a
// controller the last run is often a turn of something else. The prefix "test." may
// be left out.
func findSession(ctx context.Context, b backend, arg string) (netp.Record, error) {
	run, address, found := strings.Cut(arg, "/")
	if !found || strings.Contains(run, "[") {
		run, address = "", arg
	}
	whole, err := b.Run(ctx, run)
	if err != nil {
		return netp.Record{}, err
	}
	records := whole.Report.Records
	if at := strings.LastIndex(address, "["); at > 0 && run == "" {
		past, err := pastFlags{test: address[:at], limit: 1}.past([]string{strings.Trim(address[at:], `["]`)}, time.Time{})
		if err != nil {
			return netp.Record{}, err
		}
		earlier, err := b.History(ctx, past)
		if err != nil {
			return netp.Record{}, err
		}
		records = append(records, earlier...)
	}
	for _, r := range records {
		if r.Session.Addr == address || r.Session.Addr == "test."+address {
			return r, nil
		}
	}
	return netp.Record{}, fmt.Errorf("run %s has no session %s\nList its sessions: netp show %s%s", view.ShortID(whole.Report.Run), address, view.DirFlag(keptIn(b)), view.ShortID(whole.Report.Run))
}
