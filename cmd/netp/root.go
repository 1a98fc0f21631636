package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// app is one invocation of netp: its environment, its flags, and the exit code.
type app struct {
	env       environment
	written   *written // env.stdout
	catalogue netp.Catalogue
	code      int
	chdir     string
	noColor   bool
	events    *view.Stream // see stream
	suite     *lang.Suite  // of the plan, with the secrets of its sinks
	told      diag.List    // diagnostics shown so far
}

func newApp(env environment) *app {
	w := &written{to: env.stdout}
	env.stdout = w
	return &app{env: env, written: w, catalogue: agent.Catalogue()}
}

// out is the terminal for results, err the one for complaints.
func (a *app) out() view.Terminal { return a.env.screen(a.env.stdout, a.noColor) }
func (a *app) err() view.Terminal { return a.env.screen(a.env.stderr, a.noColor) }

// errShown is an error whose message has been shown already.
var errShown = errors.New("shown")

// execute runs the command line and gives the exit code.
func (a *app) execute(ctx context.Context) int {
	root := a.root()
	args, out := completing(withDefaults(a.env.args, a.env.get("NETP_CLI_ARGS")), a.env.stdout)
	args = doubleDashed(args)
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(a.env.stderr)
	root.SetIn(a.env.stdin)
	err := a.written.outcome(root.ExecuteContext(ctx))
	switch {
	case err == nil:
		return a.code
	case ctx.Err() != nil && errors.Is(err, context.Canceled): // before there was anything to report
		a.code, err = exitInterrupted, errors.New("interrupted")
	case a.code == exitPass:
		a.code = exitError
	}
	if !errors.Is(err, errShown) {
		if c, _, _ := root.Find(args); wantsEvents(c) {
			a.stream().Log("error", err.Error())
		}
		a.err().Problem(err.Error())
	}
	return a.code
}

// wantsEvents reports whether a command writes JSON events and was asked to.
func wantsEvents(c *cobra.Command) bool {
	if c.Name() != "plan" && c.Name() != "apply" {
		return false
	}
	json, err := c.Flags().GetBool("json")
	return err == nil && json
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "netp",
		Short: "Declarative network tests: plan them, run them with real traffic, gate on the verdict",
		Long: "netp reads a suite (a directory of HCL files), plans its sessions, runs them with real\n" +
			"traffic between agents, judges the results and exits with the verdict:\n" +
			"0 passed, 99 an assertion failed, 75 inconclusive, 1 error, 130 interrupted.\n\n" +
			"Long flags take one dash or two: -json, --json.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.chdir == "" {
				return nil
			}
			if err := os.Chdir(a.chdir); err != nil {
				return fmt.Errorf("-chdir: %w", err)
			}
			return nil
		},
	}
	root.Version = version
	root.SetVersionTemplate("netp {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")
	root.PersistentFlags().StringVar(&a.chdir, "chdir", "", "change to this directory first")
	root.PersistentFlags().BoolVar(&a.noColor, "no-color", false, "write without colours")
	root.AddCommand(
		a.initCommand(), a.validateCommand(), a.fmtCommand(), a.planCommand(), a.applyCommand(),
		a.showCommand(), a.graphCommand(), a.destroyCommand(), a.statusCommand(), a.suspendCommand(), a.resumeCommand(), a.reconcileCommand(),
		a.runsCommand(), a.historyCommand(), a.explainCommand(),
		a.controllerCommand(), a.agentCommand(), a.agentsCommand(), a.tokensCommand(), a.doctorCommand(), a.labCommand(), a.versionCommand(),
	)
	explainUse(root)
	return root
}

func (a *app) versionCommand() *cobra.Command {
	var json bool
	c := &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if json {
				return view.Document(a.env.stdout, map[string]any{
					"format_version": netp.FormatVersion, "netp_version": version, "kinds": kinds(a.catalogue),
				})
			}
			a.out().Printf("netp %s\n", version)
			return nil
		},
	}
	c.Flags().BoolVar(&json, "json", false, "as JSON")
	return c
}

func kinds(c netp.Catalogue) []string {
	var out []string
	for _, k := range c {
		out = append(out, string(k.Kind))
	}
	return out
}
