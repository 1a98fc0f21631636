// Package agent is the daemon at a site: it announces itself to the controller,
// carries out the sessions it is ordered to, within its own limits, and keeps
// every result on disk until the controller's store has it.
//
// An agent knows sessions, not suites, tests or assertions, and it judges
// nothing. The traffic itself is the engines' (agent/engine), the data port is
// agent/port's, the messages are agent/wire's.
//
// Start with Agent.Run; an order's way is order.go, admit.go, session.go, spool.go.
package agent

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/agent/wire"
)

// Config describes an agent. Name, Engines, Dial, ControllerKey and SpoolDir are
// required.
type Config struct {
	Name netp.AgentID
	Tags map[string]string
	// Interfaces are the named ways out; each may have an address, a device and a
	// network namespace of its own.
	Interfaces []netp.Interface
	// Limits bound what a controller may ask for. The zero value bounds nothing.
	Limits netp.Limits
	// Reach bounds where the agent sends to; nil for anywhere.
	Reach *Reach
	// Engines are the kinds of traffic the agent can run.
	Engines []engine.Engine
	// Kinds are those of them that it is allowed to run; nil for all.
	Kinds []netp.Kind
	// Listen is where the agent works when a path names no interface; Port is the
	// number of its data port, 0 for a free one.
	Listen port.Where
	Port   uint16
	// Address is what peers dial instead of the address of Listen; empty for that
	// one, or for the host's first usable address when Listen has none.
	Address string
	// NAT says that peers cannot dial the agent; it opens the data path itself then.
	NAT bool
	// Dial connects to the bus; the agent closes the connection.
	Dial func(context.Context) (*wire.Conn, error)
	// ControllerKey is the only key whose orders are obeyed.
	ControllerKey ed25519.PublicKey
	// SpoolDir holds results not yet delivered and the highest epoch seen. One
	// agent at a time uses it; it is made when missing.
	SpoolDir string
	// Drain is how long sessions may go on after Run was told to stop; 0 stops
	// them at once. What they measured is delivered either way.
	Drain time.Duration
	// Clock is what results are stamped by; nil for the host's.
	Clock *clock.Clock
	// Rest, if set, is told after each announcement, answered or not, how many there have
	// been since the agent last had an order. It holds up the orders that come meanwhile.
	Rest func(announcements int)
	// Version is the build's, for the controller's list of agents.
	Version string
	// Logger gets what an operator can act on; nil logs nothing.
	Logger *slog.Logger
}

// ErrOut is the cause with which to end the context of Run when the controller has
// put the agent out: its sessions end at once, whatever Drain says.
var ErrOut = errors.New("the agent is out")

// Agent is an agent that can run. Make it with New.
type Agent struct {
	cfg Config
}

