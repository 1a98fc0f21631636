package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/join"
	"github.com/netpupper/netp/agent/pace"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/config"
	"github.com/netpupper/netp/quantity"
)

// agentSettings are the flags of netp agent that its file may hold, too.
type agentSettings = settings[config.Agent]

func (a *app) agentCommand() *cobra.Command {
	var file string
	given := new(agentSettings)
	c := &cobra.Command{
		Use:   "agent [-config FILE] [-data DIR] [-join TOKEN -name NAME]",
		Short: "Run the agent of this host",
		Long: "Run an agent: it joins the controller that made the token, keeps its key and membership in\n" +
			"DIR, and carries out the sessions it is ordered to, within the limits given here, which the\n" +
			"controller cannot raise. A configuration FILE can hold all of it, and the named interfaces.\n" +
			"After the first start the token and the name are not needed. Every flag can be given by the\n" +
			"environment, too: -max-rate by NETP_AGENT_MAX_RATE. Flags win over the environment, the\n" +
			"environment over the file. After a change of the file, restart the agent.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.fromEnvironment(c.Flags(), "NETP_AGENT_"); err != nil {
				return err
			}
			s, err := a.agentFile(file, given)
			if err != nil {
				return err
			}
			return a.serveAgent(c.Context(), s)
		},
	}
	c.Flags().StringVar(&file, "config", "", "configuration `file`; without one the flags say all")
	agentFlags(given, c.Flags())
	return c
}

// agentFlags declares the flags that say the same as the agent's file.
func agentFlags(s *agentSettings, flags *pflag.FlagSet) {
	type conf = config.Agent
	text := func(field func(*conf) *string) func(*conf, []string) error { return single(asText, field) }
	s.flag(flags, "join", "", "join `token` from netp controller or netp agents token; not needed again", text(func(c *conf) *string { return &c.Join }))
	s.flag(flags, "join-file", "", "`file` that holds the join token", text(func(c *conf) *string { return &c.JoinFile }))
	s.flag(flags, "data", "", "`directory` for the agent's key and results not yet delivered; one agent each", text(func(c *conf) *string { return &c.Data }))
	s.flag(flags, "name", "", "`name` to join under", text(func(c *conf) *string { return &c.Name }))
	s.flag(flags, "listen", ":8620", "`address` of the data port, UDP and TCP", text(func(c *conf) *string { return &c.Listen }))
	s.flag(flags, "address", "", "IP `address` that peers dial, when it is not the host's own", text(func(c *conf) *string { return &c.Address }))
	s.flag(flags, "nat", "", "peers cannot reach this agent: it opens the data path itself", single(strconv.ParseBool, func(c *conf) *bool { return &c.NAT }))
	flags.Lookup("nat").NoOptDefVal = "true"
	s.flag(flags, "tag", "", "a `key=value` that suites select agents by; repeatable", putTags)
	s.flag(flags, "max-rate", "10Mbps", "highest `rate` of a session, 0 for any", single(orNone(lang.ParseBitRate), func(c *conf) *float64 { return &c.Limits.Rate }))
	s.flag(flags, "max-duration", "1m", "longest `duration` of a session, 0 for any", single(orNone(lang.ParseDuration), func(c *conf) *time.Duration { return &c.Limits.Duration }))
	s.flag(flags, "max-sessions", "", "largest `number` of sessions at a time, 0 for any", single(wholeNumber, func(c *conf) *int { return &c.Limits.Sessions }))
	s.flag(flags, "max-bytes-per-day", "", "most `bytes` sent in a day (UTC), such as 50GB; 0 for any number", single(byteNumber, func(c *conf) *uint64 { return &c.Limits.BytesPerDay }))
	s.flag(flags, "allow-peer", "", "`network` in which agents may be that this one sends to; repeatable; default any", list(config.ParseNetwork, func(c *conf) *[]netip.Prefix { return &c.Limits.Peers }))
	s.flag(flags, "allow-endpoint", "", "`host`, *.domain, network or * that is no agent and may be measured; repeatable; default none", list(endpointPattern, func(c *conf) *[]string { return &c.Limits.Endpoints }))
	s.flag(flags, "allow-kind", "", "`kind` of traffic that may be run; repeatable; default all", list(oneKind, func(c *conf) *[]string { return &c.Limits.Kinds }))
	s.flag(flags, "drain", "30s", "how long (`duration`) sessions may go on after the agent was told to stop", single(orNone(lang.ParseDuration), func(c *conf) *time.Duration { return &c.Drain }))
}

