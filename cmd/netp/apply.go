package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
)

// applying are the flags of apply beside those of plan.
type applying struct {
	planning
	output
	inconclusive string
	parallelism  int
	approve      bool
}

func (a *app) applyCommand() *cobra.Command {
	var f applying
	c := &cobra.Command{
		Use:   "apply [DIR|PLANFILE]",
		Short: "Run every session once, judge the results and exit with the verdict",
		Long: "Run every session of a suite, or of a saved plan, once; judge the results, print the report\n" +
			"and exit with the verdict: 0 all passed, 99 an assertion failed, 75 inconclusive and nothing\n" +
			"worse, 1 error, 130 interrupted. Without a controller everything runs in this process.\n\n" +
			"With a controller the run is its own: a command that loses it does not stop it, and the same\n" +
			"command attaches again. Ctrl-C cancels the run; a second one leaves while it is being cancelled.\n" +
			"Of a run that somebody else began (another user or host) it only leaves, and the run goes on.\n" +
			"Tests with every or cron are installed there, too, and go on; netp destroy ends them.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.apply(c.Context(), directory(args), &f) },
	}
	f.planning.flags(c)
	f.output.flags(c)
	c.Flags().StringVar(&f.inconclusive, "inconclusive", "", "count an inconclusive run as `pass or fail`")
	c.Flags().IntVar(&f.parallelism, "parallelism", 0, "run at most this many sessions at a time; 0 for as many as the schedule allows")
	c.Flags().BoolVar(&f.approve, "auto-approve", false, "do not ask before standing tests on a controller change; nothing else is ever asked")
	return c
}

func (a *app) apply(ctx context.Context, arg string, f *applying) error {
	if err := errors.Join(checkInconclusive(f.inconclusive), checkNumber("parallelism", f.parallelism), f.output.check()); err != nil {
		return err
	}
	p, b, err := a.planOrFile(ctx, arg, f.planning)
	if err != nil {
		return err
	}
	local, here := b.(*localSite)
	if here {
		local.parallelism = f.parallelism
	} else if f.parallelism != 0 {
		return errors.New("-parallelism is for runs in this process: on a controller the agents' limits and the schedule decide")
	}
	a.showPlan(p, f.planning)
	if remote, ok := b.(*remoteSite); ok && !isFile(arg) { // a saved plan is the approval
		if err := a.approvePlan(ctx, remote, p, approval{auto: f.approve, silent: !f.input || f.json}); err != nil {
			return err
		}
	}
	report, err := a.runPlan(ctx, b, p, f)
	if err != nil {
		return err
	}
	a.code = gate(report, f.inconclusive)
	if here {
		a.tellDelivery(local.delivered, f.json)
	}
	if err := f.output.files(report); err != nil {
		a.code = cmp.Or(a.code, exitError) // as the verdict line is to say
		return errors.Join(err, a.finish(report, p, b, f))
	}
	return a.finish(report, p, b, f)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// planOrFile reads a saved plan, or plans the suite in a directory.
func (a *app) planOrFile(ctx context.Context, arg string, f planning) (*plan.Plan, backend, error) {
	if isFile(arg) {
		if len(f.given)+len(f.targets)+len(f.excludes) > 0 {
			return nil, nil, errors.New("a saved plan is complete: -var, -var-file, -target and -exclude belong to netp plan -out=FILE")
		}
		return a.readPlan(ctx, arg, f.reach)
	}
	p, b, err := a.plan(ctx, arg, f)
	if l, here := b.(*localSite); err == nil && here {
		err = l.free()
	}
	return p, b, err
}

// runPlan runs the plan and shows it running.
func (a *app) runPlan(ctx context.Context, b backend, p *plan.Plan, f *applying) (netp.Report, error) {
	events := make(chan runner.Event, 64)
	var report netp.Report
	var group errgroup.Group
	group.Go(func() error {
		defer close(events)
		var err error
		report, err = b.Apply(ctx, p, func(e runner.Event) { events <- e })
		return err
	})
	if f.json {
		a.narrate(events)
	} else {
		a.watch(ctx, b, p, events)
	}
	err := group.Wait()
	if errors.Is(err, errLeft) {
		a.code = exitInterrupted
	}
	return report, err
}

// watch shows the run for people until its events end.
func (a *app) watch(ctx context.Context, b backend, p *plan.Plan, events <-chan runner.Event) {
	progress := view.NewProgress(a.out(), p, a.env.now())
	defer progress.Close()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	interrupted := ctx.Done()
	for {
		select {
		case e, ok := <-events:
			if !ok {
				return
			}
			switch e := e.(type) {
			case runner.SessionState:
				progress.Start(e.Test, e.Session, e.At)
			case runner.Progress:
				progress.Update(e.Progress)
			case runner.SessionDone:
				progress.Finish(e.Record)
			}
		case <-tick.C:
			progress.Draw(a.env.now())
		case <-interrupted:
			interrupted = nil
			if remote, ok := b.(*remoteSite); ok && remote.others.Load() {
				continue // it is left at once
			}
			progress.Note("Interrupted: stopping the sessions; press Ctrl-C again to leave at once.")
		}
	}
}

// narrate writes the run as JSON events until they end.
func (a *app) narrate(events <-chan runner.Event) {
	for e := range events {
		switch e := e.(type) {
		case runner.SessionState:
			if e.State == runner.Preparing {
				a.stream().SessionStart(e.Run, e.Session.Addr, e.Attempt)
			}
		case runner.Progress:
			a.stream().Progress(e.Progress)
		case runner.SessionDone:
			a.stream().Record(e.Record)
		}
	}
}

func (a *app) tellDelivery(notes []string, json bool) {
	for _, note := range notes {
		if json {
			a.stream().Log("info", note)
		} else {
			a.out().Printf("%s\n", note)
		}
	}
}

// finish shows the outcome.
func (a *app) finish(report netp.Report, p *plan.Plan, b backend, f *applying) error {
	if f.json {
		a.stream().Summary(report, a.code)
		return nil
	}
	a.out().Printf("\n")
	return a.out().Report(report, view.ReportOptions{SuiteDir: cmp.Or(keptIn(b), p.Suite.Dir), Exit: a.code, Stored: true, Dir: keptIn(b)})
}
