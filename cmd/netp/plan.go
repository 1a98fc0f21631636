package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/planfile"
)

// planning are the flags that shape a plan; plan and apply share them.
type planning struct {
	inputs
	reach
	targets, excludes []string
	json, compact     bool
	input             bool
	draft             bool // nobody gets the plan itself
}

func (p *planning) flags(c *cobra.Command) {
	p.inputs.flags(c)
	p.reach.flags(c)
	c.Flags().StringArrayVar(&p.targets, "target", nil, "only this test, session, path, profile, agent or module: -target='test.voice[\"syd->mel\"]'; may be repeated")
	c.Flags().StringArrayVar(&p.excludes, "exclude", nil, "all but this, as for -target; may be repeated")
	c.Flags().BoolVar(&p.json, "json", false, "write one JSON event per line")
	c.Flags().BoolVar(&p.compact, "compact-warnings", false, "one line per warning")
	c.Flags().BoolVar(&p.input, "input", true, "allow questions on the terminal")
}

func (a *app) planCommand() *cobra.Command {
	var p planning
	var out, markdown string
	var detailed bool
	c := &cobra.Command{
		Use:   "plan [DIR]",
		Short: "Show what would change and run, when, at what cost and with what power",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := errors.Join(sparesSuite(out), (&output{markdown: markdown}).check()); err != nil {
				return err
			}
			p.draft = out == "" && !p.json
			made, _, err := a.plan(c.Context(), directory(args), p)
			if err := errors.Join(err, a.planMarkdown(markdown, made, err)); err != nil {
				return err
			}
			a.showPlan(made, p)
			if out != "" {
				made.Home, _ = filepath.Abs(made.Suite.Dir) // without a working directory it has none
				if err := planfile.Write(out, made); err != nil {
					return fmt.Errorf("%w\n%s", err, nameAnotherFile)
				}
			}
			if !p.json {
				a.afterPlan(directory(args), out)
			}
			if detailed && changes(made) {
				a.code = exitChanges
			}
			return nil
		},
	}
	p.flags(c)
	c.Flags().StringVar(&out, "out", "", "save the plan to this file, for netp apply FILE")
	c.Flags().StringVar(&markdown, "markdown", "", "write the plan, or why there is none, as Markdown (at most 65 000 characters) to this file")
	c.Flags().BoolVar(&detailed, "detailed-exitcode", false, "exit 2 when there are changes, 0 when there are none")
	return c
}

// plan loads, checks and plans the suite in dir. Diagnostics are shown; with an
// error among them errShown comes back.
func (a *app) plan(ctx context.Context, dir string, p planning) (*plan.Plan, backend, error) {
	suite, diags := a.load(dir, p.inputs)
	if diags.HasErrors() {
		a.showDiagnostics(diags, p)
		return nil, nil, errShown
	}
	b, err := a.backend(p.reach, dir, suite.Settings.Controller)
	if err != nil {
		return nil, nil, err
	}
	_, here := b.(*localSite)
	found, err := a.checkSinks(ctx, suite, !here)
	if err != nil {
		return nil, nil, err
	}
	if diags = append(diags, quoted(dir, found)...); diags.HasErrors() {
		a.showDiagnostics(diags, p)
		return nil, nil, errShown
	}
	made, faults, err := a.build(ctx, b, suite, p)
	if err != nil {
		return nil, nil, err
	}
	if faults.HasErrors() {
		a.showDiagnostics(append(diags, quoted(dir, faults)...), p)
		return nil, nil, errShown
	}
	if len(diags) > 0 {
		a.showDiagnostics(diags, p)
	}
	a.suite = suite
	return made, b, nil
}

// build plans a suite against the agents and the state of where it will run.
func (a *app) build(ctx context.Context, b backend, suite *lang.Suite, p planning) (*plan.Plan, diag.List, error) {
	state, err := b.State(ctx, suite.Name)
	if err != nil {
		return nil, nil, err
	}
	there, err := b.Inventory(ctx, suite)
	if err != nil {
		return nil, nil, err
	}
	made, faults := plan.Build(plan.Input{
		Suite: suite, Catalogue: a.catalogue, Inventory: there.agents, Local: there.local,
		State: state, Now: a.env.now(), NetpVersion: version,
		Targets: p.targets, Excludes: p.excludes, Draft: p.draft,
	})
	return made, faults, nil
}

// planMarkdown writes what planning came to; failure is why there is no plan.
func (a *app) planMarkdown(path string, made *plan.Plan, failure error) error {
	if path == "" {
		return nil
	}
	outcome := view.PlanOutcome{Plan: made, Diagnostics: a.told}
	if failure != nil && !errors.Is(failure, errShown) {
		outcome.Problem = failure.Error()
	}
	return writeReport(path, []byte(view.PlanMarkdown(outcome)))
}

func (a *app) showDiagnostics(diags diag.List, p planning) {
	a.told = append(a.told, diags...)
	if p.json {
		a.stream().Diagnostics(diags)
		return
	}
	a.err().Diagnostics(diags, p.compact)
}

