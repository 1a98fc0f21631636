package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/bus"
	"github.com/netpupper/netp/runner/store"
)

// joinTimeout is how long the agents of a local run may take to register.
const joinTimeout = 15 * time.Second

// local is a controller and all its agents in this process: the same bus, runner,
// agents and protocol as a deployment, without a listener for the bus.
type local struct {
	version     string
	catalogue   netp.Catalogue
	store       *store.Store
	parallelism int
	logger      *slog.Logger
}

// inventory is what a local run's agents will announce: the declared ones.
func (a *app) localInventory(suite *lang.Suite) []netp.Agent {
	host := new(clock.Clock).HostID()
	var out []netp.Agent
	for _, declared := range suite.Agents {
		one := declared.Agent
		one.Host, one.Version = host, version
		one.Clock = netp.ClockState{Known: true, Synchronised: true, Source: "same host"}
		for _, k := range a.catalogue {
			one.Kinds = append(one.Kinds, k.Kind)
		}
		out = append(out, one)
	}
	return out
}

// run executes a plan. When ctx ends the sessions are cancelled, and the report
// still accounts for all of them.
func (l *local) run(ctx context.Context, p *plan.Plan, events func(runner.Event)) (report netp.Report, err error) {
	server, err := bus.Start(bus.Config{Ephemeral: true, Logger: l.logger})
	if err != nil {
		return report, fmt.Errorf("%w\n%s", err, keepElsewhere)
	}
	defer func() { err = errors.Join(mendable(err, server.Dir()), server.Close()) }()

	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return report, fmt.Errorf("make the controller's key: %w", err)
	}
	// The controller and the agents outlive a cancelled run: they end its sessions.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	controller, closeBus, err := l.controller(serving, server, key)
	if err != nil {
		return report, err
	}
	defer closeBus()

	group, serving := errgroup.WithContext(serving)
	group.Go(func() error { return controller.Serve(serving) })
	for i, declared := range p.Agents {
		one, err := l.agent(declared, i, server, public, filepath.Join(server.Dir(), fmt.Sprintf("agent-%d", i)))
		if err != nil {
			return report, errors.Join(err, stopped(stop, group))
		}
		group.Go(func() error { return withoutLab(one.Run(serving), declared.Netns) })
	}
	if err := awaitAgents(ctx, serving, controller, p.Agents); err != nil {
		if cause := stopped(stop, group); cause != nil {
			return report, cause // why it did not register
		}
		return report, err
	}
	report, err = controller.Run(ctx, p, events)
	return report, errors.Join(err, stopped(stop, group))
}

// keepElsewhere is what helps when the files of a run have no place.
const keepElsewhere = "A run keeps a few files there while it lasts. To keep them elsewhere, set TMPDIR to a directory that can be written and has room."

// mendable adds that to an error of a file in the directory of a run.
func mendable(err error, dir string) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) && filepath.Dir(filepath.Dir(at.Path)) == dir {
		return fmt.Errorf("%w\n%s", err, keepElsewhere)
	}
	return err
}

// stopped ends the controller and the agents and waits for them.
func stopped(stop context.CancelFunc, group *errgroup.Group) error {
	stop()
	return group.Wait()
}

func (l *local) controller(ctx context.Context, server *bus.Server, key ed25519.PrivateKey) (*runner.Runner, func(), error) {
	queues, err := bus.Open(ctx, bus.Options{Server: server, Results: wire.PartSubjects, Lease: runner.DefaultLease, Ephemeral: true, Logger: l.logger})
	if err != nil {
		return nil, nil, err
	}
	conn, err := wire.Connect(wire.Options{InProcess: server, Name: "netp controller", Logger: l.logger})
	if err != nil {
		queues.Close()
		return nil, nil, err
	}
	closeBoth := func() { conn.Close(); queues.Close() }
	r, err := runner.New(runner.Config{
		Bus: queues, Conn: conn, Store: l.store, Key: key, Epoch: 1,
		Catalogue: l.catalogue, Parallelism: l.parallelism, Ephemeral: true, Version: l.version, Logger: l.logger,
	})
	if err != nil {
		closeBoth()
		return nil, nil, err
	}
	return r, closeBoth, nil
}

// agent makes the i-th agent: in its network namespace when it names one, else on
// a loopback address of its own.
func (l *local) agent(declared netp.Agent, i int, server *bus.Server, key ed25519.PublicKey, spool string) (*agent.Agent, error) {
	where := port.Where{Netns: declared.Netns}
	if declared.Netns == "" {
		where.Address = loopback(i)
	}
	interfaces := append([]netp.Interface(nil), declared.Interfaces...)
	for n, declaredWay := range interfaces {
		switch {
		case declaredWay.Netns != "":
		case declared.Netns != "":
			interfaces[n].Netns = declared.Netns
		default: // the addresses of the real site are not on this host
			interfaces[n] = netp.Interface{Name: declaredWay.Name, Address: where.Address.String(), Capacity: declaredWay.Capacity}
		}
	}
	return agent.New(agent.Config{
		Name: declared.Name, Tags: declared.Tags, NAT: declared.NAT, Interfaces: interfaces, Limits: declared.Limits,
		Engines: agent.Engines(), Listen: where, ControllerKey: key, SpoolDir: spool, Version: l.version, Logger: l.logger,
		Dial: func(context.Context) (*wire.Conn, error) {
			return wire.Connect(wire.Options{InProcess: server, Name: "agent " + string(declared.Name), Logger: l.logger})
		},
	})
}

// loopback is the address of the i-th agent: one each where the system has the
// whole of 127.0.0.0/8, else one for all, told apart by their ports.
func loopback(i int) netip.Addr {
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	n := i + 2
	return netip.AddrFrom4([4]byte{127, byte(n >> 16), byte(n >> 8), byte(n)})
}

// awaitAgents waits until all agents have registered. It ends early when one of
// them could not start (serving is done then).
func awaitAgents(ctx, serving context.Context, controller *runner.Runner, agents []netp.Agent) error {
	ctx, cancel := context.WithTimeoutCause(ctx, joinTimeout, errors.New("not registered in time"))
	defer cancel()
	defer context.AfterFunc(serving, cancel)()
	var names []netp.AgentID
	for _, a := range agents {
		names = append(names, a.Name)
	}
	return controller.Fleet().Await(ctx, names...)
}
