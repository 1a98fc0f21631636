// Package e2e runs controller and agents together over the real embedded bus, in
// one process, and looks at what the store holds in the end.
package e2e

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/bus"
	"github.com/netpupper/netp/runner/store"
)

// world is a controller with its bus and store, and agents on loopback.
type world struct {
	t       *testing.T
	options options
	dir     string // of the bus and the store
	public  ed25519.PublicKey
	private ed25519.PrivateKey
	engines []engine.Engine
	logger  *slog.Logger

	// What follows is of one start of the controller.
	epoch  uint64
	queues *bus.Bus
	runner *runner.Runner
	store  *store.Store
	disk   *disk
	close  func() // as a power cut would

	mu     sync.Mutex // guards server
	server *bus.Server
}

// patience bounds every wait; nothing is measured by it.
const patience = 30 * time.Second

// shortLease is for tests that wait for a lease to end. It is longer than a machine whose host is busy stops.
const shortLease = 4 * time.Second

type options struct {
	lease       time.Duration
	parallelism int
	window      time.Duration
	engines     []engine.Engine
	lasting     bool // the bus keeps its messages on disk
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, options: o, dir: t.TempDir(), engines: o.engines, logger: slog.New(slog.NewTextHandler(testLog{t}, nil))}
	if w.engines == nil {
		w.engines = []engine.Engine{scripted{}}
	}
	if w.options.lease == 0 {
		w.options.lease = runner.DefaultLease
	}
	var err error
	if w.public, w.private, err = ed25519.GenerateKey(nil); err != nil {
		t.Fatal(err)
	}
	w.open()
	return w
}

