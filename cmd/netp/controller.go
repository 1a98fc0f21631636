package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/lang/config"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/api"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/bus"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/metrics"
	"github.com/netpupper/netp/runner/reconcile"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/standing"
	"github.com/netpupper/netp/runner/store"
)

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
func (a *app) control(ctx context.Context, s config.Controller, openMetrics bool) (err error) {
	if s.Data == "" {
		return errors.New("-data DIR is required: where the controller keeps its keys, state and history")
	}
	if s.Store != "" && !store.IsPostgres(s.Store) { // not repeated: it may hold a password
		return errors.New("the store is not the URL of a PostgreSQL database\nWrite it like postgres://user:password@host:5432/database?sslmode=verify-full; without one the history is a file in the data directory.")
	}
	growth(100) // it has thousands of results at a time, for as long as the host runs
	d := &controllerDaemon{logger: a.daemonLogger(), settings: s, openMetrics: openMetrics, tookOver: make(chan struct{}), remembered: make(chan struct{})}
	defer func() { err = errors.Join(err, d.close()) }()
	listener, err := net.Listen("tcp", s.HTTP)
	if err != nil {
		return fmt.Errorf("open the API's address: %w\nIf another program has it, stop that one or give this controller another address with -http.", err)
	}
	d.closers = append(d.closers, func() error { listener.Close(); return nil })
	controllers, busAddresses, err := addresses(s, listener.Addr())
	if err != nil {
		return err
	}
	if d.authority, err = enrol.Open(enrol.Options{Dir: s.Data, Bus: busAddresses, Controllers: controllers, Logger: d.logger}); err != nil {
		return err
	}
	if err := d.open(ctx, a); err != nil {
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
	logger      *slog.Logger
	settings    config.Controller
	authority   *enrol.Authority
	server      *bus.Server
	store       *store.Store
	runner      *runner.Runner
	metrics     *metrics.Metrics
	runs        *runs.Runs
	sinks       *sinkDesk
	scheduler   *standing.Scheduler
	applier     *apply.Applier
	reconciler  *reconcile.Reconciler
	api         *api.Server
	webhook     http.Handler // nil without a secret
	openMetrics bool
	tookOver    chan struct{} // closed when the controller has what the last one left
	remembered  chan struct{} // closed when the metrics know what ran before
	ready       atomic.Bool
	closers     []func() error // run in reverse
}

func (d *controllerDaemon) close() error {
	var err error
	for i := len(d.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, d.closers[i]())
	}
	return err
}

// open opens the bus, the store and the runner, then what stands on them. The bus
// goes first: its lock keeps a second controller out of the directory.
func (d *controllerDaemon) open(ctx context.Context, a *app) (err error) {
	d.server, err = bus.Start(bus.Config{
		Dir: filepath.Join(d.settings.Data, "bus"), Listen: d.settings.Bus, TLS: d.authority.BusTLS(), Admit: d.admit, Logger: d.logger})
	if err != nil {
		return fmt.Errorf("%w\nThe bus listens on %s (-bus) and keeps its files below %s (-data).", err, d.settings.Bus, d.settings.Data)
	}
	d.closers = append(d.closers, d.server.Close)
	where := cmp.Or(d.settings.Store, filepath.Join(d.settings.Data, "netp.db"))
	if d.store, err = store.Open(ctx, where, func(text string) { d.logger.Warn(text) }); err != nil {
		return err
	}
	d.closers = append(d.closers, d.store.Close)
	if err := d.openRunner(ctx, a); err != nil {
		return err
	}
	if d.sinks, err = a.openSinks(ctx, d.store, d.settings, d.logger); err != nil {
		return err
	}
	d.metrics = d.newMetrics(a.catalogue)
	d.runs = runs.New(runs.Config{Executor: d.runner, Observe: d.observe, Logger: d.logger})
	if d.scheduler, err = standing.New(standing.Config{Executor: d.runs, Store: d.store, Logger: d.logger}); err != nil {
		return err
	}
	d.applier, err = apply.New(apply.Config{Runs: d.runs, Store: d.store, Scheduler: d.scheduler, Sinks: d.sinks, Applied: d.metrics.Keep, Logger: d.logger})
	if err != nil {
		return err
	}
	if err := d.openReconciler(ctx, a); err != nil {
		return err
	}
	d.api, err = api.New(api.Config{
		Applier: d.applier, Runs: d.runs, Store: d.store, Fleet: d.runner.Fleet(), Catalogue: a.catalogue, Version: version, Logger: d.logger,
		Sources: d.reconciler, Standing: d.scheduler.Status, Sinks: d.sinks.States,
		Authorise: d.authority.Authorise,
	})
	return err
}

