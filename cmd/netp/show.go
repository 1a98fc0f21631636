package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/plan/planfile"
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
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			return fmt.Errorf("cannot write %s: it is a directory\n%s", path, nameAnotherFile)
		}
		probe, err := os.CreateTemp(filepath.Dir(path), ".netp-*")
		if err != nil {
			return fmt.Errorf("cannot write %s: %w\n%s", path, durable.Reason(err), nameAnotherFile)
		}
		if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
			return err
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

// writeReport writes a file that a flag names.
func writeReport(path string, data []byte) error {
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
				if info, err := os.Stat(args[0]); err == nil && !info.IsDir() {
					return a.showSavedPlan(args[0], o, json)
				}
			}
			b, err := a.backendOf(r, dir)
			if err != nil {
				return err
			}
			report, err := b.Report(c.Context(), directoryOr(args, ""))
			if err != nil {
				return err
			}
			return a.showReport(report, b, dir, o, json)
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
	a.out().Plan(p)
	return nil
}

func (a *app) showReport(report netp.Report, b backend, dir string, o output, json bool) error {
	if err := o.files(report); err != nil {
		return err
	}
	if json {
		return view.Document(a.env.stdout, report)
	}
	return a.out().Report(report, view.ReportOptions{SuiteDir: dir, Exit: gate(report, ""), Stored: true, Dir: keptIn(b)})
}

func directoryOr(args []string, otherwise string) string {
	if len(args) > 0 {
		return args[0]
	}
	return otherwise
}
