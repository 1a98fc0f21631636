// Package runner is the controller: it executes plans through agents. It
// dispatches sessions as their claims become free, starts both ends of each,
// collects what they measured, judges it, and ends every session in exactly one
// record, whatever happens.
//
// The runner measures nothing itself and reads no suite; it prints nothing but
// tells an Event for all that people may want to see. Below it are bus (NATS),
// fleet (who is there) and store (what stays).
//
// Start with Runner.Execute; a session's way is execution.go, queue.go, session.go,
// try.go, judge.go. What a controller that was killed has left is recover.go.
package runner

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/bus"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/store"
)

// Store is what the runner needs of the store of record. Methods may block for a
// disk, return when the data is safe, and may be called concurrently.
type Store interface {
	BeginRun(ctx context.Context, r store.Run, p *plan.Plan) error
	SaveRun(ctx context.Context, r store.Run) error
	Unfinished(ctx context.Context) ([]store.Unfinished, error)
	SaveAttempts(ctx context.Context, attempts []store.Attempt) error
	Attempts(ctx context.Context, run string) ([]store.Attempt, error)
	SaveParts(ctx context.Context, parts []netp.Result) error
	Parts(ctx context.Context, run, session string) ([]netp.Result, error)
	SaveRecords(ctx context.Context, records []netp.Record) error
	Records(ctx context.Context, run string) ([]netp.Record, error)
}

// Config is what a runner needs. Bus, Conn, Store, Key and Catalogue are required.
type Config struct {
	Bus   *bus.Bus   // queue and presence
	Conn  *wire.Conn // orders and progress
	Store Store
	// Key signs orders. Epoch is this controller's lease: agents obey none that is older.
	Key   ed25519.PrivateKey
	Epoch uint64
	// Lease is how long an agent counts as present without a word; the same as the
	// bus's. 0 for DefaultLease.
	Lease     time.Duration
	Catalogue netp.Catalogue
	// Drained says which agents get no new sessions; nil for none. It must not block.
	Drained func(netp.AgentID) bool
	// From is the address that an agent's connection comes from; nil when that is not
	// known. It must not block.
	From func(netp.AgentID) (netip.Addr, bool)
	// Parallelism bounds the sessions at a time, of all runs together; 0 for no bound
	// but their claims.
	Parallelism int
	// Window is Work.Window for Run.
	Window time.Duration
	// Ephemeral is for a controller whose agents end with it: nothing that an earlier
	// one began can still be running. Without it Serve looks what agents may still be
	// doing, and keeps their claims until Recover has been called for every
	// unfinished run.
	Ephemeral bool
	// Version is the build's, for the records.
	Version string
	// Now, NewID and Random are for tests; nil for the clock, UUIDv7 and the
	// system's random numbers.
	Now    func() time.Time
	NewID  func() string
	Random io.Reader
	Logger *slog.Logger // nil logs nothing
}

// DefaultLease is how long an agent counts as present after its last word.
const DefaultLease = 10 * time.Second

// Runner executes plans. It may execute several at once.
type Runner struct {
	cfg   Config
	link  *wire.Controller
	fleet *fleet.Fleet
	ready chan struct{} // closed when Serve serves
	over  chan struct{} // closed when it no longer does
	// setUps holds one for each session being set up.
	setUps chan struct{}
	notes  chan note // to the writer of attempts
	queue  *queue    // of the sessions of all runs

	mu       sync.Mutex // guards what follows
	sessions map[tryKey]*route
	runs     map[string]chan<- Event // where progress goes, by run in progress
	// begunTries are those of runs that have not ended, with who plays which part.
	begunTries  map[string]map[tryOf]map[netp.Role]netp.AgentID
	interrupted map[string]*remains // runs that wait for Recover
}

// New gives a runner. It does nothing before Serve.
func New(cfg Config) (*Runner, error) {
	if cfg.Bus == nil || cfg.Conn == nil || cfg.Store == nil || len(cfg.Key) != ed25519.PrivateKeySize || len(cfg.Catalogue) == 0 {
		return nil, errors.New("runner: bus, connection, store, key and catalogue are required")
	}
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = func() string { return uuid.Must(uuid.NewV7()).String() }
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Runner{
		cfg:         cfg,
		link:        wire.NewController(cfg.Conn, cfg.Key),
		fleet:       fleet.New(fleet.Config{Presence: cfg.Bus, Epoch: cfg.Epoch, Lease: cfg.Lease, Drained: cfg.Drained, From: cfg.From, Now: cfg.Now, Logger: cfg.Logger}),
		ready:       make(chan struct{}),
		over:        make(chan struct{}),
		setUps:      make(chan struct{}, maxSetUps),
		notes:       make(chan note),
		queue:       newQueue(),
		sessions:    make(map[tryKey]*route),
		runs:        make(map[string]chan<- Event),
		begunTries:  make(map[string]map[tryOf]map[netp.Role]netp.AgentID),
		interrupted: make(map[string]*remains),
	}, nil
}

// Fleet is the agents that are there, as long as Serve runs.
func (r *Runner) Fleet() *fleet.Fleet { return r.fleet }

// Serve welcomes agents and takes in their results until ctx is done. Runs need
// it, and it is called once.
func (r *Runner) Serve(ctx context.Context) error {
	defer close(r.over)
	if err := store.Insist(ctx, r.cfg.Logger, r.lookBack); ctx.Err() != nil {
		return nil
	} else if err != nil {
		return fmt.Errorf("controller: look at unfinished runs: %w", err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return r.link.Serve(ctx, wire.ControllerHandlers{
			Hello:    r.fleet.Welcome,
			Progress: r.progress,
			Rejected: func(err error) { r.cfg.Logger.Warn("message rejected", "error", err) },
		})
	})
	group.Go(func() error { return r.fleet.Run(ctx) })
	group.Go(func() error { return r.followFleet(ctx) })
	group.Go(func() error { return r.write(ctx) })
	group.Go(func() error { return r.cfg.Bus.Results(ctx, func(m []bus.Message) error { return r.take(ctx, m) }) })
	close(r.ready)
	if err := group.Wait(); err != nil {
		return fmt.Errorf("controller: %w", err)
	}
	return nil
}

// progress passes a sign of life on to its run. One that comes faster than it is
// read is dropped: the next one says more.
func (r *Runner) progress(p netp.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if events, ok := r.runs[p.Run]; ok {
		select {
		case events <- Progress{p}:
		default:
		}
	}
}