// stream is the JSON form of everything a command tells; it begins with the
// version line.
func (a *app) stream() *view.Stream {
	if a.events == nil {
		a.events = view.NewStream(a.env.stdout, version, a.env.now)
	}
	return a.events
}

func (a *app) showPlan(made *plan.Plan, p planning) {
	if p.json {
		a.stream().Plan(made)
		return
	}
	a.out().Plan(made, view.PlanOptions{CompactWarnings: p.compact})
}

func (a *app) afterPlan(dir, out string) {
	if out != "" {
		a.out().Printf("Saved to %s. To run exactly this plan: netp apply %s\n", out, out)
		return
	}
	a.out().Printf("Saved nothing. To run exactly this plan: netp plan -out=FILE %s, then netp apply FILE\n", dir)
}

func changes(p *plan.Plan) bool {
	for _, c := range p.Changes {
		if c.Action != plan.Unchanged {
			return true
		}
	}
	return false
}

// readPlan opens a saved plan and finds where it is applied.
func (a *app) readPlan(ctx context.Context, path string, r reach) (*plan.Plan, backend, error) {
	p, err := planfile.Read(path)
	if err != nil {
		return nil, nil, err
	}
	found := a.findSuite(path, p)
	b, err := a.backend(r, cmp.Or(found.dir, p.Suite.Dir), found.controller())
	if err != nil {
		return nil, nil, err
	}
	l, here := b.(*localSite)
	if found.dir == "" && (here && a.env.get("NETP_DATA_DIR") == "" || len(p.Sinks) > 0) {
		return nil, nil, fmt.Errorf("%s is of the suite %s in %s, which is not here\nGo to where the plan was made, or set NETP_DATA_DIR to where runs are kept.", path, p.Suite.Name, cmp.Or(p.Home, p.Suite.Dir))
	}
	if here { // a controller checks for itself, and attaches to the plan's run
		if err := l.free(); err != nil { // what is applied makes the plan stale
			return nil, nil, err
		}
		if err := a.checkPlan(ctx, l, path, p); err != nil {
			return nil, nil, err
		}
	}
	if len(p.Sinks) > 0 {
		if err := found.diags.Err(); err != nil {
			return nil, nil, fmt.Errorf("the sinks of %s need the suite: %w", path, err)
		}
		a.suite = withSinks(found.suite, p.Sinks)
	}
	return p, b, nil
}

// withSinks is a suite with the sinks of a plan, which may have been made with other variables. A plan holds no secrets: the suite has them.
func withSinks(suite *lang.Suite, sinks []plan.Sink) *lang.Suite {
	out := *suite
	out.Sinks = nil
	for _, s := range sinks {
		planned := lang.Sink{Addr: s.Addr, Type: s.Type, Arguments: []byte(s.Arguments)}
		for _, own := range suite.Sinks {
			if own.Addr == s.Addr {
				planned.Secrets, planned.Range = own.Secrets, own.Range
			}
		}
		out.Sinks = append(out.Sinks, planned)
	}
	return &out
}

// foundSuite is the suite of a saved plan: where it is from here, "" for nowhere, and what it loads as.
type foundSuite struct {
	dir   string
	suite *lang.Suite
	diags diag.List
}

// controller is the one that the suite names.
func (f foundSuite) controller() string {
	if f.suite == nil {
		return ""
	}
	return f.suite.Settings.Controller
}

// findSuite looks for the suite of a plan. A relative directory is one of where the plan was made: that is here, or where its file
// lies, or where it was then. A suite that does not load, for want of the plan's variables, is taken when there is no better one.
func (a *app) findSuite(path string, p *plan.Plan) (perhaps foundSuite) {
	places := []string{p.Suite.Dir}
	if !filepath.IsAbs(p.Suite.Dir) {
		places = append(places, filepath.Join(filepath.Dir(path), p.Suite.Dir))
	}
	for _, dir := range append(places, p.Home) {
		suite, diags := a.load(dir, inputs{})
		switch {
		case suite != nil && (suite.Name == p.Suite.Name || suite.Hash == p.Suite.Hash):
			return foundSuite{dir, suite, diags}
		case suite == nil && perhaps.dir == "" && !slices.ContainsFunc(diags, isAbsence):
			perhaps = foundSuite{dir, nil, diags}
		}
	}
	return perhaps
}

// isAbsence reports whether a diagnostic says that there is no suite at all.
func isAbsence(d diag.Diagnostic) bool {
	return d.Summary == "No suite" || d.Summary == "No suite files"
}

// checkPlan says whether a saved plan still fits what is applied.
func (a *app) checkPlan(ctx context.Context, l *localSite, path string, p *plan.Plan) error {
	state, err := l.State(ctx, p.Suite.Name)
	if err != nil {
		return err
	}
	err = planfile.Check(p, state)
	switch {
	case errors.Is(err, planfile.ErrApplied):
		return fmt.Errorf("%s has been applied already\nMake a new plan: netp plan -out=%s %s", path, path, l.dir)
	case errors.Is(err, planfile.ErrStale):
		return fmt.Errorf("%s is stale: something else has been applied since it was made\nMake a new plan: netp plan -out=%s %s", path, path, l.dir)
	}
	return err
}
