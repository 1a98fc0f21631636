package main

import (
	"cmp"
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/api/client"
	"github.com/netpupper/netp/runner/store"
)

// backend is where suites are applied and runs are kept: this machine, or a
// controller. Its methods block for disk, network or a whole run.
type backend interface {
	site
	archive
}

// site is where suites are applied.
type site interface {
	// Inventory lists the agents that a plan may use.
	Inventory(ctx context.Context, suite *lang.Suite) (inventory, error)
	// State is what is applied of a suite; the zero State when nothing is.
	State(ctx context.Context, suite string) (plan.State, error)
	// Apply notes the plan as applied and runs it. When ctx ends the run is cancelled,
	// and the report still accounts for all sessions.
	Apply(ctx context.Context, p *plan.Plan, events func(runner.Event)) (netp.Report, error)
	// Destroy forgets what is applied of a suite and says how many tests it was.
	Destroy(ctx context.Context, suite string) (int, error)
}

// archive is where runs are kept.
type archive interface {
	// Runs lists the latest runs, of all suites for "", at most limit; 0 for all.
	Runs(ctx context.Context, suite string, limit int) ([]api.Run, error)
	// Run is a run with the records that are there; the latest for "".
	Run(ctx context.Context, run string) (api.Run, error)
	// History lists records of a path, the latest first.
	History(ctx context.Context, past store.Past) ([]netp.Record, error)
	// Paths lists the paths that have records.
	Paths(ctx context.Context) ([]store.KnownPath, error)
}

// inventory is the agents that a plan may use.
type inventory struct {
	agents []netp.Agent
	local  bool // the declared ones, all in this process
}

// reach says which controller a command is for.
type reach struct{ controller string }

func (r *reach) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.controller, "controller", "", "`URL` of the controller; default NETP_CONTROLLER, then what the suite says, then this process")
}

// backend chooses by flag, environment and the suite's own setting, in this order.
func (a *app) backend(r reach, dir, setting string) (backend, error) {
	address := cmp.Or(r.controller, a.env.get("NETP_CONTROLLER"), setting)
	if address == "" {
		return &localSite{app: a, dir: dir}, nil
	}
	c, err := a.controller(address)
	if err != nil {
		return nil, err
	}
	return &remoteSite{
		Client: c, holder: a.holder(), note: func(text string) { a.err().Printf("%s\n", text) },
		suite: func() *lang.Suite { return a.suite },
	}, nil
}

// controller is the one at the address, or the environment's.
func (a *app) controller(address string) (*client.Client, error) {
	address = cmp.Or(address, a.env.get("NETP_CONTROLLER"))
	if address == "" {
		return nil, errors.New("which controller? Give -controller URL or set NETP_CONTROLLER, for example https://netp.example.net:8640")
	}
	return client.New(client.Options{URL: address, Token: a.env.get("NETP_TOKEN"), Holder: a.holder()})
}

// backendOf is backend for commands that do not need the suite itself.
func (a *app) backendOf(r reach, dir string) (backend, error) {
	return a.backend(r, dir, a.setting(dir))
}

// setting is the controller that the suite in dir names; "" when it names none or
// cannot be read.
func (a *app) setting(dir string) string {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return ""
	}
	suite, _ := a.load(dir, inputs{})
	if suite == nil {
		return ""
	}
	return suite.Settings.Controller
}

// holder is how this user is named to others.
func (a *app) holder() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return cmp.Or(a.env.get("USER"), a.env.get("USERNAME"), "somebody") + "@" + host
}