// New checks the configuration and gives an agent; it opens nothing yet.
func New(cfg Config) (*Agent, error) {
	switch {
	case cfg.Name == "":
		return nil, errors.New("agent: a name is required")
	case len(cfg.Engines) == 0:
		return nil, fmt.Errorf("agent %s: at least one engine is required", cfg.Name)
	case cfg.Dial == nil:
		return nil, fmt.Errorf("agent %s: a way to the bus is required", cfg.Name)
	case len(cfg.ControllerKey) != ed25519.PublicKeySize:
		return nil, fmt.Errorf("agent %s: the controller's key is required", cfg.Name)
	case cfg.SpoolDir == "":
		return nil, fmt.Errorf("agent %s: a spool directory is required", cfg.Name)
	}
	if cfg.Clock == nil {
		cfg.Clock = new(clock.Clock)
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Agent{cfg: cfg}, nil
}

// Run opens the data port, announces the agent and serves until ctx is done; then
// it drains: it takes no new session, lets or makes the running ones end, delivers
// what they measured as far as it can within a few seconds (the rest stays in the
// spool), and says goodbye. It returns nil then.
//
// It returns an error when the spool or the data port cannot be opened, and
// *wire.Refused when the controller does not want the agent. A controller that is
// not there is waited for.
func (a *Agent) Run(ctx context.Context) error {
	spool, err := openSpool(a.cfg.SpoolDir, a.cfg.Logger)
	if err != nil {
		return fmt.Errorf("agent %s: %w", a.cfg.Name, err)
	}
	defer spool.close()
	ports, err := openPorts(a.cfg)
	if err != nil {
		return fmt.Errorf("agent %s: %w", a.cfg.Name, err)
	}
	defer ports.close()
	conn, err := a.cfg.Dial(ctx)
	if err != nil {
		return fmt.Errorf("agent %s: %w", a.cfg.Name, err)
	}
	defer conn.Close()
	d := &daemon{
		cfg:         a.cfg,
		spool:       spool,
		ports:       ports,
		link:        wire.NewAgent(conn, a.cfg.Name, a.cfg.ControllerKey),
		day:         newDayBudget(a.cfg.Limits.BytesPerDay, spool.loadUsage()),
		incarnation: uuid.NewString(),
		announceNow: make(chan struct{}, 1),
		welcomed:    make(chan struct{}),
		answer:      make(chan struct{}),
		orders:      make(map[orderKey]*answer),
		sessions:    make(map[sessionKey]*session),
	}
	for _, e := range d.cfg.Engines {
		if kind := e.Spec().Kind; d.runs(kind) {
			d.kinds = append(d.kinds, kind)
		}
	}
	if err := d.run(ctx); err != nil {
		return fmt.Errorf("agent %s: %w", a.cfg.Name, err)
	}
	return nil
}

// run is Run once everything is open.
func (d *daemon) run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx by the draining
	defer stop()
	group, work := errgroup.WithContext(work)
	d.life, d.kill = context.WithCancelCause(context.WithoutCancel(ctx))
	defer d.kill(nil)
	group.Go(func() error { return d.link.Serve(work, d.handlers()) })
	announcing, hush := context.WithCancel(work)
	defer hush()
	silent := make(chan struct{})
	group.Go(func() error {
		defer close(silent)
		return d.announce(announcing)
	})
	group.Go(func() error { return d.deliver(work) })
	select {
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), ErrOut) {
			d.kill(d.stopped())
		}
		d.drain(work)
		hush()
		<-silent // an announcement after the goodbye would bring the agent back
		d.goodbye(work)
	case <-work.Done(): // one of the three gave up
	}
	stop()
	err := group.Wait()
	d.kill(d.stopped())
	d.running.Wait()
	return err
}

func (d *daemon) handlers() wire.AgentHandlers {
	return wire.AgentHandlers{
		Order:     d.order,
		Confirmed: d.spool.confirm,
		Reconnected: func() {
			d.spool.again()
			d.announceSoon()
		},
		Rejected: func(err error) { d.cfg.Logger.Warn("message rejected", "error", err) },
	}
}

const (
	// deliverGrace is how long a stopping agent waits for the store to have its results.
	deliverGrace = 3 * time.Second
	// goodbyeGrace bounds the last word.
	goodbyeGrace = time.Second
)

// drain brings the agent to its end in good order.
func (d *daemon) drain(ctx context.Context) {
	d.mu.Lock()
	d.draining = true
	d.mu.Unlock()
	d.announceSoon()
	idle := make(chan struct{})
	go func() {
		d.running.Wait()
		close(idle)
	}()
	patience := time.NewTimer(d.cfg.Drain)
	defer patience.Stop()
	select {
	case <-idle:
	case <-patience.C:
		d.kill(d.stopped())
		<-idle // sessions end within seconds of their context, see session.go
	}
	d.spool.waitEmpty(ctx, deliverGrace)
}

// goodbye is the agent's last word to the controller.
func (d *daemon) goodbye(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, goodbyeGrace)
	defer cancel()
	hello := d.hello()
	hello.Leaving = true
	if _, err := d.link.Hello(ctx, hello); err != nil {
		d.cfg.Logger.Debug("goodbye", "error", err)
	}
}

// stopped is why sessions end that the agent's own end cuts short.
func (d *daemon) stopped() *netp.Failure {
	return &netp.Failure{Kind: netp.FailureAgentLost, Agent: d.cfg.Name,
		Detail: fmt.Sprintf("Agent %s was stopped during the session.", d.cfg.Name)}
}
