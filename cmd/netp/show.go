package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan/planfile"
	"github.com/netpupper/netp/runner/api"
)

// output are the flags that choose how a report is written.
type output struct{ junit, markdown string }

func (o *output) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.junit, "junit-xml", "", "write the report as JUnit XML to this file")
	c.Flags().StringVar(&o.markdown, "markdown", "", "write the report as Markdown (at most 65 000 characters) to this file")
}

// nameAnotherFile is what helps when a file cannot be written.
const nameAnotherFile = "Name a file in a directory that exists, that has room and that you may write to."

// check finds out before a run whether its reports can be written after it.
func (o *output) check() error {
	for _, path := range []string{o.junit, o.markdown} {
		if path == "" {
			continue
		}
		if err := sparesSuite(path); err != nil {
			return err
		}
		if err := durable.Probe(path); err != nil {
			return fmt.Errorf("cannot write %s: %w\n%s", path, err, nameAnotherFile)
		}
	}
	return nil
}

// files writes the report files asked for.
func (o *output) files(r netp.Report) error {
	if o.junit != "" {
		data, err := view.JUnit(r)
		if err != nil {
			return err
		}
		if err := writeReport(o.junit, data); err != nil {
			return err
		}
	}
	if o.markdown != "" {
		text, err := view.Markdown(r)
		if err != nil {
			return err
		}
		return writeReport(o.markdown, []byte(text))
	}
	return nil
}

// sparesSuite refuses to write over what a suite is made of.
func sparesSuite(path string) error {
	if !lang.EndsAsSource(path) {
		return nil
	}
	return fmt.Errorf("cannot write %s: its name is that of a file of a suite, which would be lost or broken\n"+
		"Give it another ending than .hcl, .netp.json, .auto.vars and .auto.vars.json.", path)
}

// writeReport writes a file that a flag names.
func writeReport(path string, data []byte) error {
	if err := sparesSuite(path); err != nil {
		return err
	}
	if err := durable.Replace(path, data, 0o644); err != nil {
		return fmt.Errorf("%w\n%s", err, nameAnotherFile)
	}
	return nil
}

func (a *app) showCommand() *cobra.Command {
	var o output
	var r reach
	var dir string
	var json bool
	c := &cobra.Command{
		Use:   "show [PLANFILE|RUN]",
		Short: "Show a saved plan or a run; the last run when none is named",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if args[0] == "" {
					return errors.New("the name of the run is empty\nList the runs: netp runs; or show the last one: netp show")
				}
				if info, err := os.Stat(args[0]); err == nil && !info.IsDir() {
					return a.showSavedPlan(args[0], o, json)
				}
			}
			b, err := a.backendOf(r, dir)
			if err != nil {
				return err
			}
			run, err := b.Run(c.Context(), directoryOr(args, ""))
			if err != nil {
				return err
			}
			return a.showRun(run, b, dir, o, json)
		},
	}
	o.flags(c)
	r.flags(c)
	c.Flags().BoolVar(&json, "json", false, "print the plan or the report as one JSON document")
	c.Flags().StringVar(&dir, "dir", ".", "the suite's directory, where its runs are kept")
	return c
}

func (a *app) showSavedPlan(path string, o output, json bool) error {
	if o.junit != "" {
		return errors.New("-junit-xml is for runs: a plan has no verdicts; -markdown writes it as Markdown")
	}
	p, err := planfile.Read(path)
	if err != nil {
		return err
	}
	if err := a.planMarkdown(o.markdown, p, nil); err != nil {
		return err
	}
	if json {
		return view.Document(a.env.stdout, p)
	}
	a.out().Plan(p, view.PlanOptions{})
	return nil
}

func (a *app) showRun(run api.Run, b backend, dir string, o output, json bool) error {
	if err := o.files(run.Report); err != nil {
		return err
	}
	if json {
		return view.Document(a.env.stdout, run.Report)
	}
	return a.out().Report(run.Report, view.ReportOptions{
		SuiteDir: dir, Exit: gate(run.Report, ""), Stored: true, Dir: keptIn(b), State: run.State, Planned: run.Sessions,
	})
}

func directoryOr(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}