// open starts the controller; one that runs is killed.
func (w *world) open() {
	t, o := w.t, w.options
	t.Helper()
	if w.close != nil {
		w.close()
	}
	w.epoch++
	server, err := bus.Start(bus.Config{Dir: filepath.Join(w.dir, "bus"), Ephemeral: !o.lasting, Logger: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.server = server
	w.mu.Unlock()
	queues, err := bus.Open(t.Context(), bus.Options{Server: server, Results: wire.PartSubjects, Lease: o.lease, Ephemeral: !o.lasting, Logger: w.logger})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := wire.Connect(wire.Options{InProcess: server, Name: "controller"})
	if err != nil {
		t.Fatal(err)
	}
	if w.store, err = store.Open(t.Context(), filepath.Join(w.dir, "netp.db"), nil); err != nil {
		t.Fatal(err)
	}
	w.queues = queues
	w.disk = newDisk(w.store)
	w.runner, err = runner.New(runner.Config{
		Bus: queues, Conn: conn, Store: w.disk, Key: w.private, Epoch: w.epoch, Lease: o.lease,
		Catalogue: w.catalogue(), Parallelism: o.parallelism, Window: o.window, Logger: w.logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served, disk, kept := make(chan struct{}), w.disk, w.store
	go func(r *runner.Runner) {
		defer close(served)
		if err := r.Serve(ctx); err != nil && ctx.Err() == nil {
			w.logger.Error("ended early", "error", err)
		}
	}(w.runner)
	w.close = sync.OnceFunc(func() {
		disk.die()
		conn.Close()
		queues.Close()
		server.Close()
		cancel()
		disk.bury()
		<-served
		kept.Close()
	})
	t.Cleanup(w.close)
}

// background runs until the test ends, and waits for the end.
func (w *world) background(run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			w.logger.Error("ended early", "error", err)
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *world) catalogue() netp.Catalogue {
	var c netp.Catalogue
	for _, e := range w.engines {
		c = append(c, e.Spec())
	}
	return c
}

// site is an agent and the line to it.
type site struct {
	line *line
	stop func() // in good order
}

// agent starts an agent on loopback and waits until it is there.
func (w *world) agent(name netp.AgentID, change func(*agent.Config)) *site {
	w.t.Helper()
	s := w.start(name, w.t.TempDir(), change)
	w.await(name)
	return s
}

func (w *world) start(name netp.AgentID, spool string, change func(*agent.Config)) *site {
	w.t.Helper()
	s := &site{line: &line{world: w}}
	a, err := agent.New(w.config(name, spool, s.line, change))
	if err != nil {
		w.t.Fatal(err)
	}
	s.stop = w.background(a.Run)
	return s
}

func (w *world) config(name netp.AgentID, spool string, l *line, change func(*agent.Config)) agent.Config {
	cfg := agent.Config{
		Name: name, Engines: w.engines, SpoolDir: spool, ControllerKey: w.public,
		Listen: port.Where{Address: netip.MustParseAddr("127.0.0.1")},
		Dial: func(context.Context) (*wire.Conn, error) {
			return wire.Connect(wire.Options{InProcess: l, Name: string(name)})
		},
		Logger: w.logger.With("agent", name),
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func (w *world) await(names ...netp.AgentID) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	if err := w.runner.Fleet().Await(ctx, names...); err != nil {
		w.t.Fatal(err)
	}
}

// line is the way of one agent to the bus; it can be cut.
type line struct {
	world *world

	mu    sync.Mutex // guards what follows
	isCut bool
	conns []net.Conn
}

func (l *line) InProcessConn() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, errors.New("the line is cut")
	}
	l.world.mu.Lock()
	server := l.world.server
	l.world.mu.Unlock()
	c, err := server.InProcessConn()
	if err == nil {
		l.conns = append(l.conns, c)
	}
	return c, err
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

// kill ends the agent so that nobody hears of it.
func (s *site) kill() {
	s.line.cut()
	s.stop()
}

// session is one session of a made plan.
type session struct {
	from, to netp.AgentID
	params   netp.Params
	claims   []schedule.Claim
	asserts  []assert.Assertion
	timeout  time.Duration
	kind     netp.Kind
}

// lossAtMost asserts loss.ratio <= limit.
func lossAtMost(condition string) []assert.Assertion {
	return []assert.Assertion{{Name: "loss", Severity: netp.SeverityError, Condition: condition, Confidence: 0.95, Metrics: []string{"loss.ratio"}}}
}

func makePlan(sessions ...session) *plan.Plan {
	p := &plan.Plan{FormatVersion: netp.FormatVersion, Suite: plan.SuiteInfo{Name: "suite"}, Hash: "hash"}
	for i, s := range sessions {
		if s.timeout == 0 {
			s.timeout = patience
		}
		if s.kind == "" {
			s.kind = scriptedKind
		}
		test := "test.t" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		key := string(s.from) + "->" + string(s.to)
		p.Tests = append(p.Tests, plan.Test{Addr: test, Kind: s.kind, Params: s.params, Assertions: s.asserts, Timeout: s.timeout})
		p.Sessions = append(p.Sessions, plan.Session{
			Addr: test + `["` + key + `"]`, Test: test, Start: time.Duration(i) * time.Second, Claims: s.claims,
			Path: netp.Path{Addr: `path.p["` + key + `"]`, Source: s.from, Dest: string(s.to)},
		})
	}
	return p
}

// run runs a plan and checks what holds for every run: one record per session, in
// the report and in the store.
func (w *world) run(ctx context.Context, p *plan.Plan, events func(runner.Event)) netp.Report {
	w.t.Helper()
	report, err := w.runner.Run(ctx, p, events)
	if err != nil {
		w.t.Fatal(err)
	}
	stored, err := w.store.Records(w.t.Context(), report.Run)
	if err != nil {
		w.t.Fatal(err)
	}
	var want, got, told []string
	for _, s := range p.Sessions {
		want = append(want, s.Addr)
	}
	for _, r := range stored {
		got = append(got, r.Session.Addr)
	}
	for _, r := range report.Records {
		told = append(told, r.Session.Addr)
	}
	for _, list := range [][]string{want, got, told} {
		slices.Sort(list)
	}
	if !slices.Equal(want, got) || !slices.Equal(want, told) {
		w.t.Errorf("planned %d sessions, stored %d records, reported %d", len(want), len(got), len(told))
	}
	if report.Counts.Total() != len(want) {
		w.t.Errorf("counts %+v are not of %d sessions", report.Counts, len(want))
	}
	saved, err := w.store.FindRun(w.t.Context(), report.Run)
	if err != nil || !saved.Finished() || saved.Report.Status != report.Status {
		w.t.Errorf("the stored run is %+v, %v", saved, err)
	}
	return report
}

// only is the record of a run of one session.
func only(t *testing.T, r netp.Report) netp.Record {
	t.Helper()
	if len(r.Records) != 1 {
		t.Fatalf("%d records, want 1", len(r.Records))
	}
	return r.Records[0]
}

// failureKind is why a record has no complete result, "" when it has.
func failureKind(r netp.Record) netp.FailureKind {
	if r.Result.Failure == nil {
		return ""
	}
	return r.Result.Failure.Kind
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("never happened: %s", what)
		case <-tick.C:
		}
	}
}

// testLog writes log lines to the test's.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() != nil {
		return io.Discard.Write(p) // the test is over
	}
	l.t.Logf("%s", p)
	return len(p), nil
}