func putTags(c *config.Agent, texts []string) error {
	c.Tags = map[string]string{}
	for pair := range strings.SplitSeq(strings.Join(texts, ","), ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return fmt.Errorf("%q: write key=value", pair)
		}
		c.Tags[key] = value
	}
	return nil
}

// orNone reads a limit; 0 needs no unit.
func orNone[V float64 | time.Duration](read func(string) (V, error)) func(string) (V, error) {
	return func(text string) (V, error) {
		if text == "0" {
			return 0, nil
		}
		return read(text)
	}
}

func wholeNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number; 0 means any", text)
	}
	return int(n), nil
}

func byteNumber(text string) (uint64, error) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n, nil
	}
	f, err := lang.ParseSize(text)
	return uint64(f), err
}

func endpointPattern(text string) (string, error) { return text, agent.CheckEndpoint(text) }

func oneKind(text string) (string, error) {
	if known := kinds(agent.Catalogue()); !slices.Contains(known, text) {
		return "", fmt.Errorf("%q is no kind of traffic; there is %s", text, strings.Join(known, ", "))
	}
	return text, nil
}

// agentDefaults hold where neither file nor flags say anything.
func agentDefaults() config.Agent {
	return config.Agent{Listen: ":8620", Drain: 30 * time.Second,
		Limits: config.Limits{Limits: netp.Limits{Rate: 10e6, Duration: time.Minute}}}
}

// agentFile reads the agent's file, if it has one, and puts the flags over it. A
// file that is missing or has a fault keeps the agent from starting: it never runs
// with fewer limits than it was given.
func (a *app) agentFile(file string, given *agentSettings) (config.Agent, error) {
	s := agentDefaults()
	if file != "" {
		read, list := config.ReadAgent(file, s, config.Options{
			Environ: a.env.lookup, Kinds: kinds(a.catalogue), CheckEndpoint: agent.CheckEndpoint})
		a.err().Diagnostics(list, false)
		if list.HasErrors() {
			return s, fmt.Errorf("the agent does not start: %s has faults; mend them and start it again", file)
		}
		s = read
	}
	return s, given.apply(&s)
}

// serveAgent runs the agent until ctx is done.
func (a *app) serveAgent(ctx context.Context, s config.Agent) error {
	logger := a.daemonLogger()
	c, err := agentConfig(s)
	if err != nil {
		return err
	}
	member, err := membership(ctx, s, logger)
	if err != nil {
		return err
	}
	c.Name, c.ControllerKey = member.Name(), member.OrderKey()
	c.Version, c.Logger, c.Rest = version, logger, rest
	c.Dial = func(context.Context) (*wire.Conn, error) {
		return wire.Connect(wire.Options{
			URL: "tls://" + strings.Join(member.Bus(), ",tls://"), Name: "agent " + string(member.Name()),
			TLS: member.TLS(), Agent: member.Name(), Denied: member.Doubt, Logger: logger})
	}
	one, err := agent.New(c)
	if err != nil {
		return err
	}
	l := s.Limits
	logger.Info("agent starts", "agent", member.Name(), "rate", limit(l.Rate, "bit/s"), "duration", orAny(l.Duration), "sessions", orAny(l.Sessions),
		"bytes per day", orAny(l.BytesPerDay), "peers", someOr(l.Peers, "any"), "endpoints", someOr(l.Endpoints, "none"), "kinds", someOr(l.Kinds, "all"))
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	twwidth.SetCacheCapacity(0) // an agent draws no tables
	pace.PreferSession()        // where it may; what a busy host delays all the same, results tell
	var group errgroup.Group
	group.Go(func() error {
		err := member.Keep(ctx, logger)
		if err != nil {
			stop(fmt.Errorf("%w: %w", agent.ErrOut, err))
		}
		return err
	})
	group.Go(func() error {
		err := one.Run(ctx)
		stop(nil)
		return err
	})
	return group.Wait()
}

