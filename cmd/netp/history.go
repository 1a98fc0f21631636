package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/store"
)

// history is what local runs of a suite left behind, in DIR/.netp/.
type history struct {
	*store.Store
	dir string
}

// storeFile is where the history of the suite in dir is kept.
func (a *app) storeFile(dir string) string {
	if data := a.env.get("NETP_DATA_DIR"); data != "" {
		return filepath.Join(data, "netp.db")
	}
	return filepath.Join(dir, ".netp", "netp.db")
}

// openStore opens the store of the suite in dir, made when missing.
func (a *app) openStore(ctx context.Context, dir string) (*store.Store, error) {
	s, err := store.Open(ctx, a.storeFile(dir))
	if err != nil {
		return nil, fmt.Errorf("%w\nTo keep runs elsewhere, set NETP_DATA_DIR to a directory that can be written.", err)
	}
	return s, nil
}

// openHistory opens the history of the suite in dir; without one the error says
// how to get one.
func (a *app) openHistory(ctx context.Context, dir string) (*history, error) {
	if _, err := os.Stat(a.storeFile(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no runs are kept in %s\nRun the suite first: netp apply %s; or name its directory with -dir.", filepath.Dir(a.storeFile(dir)), dir)
	}
	s, err := a.openStore(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &history{s, dir}, nil
}

// localState is what has been applied of a suite on this machine.
func (a *app) localState(ctx context.Context, dir, suite string) (plan.State, error) {
	if _, err := os.Stat(a.storeFile(dir)); errors.Is(err, fs.ErrNotExist) {
		return plan.State{}, nil
	}
	s, err := a.openStore(ctx, dir)
	if err != nil {
		return plan.State{}, err
	}
	state, err := s.State(ctx, suite)
	return state, errors.Join(err, s.Close())
}

// find gives the run with the id, or the latest one for "".
func (h *history) find(ctx context.Context, id string) (store.Run, error) {
	if id != "" {
		return h.FindRun(ctx, id)
	}
	runs, err := h.Runs(ctx, "", 1)
	if err == nil && len(runs) == 0 {
		err = fmt.Errorf("no runs are kept yet\nRun the suite first: netp apply %s", h.dir)
	}
	if err != nil {
		return store.Run{}, err
	}
	return runs[0], nil
}

// report is the whole report of a run.
func (h *history) report(ctx context.Context, id string) (netp.Report, error) {
	r, err := h.find(ctx, id)
	if err != nil {
		return netp.Report{}, err
	}
	r.Report.Records, err = h.Records(ctx, r.Report.Run)
	return r.Report, err
}

func (a *app) runsCommand() *cobra.Command {
	var json bool
	var limit int
	c := &cobra.Command{
		Use: "runs [DIR]", Short: "List the runs of a suite, the latest first", Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := a.openHistory(c.Context(), directory(args))
			if err != nil {
				return err
			}
			defer h.Close()
			runs, err := h.Runs(c.Context(), "", limit)
			if err != nil {
				return err
			}
			if json {
				return view.Document(a.env.stdout, map[string]any{"format_version": netp.FormatVersion, "runs": runs})
			}
			return a.out().Runs(runs, a.env.now())
		},
	}
	c.Flags().BoolVar(&json, "json", false, "as one JSON document")
	c.Flags().IntVar(&limit, "limit", 20, "list at most this many; 0 for all")
	return c
}

func (a *app) explainCommand() *cobra.Command {
	var dir string
	var json bool
	c := &cobra.Command{
		Use:   "explain [RUN/]SESSION",
		Short: "Explain one session: what was measured, how it was judged and why",
		Long: "Explain one session of a run, of the last run when none is named:\n" +
			"  netp explain 'test.voice[\"syd->mel\"]'\n  netp explain '0199c3a1-02ab/test.voice[\"syd->mel\"]'",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			h, err := a.openHistory(c.Context(), dir)
			if err != nil {
				return err
			}
			defer h.Close()
			record, err := h.session(c.Context(), args[0])
			if err != nil {
				return err
			}
			if json {
				return view.Document(a.env.stdout, record)
			}
			a.out().Session(record, a.metrics(record.Session), dir)
			return nil
		},
	}
	c.Flags().StringVar(&dir, "dir", ".", "the suite's directory, where its runs are kept")
	c.Flags().BoolVar(&json, "json", false, "print the record as one JSON document")
	return c
}

// session finds a record by RUN/SESSION, or SESSION of the last run. The prefix
// "test." may be left out.
func (h *history) session(ctx context.Context, arg string) (netp.Record, error) {
	run, address, found := strings.Cut(arg, "/")
	if !found || strings.Contains(run, "[") {
		run, address = "", arg
	}
	report, err := h.report(ctx, run)
	if err != nil {
		return netp.Record{}, err
	}
	for _, r := range report.Records {
		if r.Session.Addr == address || r.Session.Addr == "test."+address {
			return r, nil
		}
	}
	return netp.Record{}, fmt.Errorf("run %s has no session %s\nList its sessions: netp show %s", view.ShortID(report.Run), address, view.ShortID(report.Run))
}

// metrics are what a session of this kind and direction produces.
func (a *app) metrics(s netp.Session) []netp.MetricSpec {
	spec, ok := a.catalogue.Find(s.Kind)
	if !ok {
		return nil
	}
	return spec.Metrics(s.Params)
}
