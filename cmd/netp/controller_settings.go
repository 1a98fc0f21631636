package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/config"
)

// controllerSettings are the flags of netp controller that its file may hold, too.
type controllerSettings = settings[config.Controller]

// controlling are the flags of netp controller.
type controlling struct {
	file  string
	given controllerSettings
	following
	openMetrics bool
}

func (a *app) controllerCommand() *cobra.Command {
	var f controlling
	c := &cobra.Command{
		Use:   "controller [-config FILE] -data DIR",
		Short: "Run the controller that agents on other hosts join",
		Long: "Run the controller: the bus that agents connect to, the store of record, and the API for the\n" +
			"other commands. The first start makes the controller's keys and the admin token in DIR and\n" +
			"prints the line to run on an agent's host. With -repo or -dir it follows suites there: what\n" +
			"is committed is planned, its standing tests run again and again, the others once.\n" +
			"A configuration FILE can hold all of it, and several repositories and sinks for all suites.\n" +
			"Every flag can be given by the environment, too: -http by NETP_CONTROLLER_HTTP. Flags win over\n" +
			"the environment, the environment over the file.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.fromEnvironment(c.Flags(), "NETP_CONTROLLER_"); err != nil {
				return err
			}
			s, err := a.controllerFile(&f)
			if err != nil {
				return err
			}
			return a.control(c.Context(), s, f.openMetrics)
		},
	}
	c.Flags().StringVar(&f.file, "config", "", "configuration `file`; without one the flags say all")
	c.Flags().BoolVar(&f.openMetrics, "open-metrics", false, "answer /metrics without a token")
	controllerFlags(&f.given, c.Flags())
	f.following.flags(c.Flags())
	return c
}

// controllerFlags declares the flags that say the same as the controller's file.
func controllerFlags(s *controllerSettings, flags *pflag.FlagSet) {
	type conf = config.Controller
	text := func(field func(*conf) *string) func(*conf, []string) error { return single(asText, field) }
	s.flag(flags, "data", "", "`directory` for keys, state and history; only its owner may read it", text(func(c *conf) *string { return &c.Data }))
	s.flag(flags, "http", ":8640", "`address` of the API (HTTPS)", text(func(c *conf) *string { return &c.HTTP }))
	s.flag(flags, "bus", ":4222", "`address` of the bus that agents connect to (TLS)", text(func(c *conf) *string { return &c.Bus }))
	s.flag(flags, "advertise", "", "`hosts` by which agents reach the controller; default the host's own addresses", list(asText, func(c *conf) *[]string { return &c.Advertise }))
	s.flag(flags, "store", "", "`URL` of a PostgreSQL database, postgres://…; default the file netp.db in the data directory", text(func(c *conf) *string { return &c.Store }))
	s.flag(flags, "retention", "", "how long (`duration`, such as 90d) finished runs are kept; default for ever", single(lang.ParseDuration, func(c *conf) *time.Duration { return &c.Retention }))
	s.flag(flags, "webhook-secret-file", "", "`file` with the secret (16 bytes or more) of calls to /api/webhook", text(func(c *conf) *string { return &c.WebhookSecretFile }))
}

// controllerFile reads the controller's file, if it has one, and puts the flags
// over it. A file that is missing or has a fault keeps the controller from starting.
func (a *app) controllerFile(f *controlling) (config.Controller, error) {
	s := config.Controller{HTTP: ":8640", Bus: ":4222"}
	if f.file != "" {
		read, list := config.ReadController(f.file, s, config.Options{Environ: a.env.lookup})
		a.err().Diagnostics(list, false)
		if list.HasErrors() {
			return s, fmt.Errorf("the controller does not start: %s has faults; mend them and start it again", f.file)
		}
		s = read
	}
	err := errors.Join(f.given.apply(&s), f.following.add(&s, a.env.lookup))
	return s, err
}