func limit(v float64, unit string) string {
	if v == 0 {
		return "any"
	}
	return quantity.Format(v, unit)
}

// orAny is a limit, of which 0 is none.
func orAny[T comparable](v T) any {
	if v == *new(T) {
		return "any"
	}
	return v
}

// someOr is a list, or what an empty one means.
func someOr[T any](list []T, empty string) any {
	if len(list) == 0 {
		return empty
	}
	return list
}

// agentConfig is the agent that the settings describe.
func agentConfig(s config.Agent) (agent.Config, error) {
	c := agent.Config{
		Tags: s.Tags, Address: s.Address, NAT: s.NAT, Engines: agent.Engines(), Drain: s.Drain, Interfaces: s.Interfaces,
		Limits: s.Limits.Limits, Reach: &agent.Reach{Peers: s.Limits.Peers, Endpoints: s.Limits.Endpoints},
	}
	if s.Data == "" {
		return c, errors.Join(errors.New("-data DIR is required: where the agent keeps its key and its results"), checkJoin(s))
	}
	c.SpoolDir = filepath.Join(s.Data, "spool")
	var err error
	if c.Listen.Address, c.Port, err = config.ParseListen(s.Listen); err != nil {
		return c, fmt.Errorf("-listen %s: %w", s.Listen, err)
	}
	for _, k := range s.Limits.Kinds {
		c.Kinds = append(c.Kinds, netp.Kind(k))
	}
	return c, nil
}

// membership gives the agent's membership: the one it has, else the one the token gets it.
func membership(ctx context.Context, s config.Agent, logger *slog.Logger) (*join.Member, error) {
	m, err := join.Load(s.Data)
	switch {
	case err == nil && s.Name != "" && netp.AgentID(s.Name) != m.Name():
		return nil, fmt.Errorf("the agent in %s is %q, not %q; leave -name out, or choose another -data directory", s.Data, m.Name(), s.Name)
	case err == nil:
		return m, nil
	case !errors.Is(err, join.ErrNotJoined):
		return nil, err
	}
	token, err := joinToken(s)
	if err != nil {
		return nil, err
	}
	if token == "" || s.Name == "" {
		return nil, fmt.Errorf("the agent in %s belongs to no controller yet: give -join TOKEN and -name NAME\nThe controller prints a token at its first start; netp agents token makes another.", s.Data)
	}
	if m, err = join.Join(ctx, s.Data, token, netp.AgentID(s.Name)); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	logger.Info("joined the controller", "agent", m.Name(), "bus", m.Bus())
	return m, nil
}

// checkJoin finds the faults of a join token that was given.
func checkJoin(s config.Agent) error {
	token, err := joinToken(s)
	if err != nil || token == "" {
		return err
	}
	if _, err = wire.ParseJoinToken(token); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if s.Name == "" {
		return errors.New("-name NAME is required, too: the agent joins under it")
	}
	return nil
}

// joinToken is the token itself, or what its file holds.
func joinToken(s config.Agent) (string, error) {
	if s.Join != "" || s.JoinFile == "" {
		return s.Join, nil
	}
	text, err := os.ReadFile(s.JoinFile)
	if err != nil {
		return "", fmt.Errorf("read the join token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
