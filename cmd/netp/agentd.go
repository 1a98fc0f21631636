package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/join"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/quantity"
)

// serving are the flags of netp agent.
type serving struct {
	join, data, name string
	listen, address  string
	tags             map[string]string
	rate             string
	duration         time.Duration
	sessions         int
	bytesPerDay      uint64
	peers, endpoints []string
	drain            time.Duration
}

func (a *app) agentCommand() *cobra.Command {
	var f serving
	c := &cobra.Command{
		Use:   "agent -data DIR [-join TOKEN -name NAME]",
		Short: "Run the agent of this host",
		Long: "Run an agent: it joins the controller that made the token, keeps its key and membership in\n" +
			"DIR, and carries out the sessions it is ordered to, within the limits given here, which the\n" +
			"controller cannot raise. After the first start only -data is needed. Every flag can be given\n" +
			"by the environment, too: -max-rate by NETP_AGENT_MAX_RATE.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.fromEnvironment(c.Flags(), "NETP_AGENT_"); err != nil {
				return err
			}
			return a.serveAgent(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.join, "join", "", "join `token` from netp controller or netp agents token; not needed again")
	flags.StringVar(&f.data, "data", "", "`directory` for the agent's key and results not yet delivered; one agent each")
	flags.StringVar(&f.name, "name", "", "`name` to join under")
	flags.StringVar(&f.listen, "listen", ":8620", "`address` of the data port, UDP and TCP")
	flags.StringVar(&f.address, "address", "", "IP `address` that peers dial, when it is not the host's own")
	flags.StringToStringVar(&f.tags, "tag", nil, "a `key=value` that suites select agents by; repeatable")
	flags.StringVar(&f.rate, "max-rate", "10Mbps", "highest `rate` of a session, 0 for any")
	flags.DurationVar(&f.duration, "max-duration", time.Minute, "longest session, 0 for any")
	flags.IntVar(&f.sessions, "max-sessions", 0, "most sessions at a time, 0 for any number")
	flags.Uint64Var(&f.bytesPerDay, "max-bytes-per-day", 0, "most `bytes` sent in a day (UTC), 0 for any number")
	flags.StringSliceVar(&f.peers, "allow-peer", nil, "`network` in which agents may be that this one sends to; repeatable; default any")
	flags.StringSliceVar(&f.endpoints, "allow-endpoint", nil, "`host`, *.domain, network or * that is no agent and may be measured; repeatable; default none")
	flags.DurationVar(&f.drain, "drain", 30*time.Second, "how long sessions may go on after the agent was told to stop")
	return c
}

// restAfter is how long an agent takes to start, with time to spare.
const restAfter = 2 * time.Second

// serveAgent runs the agent until ctx is done.
func (a *app) serveAgent(ctx context.Context, f serving) error {
	logger := a.daemonLogger()
	config, err := f.config()
	if err != nil {
		return err
	}
	member, err := f.member(ctx, logger)
	if err != nil {
		return err
	}
	config.Name, config.ControllerKey = member.Name(), member.OrderKey()
	config.Version, config.Logger = version, logger
	config.Dial = func(context.Context) (*wire.Conn, error) {
		return wire.Connect(wire.Options{
			URL: "tls://" + strings.Join(member.Bus(), ",tls://"), Name: "agent " + string(member.Name()),
			TLS: member.TLS(), Agent: member.Name(), Denied: member.Doubt, Logger: logger})
	}
	one, err := agent.New(config)
	if err != nil {
		return err
	}
	logger.Info("agent starts", "agent", member.Name(), "rate", limit(config.Limits.Rate, "bit/s"), "duration", f.duration,
		"sessions", f.sessions, "bytes per day", f.bytesPerDay, "peers", f.peers, "endpoints", f.endpoints)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	twwidth.SetCacheCapacity(0) // an agent draws no tables
	defer time.AfterFunc(restAfter, rest).Stop()
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

// config is what the flags say of the agent. A limit that cannot be read is an
// error: an agent never runs with fewer limits than it was given.
func (f serving) config() (agent.Config, error) {
	c := agent.Config{Tags: f.tags, Address: f.address, Engines: agent.Engines(), Drain: f.drain}
	if f.data == "" {
		return c, errors.New("-data DIR is required: where the agent keeps its key and its results")
	}
	c.SpoolDir = filepath.Join(f.data, "spool")
	host, number, err := net.SplitHostPort(f.listen)
	if err == nil && host != "" {
		c.Listen.Address, err = netip.ParseAddr(host)
	}
	if err != nil {
		return c, fmt.Errorf("-listen %s: write [ADDRESS]:PORT: %w", f.listen, err)
	}
	dataPort, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return c, fmt.Errorf("-listen %s: %q is no port", f.listen, number)
	}
	c.Port = uint16(dataPort)
	c.Limits = netp.Limits{Duration: f.duration, Sessions: f.sessions, BytesPerDay: f.bytesPerDay}
	if f.rate != "0" {
		if c.Limits.Rate, err = bitRate(f.rate); err != nil {
			return c, fmt.Errorf("-max-rate %s: %w", f.rate, err)
		}
	}
	if f.duration < 0 || f.sessions < 0 {
		return c, errors.New("-max-duration and -max-sessions: a limit is not negative; 0 means none")
	}
	c.Reach, err = f.reach()
	return c, err
}

func (f serving) reach() (*agent.Reach, error) {
	r := &agent.Reach{Endpoints: f.endpoints}
	for _, text := range f.peers {
		p, err := netip.ParsePrefix(text)
		if a, addressErr := netip.ParseAddr(text); addressErr == nil {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("-allow-peer %s: write a network such as 192.0.2.0/24: %w", text, err)
		}
		r.Peers = append(r.Peers, p.Masked())
	}
	for _, pattern := range f.endpoints {
		if err := agent.CheckEndpoint(pattern); err != nil {
			return nil, fmt.Errorf("-allow-endpoint: %w", err)
		}
	}
	return r, nil
}

// bitRate reads a rate such as 10Mbps [bit/s], greater than 0.
func bitRate(text string) (float64, error) {
	for suffix, unit := range map[string]float64{"kbps": 1e3, "Mbps": 1e6, "Gbps": 1e9} {
		if number, ok := strings.CutSuffix(text, suffix); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
			if err == nil && v*unit >= 1 && v*unit <= 1e15 {
				return v * unit, nil
			}
		}
	}
	return 0, errors.New("write a rate in kbps, Mbps or Gbps, such as 10Mbps, or 0 for none")
}

// member gives the agent's membership: the one it has, else the one the token gets it.
func (f serving) member(ctx context.Context, logger *slog.Logger) (*join.Member, error) {
	m, err := join.Load(f.data)
	switch {
	case err == nil && f.name != "" && netp.AgentID(f.name) != m.Name():
		return nil, fmt.Errorf("the agent in %s is %q, not %q; leave -name out, or choose another -data directory", f.data, m.Name(), f.name)
	case err == nil:
		return m, nil
	case !errors.Is(err, join.ErrNotJoined):
		return nil, err
	case f.join == "" || f.name == "":
		return nil, fmt.Errorf("the agent in %s belongs to no controller yet: give -join TOKEN and -name NAME\nThe controller prints a token at its first start; netp agents token makes another.", f.data)
	}
	if m, err = join.Join(ctx, f.data, f.join, netp.AgentID(f.name)); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	logger.Info("joined the controller", "agent", m.Name(), "bus", m.Bus())
	return m, nil
}
