package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/bus"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/store"
)

// controlling are the flags of netp controller.
type controlling struct {
	data      string
	http, bus string
	advertise []string
}

func (a *app) controllerCommand() *cobra.Command {
	var f controlling
	c := &cobra.Command{
		Use:   "controller -data DIR",
		Short: "Run the controller that agents on other hosts join",
		Long: "Run the controller: the bus that agents connect to, the store of record, and the API for the\n" +
			"other commands. The first start makes the controller's keys and the admin token in DIR and\n" +
			"prints the line to run on an agent's host. Every flag can be given by the environment, too:\n" +
			"-http by NETP_CONTROLLER_HTTP.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := a.fromEnvironment(c.Flags(), "NETP_CONTROLLER_"); err != nil {
				return err
			}
			return a.control(c.Context(), f)
		},
	}
	c.Flags().StringVar(&f.data, "data", "", "`directory` for keys, state and history; only its owner may read it")
	c.Flags().StringVar(&f.http, "http", ":8640", "`address` of the API (HTTPS)")
	c.Flags().StringVar(&f.bus, "bus", ":4222", "`address` of the bus that agents connect to (TLS)")
	c.Flags().StringSliceVar(&f.advertise, "advertise", nil, "`hosts` by which agents reach the controller; default the host's own addresses")
	return c
}

// fromEnvironment sets the flags that were not given from the environment.
func (a *app) fromEnvironment(flags *pflag.FlagSet, prefix string) error {
	var bad error
	flags.VisitAll(func(f *pflag.Flag) {
		name := prefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := a.env.lookup(name); ok && !f.Changed {
			if err := flags.Set(f.Name, value); err != nil {
				bad = errors.Join(bad, fmt.Errorf("%s: %w", name, err))
			}
		}
	})
	return bad
}

// daemonLogger is logger, but a daemon says what an operator can act on unless told otherwise.
func (a *app) daemonLogger() *slog.Logger {
	if a.env.get("NETP_LOG") != "" {
		return a.logger()
	}
	return slog.New(slog.NewTextHandler(a.env.stderr, nil))
}

// maxClients bounds the connections to the API, those of friends included.
const maxClients = 4096

// control runs the controller until ctx is done.
func (a *app) control(ctx context.Context, f controlling) (err error) {
	if f.data == "" {
		return errors.New("-data DIR is required: where the controller keeps its keys, state and history")
	}
	d := &controllerDaemon{logger: a.daemonLogger()}
	defer func() { err = errors.Join(err, d.close()) }()
	listener, err := net.Listen("tcp", f.http)
	if err != nil {
		return fmt.Errorf("open the API's address: %w\nIf another program has it, stop that one or give this controller another address with -http.", err)
	}
	d.closers = append(d.closers, func() error { listener.Close(); return nil })
	controllers, busAddresses, err := addresses(f, listener.Addr())
	if err != nil {
		return err
	}
	if d.authority, err = enrol.Open(enrol.Options{Dir: f.data, Bus: busAddresses, Controllers: controllers, Logger: d.logger}); err != nil {
		return err
	}
	if err := d.open(ctx, a, f); err != nil {
		return err
	}
	if err := a.welcomeAgents(d.authority); err != nil {
		return err
	}
	d.logger.Info("controller is up", "api", "https://"+controllers[0], "bus", busAddresses[0], "admin token", d.authority.AdminTokenFile())
	return d.serve(ctx, tls.NewListener(&callers{Listener: netutil.LimitListener(listener, maxClients), max: maxStrangers}, d.authority.HTTPTLS()))
}

// controllerDaemon is a controller that runs.
type controllerDaemon struct {
	logger    *slog.Logger
	authority *enrol.Authority
	server    *bus.Server
	store     *store.Store
	runner    *runner.Runner
	api       *api.Server
	ready     atomic.Bool
	closers   []func() error // run in reverse
}

func (d *controllerDaemon) close() error {
	var err error
	for i := len(d.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, d.closers[i]())
	}
	return err
}

// open opens the bus, the store and the runner. The bus goes first: its lock keeps
// a second controller out of the directory.
func (d *controllerDaemon) open(ctx context.Context, a *app, f controlling) (err error) {
	d.server, err = bus.Start(bus.Config{
		Dir: filepath.Join(f.data, "bus"), Listen: f.bus, TLS: d.authority.BusTLS(), Admit: d.admit, Logger: d.logger})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, d.server.Close)
	if d.store, err = store.Open(ctx, filepath.Join(f.data, "netp.db")); err != nil {
		return err
	}
	d.closers = append(d.closers, d.store.Close)
	queues, err := bus.Open(ctx, bus.Options{Server: d.server, Results: wire.PartSubjects, Lease: runner.DefaultLease, Logger: d.logger})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, func() error { queues.Close(); return nil })
	conn, err := wire.Connect(wire.Options{InProcess: d.server, Name: "netp controller", Logger: d.logger})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, func() error { conn.Close(); return nil })
	epoch, err := d.authority.NextEpoch()
	if err != nil {
		return err
	}
	d.runner, err = runner.New(runner.Config{
		Bus: queues, Conn: conn, Store: d.store, Key: d.authority.OrderKey(), Epoch: epoch,
		Catalogue: a.catalogue, Drained: d.authority.Drained, From: d.from, Version: version, Logger: d.logger,
	})
	if err != nil {
		return err
	}
	d.api, err = api.New(api.Config{
		Runner: d.runner, Store: d.store, Fleet: d.runner.Fleet(), Catalogue: a.catalogue, Version: version, Logger: d.logger,
		Authorise: d.authority.Authorise,
	})
	return err
}