func (d *controllerDaemon) openRunner(ctx context.Context, a *app) error {
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
	return err
}

func (d *controllerDaemon) openReconciler(ctx context.Context, a *app) error {
	sources, err := a.sources(ctx, d.settings)
	if err != nil {
		return err
	}
	d.reconciler, err = reconcile.New(reconcile.Config{
		Applier: d.applier, Store: d.store, Fleet: d.runner.Fleet(), Belongs: d.authority.Belongs,
		Catalogue: a.catalogue, Version: version, Logger: d.logger,
	}, sources)
	if err != nil {
		return err
	}
	if hook, err := webhook(d.settings.WebhookSecretFile, d.reconciler.Poll); err != nil {
		return err
	} else if hook != nil {
		d.webhook = hook
	}
	return nil
}

// observe hears every event of every run.
func (d *controllerDaemon) observe(e runner.Event) {
	d.metrics.Observe(e)
	if _, ok := e.(runner.SessionDone); ok {
		d.sinks.delivery.Wake() // the record is in the store
	}
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

const (
	// stopGrace is how long requests in progress may take when the controller stops.
	stopGrace = 5 * time.Second
	// storeGrace is how long a store that is away is waited for then. What it does not
	// take the next controller goes on with.
	storeGrace = 10 * time.Second
)

// serve runs until ctx is done. It begins with what the last controller left, then
// standing tests, then sources. It ends in reverse: sources and standing tests
// begin nothing more, the runs are cancelled and recorded while the runner still
// serves, then the API and the sinks end, and the agents are let go; their results
// wait in their spools and in the queue.
func (d *controllerDaemon) serve(ctx context.Context, listener net.Listener) error {
	defer context.AfterFunc(ctx, func() { d.store.Hurry(storeGrace) })()
	lasting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	web := &http.Server{
		Handler: recognise(d.known, d.handler()), ConnContext: callerContext, ReadHeaderTimeout: stopGrace, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(d.logger.Handler(), slog.LevelDebug),
	}
	group, lasting := errgroup.WithContext(lasting)
	group.Go(func() error { return d.runner.Serve(lasting) })
	group.Go(func() error { return d.sinks.Run(lasting) })
	group.Go(func() error {
		d.remember(lasting) // of thousands of sessions that takes a while
		return nil
	})
	group.Go(func() error {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("API: %w", err)
		}
		return nil
	})
	err := d.begin(ctx, lasting)
	d.ready.Store(false)
	d.logger.Info("controller stops")
	err = errors.Join(err, d.reconciler.Again(context.WithoutCancel(ctx), d.runs.Close()))
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if web.Shutdown(grace) != nil { // somebody is slow
		web.Close()
	}
	stop()
	return errors.Join(err, group.Wait())
}

// takeOver goes on with what the last controller left. It may be called again.
func (d *controllerDaemon) takeOver(ctx context.Context) error {
	if err := d.reconciler.Prepare(ctx); err != nil {
		return err
	}
	return d.applier.Resume(ctx)
}

// begin takes over what was left, and runs what begins runs by itself, until ctx or
// lasting is done.
func (d *controllerDaemon) begin(ctx, lasting context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(lasting, cancel)()
	if err := store.Insist(ctx, d.logger, d.takeOver); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return err
	}
	close(d.tookOver)
	d.ready.Store(true)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return d.scheduler.Run(ctx) })
	group.Go(func() error { return d.reconciler.Run(ctx) })
	group.Go(func() error { return d.applier.Retake(ctx) })
	group.Go(func() error { return d.prune(ctx) })
	group.Go(func() error { <-ctx.Done(); return nil })
	return group.Wait()
}

// known reports whether a request shows a good token.
func (d *controllerDaemon) known(r *http.Request) bool {
	status, _ := enrol.Deny(r, enrol.Viewer, d.authority.Authorise)
	return status == 0
}

// pruneEvery is how often runs are looked for that are kept no longer.
const pruneEvery = time.Hour

// prune deletes what is older than the retention, until ctx is done.
func (d *controllerDaemon) prune(ctx context.Context) error {
	if d.settings.Retention == 0 {
		return nil
	}
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		n, err := d.store.Prune(ctx, time.Now().Add(-d.settings.Retention))
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			d.logger.Error("old runs not deleted; the next hour tries again", "error", err)
		case n > 0:
			d.logger.Info("old runs deleted", "runs", n, "older than", d.settings.Retention)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
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
	a.out().Printf("%s\n", joinLine(token.String(), ""))
	return nil
}

// joinLine is what to run on an agent's host.
func joinLine(token string, name netp.AgentID) string {
	return "netp agent -join " + token + " -data DIR -name " + cmp.Or(string(name), "NAME")
}