// admit tells the bus what an agent's connection may do.
func (d *controllerDaemon) admit(cert *x509.Certificate) (bus.Guest, error) {
	id, err := d.authority.Admit(cert)
	if err != nil {
		return bus.Guest{Name: string(id)}, err
	}
	publish, subscribe := wire.AgentSubjects(id)
	return bus.Guest{Name: string(id), Publish: publish, Subscribe: subscribe, Until: cert.NotAfter}, nil
}

// from is the address that an agent's connection comes from.
func (d *controllerDaemon) from(id netp.AgentID) (netip.Addr, bool) { return d.server.From(string(id)) }

// stopGrace is how long requests in progress may take when the controller stops.
const stopGrace = 5 * time.Second

// serve runs until ctx is done: first the API takes no more, then the agents are
// let go; their results wait in their spools and in the queue.
func (d *controllerDaemon) serve(ctx context.Context, listener net.Listener) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	web := &http.Server{
		Handler: recognise(d.known, d.handler()), ConnContext: callerContext, ReadHeaderTimeout: stopGrace, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(d.logger.Handler(), slog.LevelDebug),
	}
	group, serving := errgroup.WithContext(serving)
	group.Go(func() error { return d.runner.Serve(serving) })
	group.Go(func() error {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("API: %w", err)
		}
		return nil
	})
	d.ready.Store(true)
	select {
	case <-ctx.Done():
	case <-serving.Done():
	}
	d.ready.Store(false)
	d.logger.Info("controller stops")
	d.api.Close() // runs are cancelled and recorded while the runner still serves
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if web.Shutdown(grace) != nil { // somebody is slow
		web.Close()
	}
	stop()
	return group.Wait()
}

// known reports whether a request shows a good token.
func (d *controllerDaemon) known(r *http.Request) bool {
	word, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if ok {
		_, ok = d.authority.Authorise(word)
	}
	return ok
}

// handler is everything the controller answers over HTTP.
func (d *controllerDaemon) handler() http.Handler {
	mux := http.NewServeMux()
	enrol.API{
		Authority: d.authority, Present: d.present,
		Expel: func(id netp.AgentID) { d.server.Expel(string(id)) },
	}.Register(mux)
	mux.Handle(api.Prefix, d.api.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := d.store.Runs(r.Context(), "", 1); err != nil || !d.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	return mux
}

func (d *controllerDaemon) present() []enrol.Presence {
	var out []enrol.Presence
	for _, m := range d.runner.Fleet().Members() {
		out = append(out, enrol.Presence{Agent: m.Agent, Running: m.Running, Draining: m.Draining, Health: m.Health, Seen: m.Seen})
	}
	return out
}

// welcomeAgents prints the line that brings in the first agent.
func (a *app) welcomeAgents(authority *enrol.Authority) error {
	if len(authority.Members()) > 0 {
		return nil
	}
	token, err := authority.Token(enrol.TokenRequest{})
	if err != nil {
		return err
	}
	a.out().Printf("%s\n", joinLine(token.String()))
	return nil
}

// joinLine is what to run on an agent's host.
func joinLine(token string) string { return "netp agent -join " + token + " -data DIR -name NAME" }

// maxAdvertised bounds the addresses in a token.
const maxAdvertised = 4

// addresses are those, HOST:PORT, by which agents reach the API and the bus.
func addresses(f controlling, api net.Addr) (controllers, buses []string, err error) {
	apiHost, _, err := net.SplitHostPort(f.http)
	if err != nil {
		return nil, nil, fmt.Errorf("-http %s: %w", f.http, err)
	}
	_, apiPort, err := net.SplitHostPort(api.String())
	if err != nil {
		return nil, nil, err
	}
	busHost, busPort, err := net.SplitHostPort(f.bus)
	if err == nil && (busPort == "0" || busPort == "") {
		err = errors.New("agents are told the port, so it must be a fixed one")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("-bus %s: %w", f.bus, err)
	}
	apiHosts, err := hosts(f.advertise, apiHost)
	if err != nil {
		return nil, nil, err
	}
	busHosts, err := hosts(f.advertise, busHost)
	if err != nil {
		return nil, nil, err
	}
	return withPort(apiHosts, apiPort), withPort(busHosts, busPort), nil
}

// hosts are the advertised ones, or the one listened on, or the machine's own.
func hosts(advertised []string, listened string) ([]string, error) {
	if len(advertised) > 0 {
		return advertised, nil
	}
	if a, err := netip.ParseAddr(listened); listened != "" && (err != nil || !a.IsUnspecified()) {
		return []string{listened}, nil
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("find the addresses of this host: %w", err)
	}
	var out []string
	for _, f := range found {
		if p, err := netip.ParsePrefix(f.String()); err == nil && p.Addr().IsGlobalUnicast() && len(out) < maxAdvertised {
			out = append(out, p.Addr().Unmap().String())
		}
	}
	if len(out) == 0 {
		name, err := os.Hostname()
		if err != nil {
			return nil, errors.New("this host has no address that others could reach; name one with -advertise HOST")
		}
		out = []string{name}
	}
	return out, nil
}

func withPort(hosts []string, port string) []string {
	out := make([]string, len(hosts))
	for i, h := range hosts {
		out[i] = net.JoinHostPort(strings.Trim(h, "[]"), port)
	}
	return out
}
