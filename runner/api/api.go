// Package api is the controller's HTTP API: plans come in, runs are started,
// watched and cancelled, and what the store holds is read. JSON both ways; a run's
// events are server-sent events that begin at the start of the run, so that who
// lost the connection misses nothing. openapi.json describes it, and a test keeps
// that description complete.
//
// It speaks HTTP and nothing else: it plans nothing (the command does, against the
// inventory and the state it gets here), applies nothing (runner/apply does), opens
// no listener and knows no tokens: Config.Authorise says who asks. Agents and join
// tokens are runner/enrol's.
//
// Start with routes below, then submit.go (a plan becomes a run) and events.go.
package api

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/standing"
	"github.com/netpupper/netp/runner/store"
)

// Members tells which agents are there. It does not block; *fleet.Fleet is the
// real one.
type Members interface{ Members() []fleet.Member }

// Sources are what the controller follows. Their methods are called concurrently
// and may block for a disk; *reconcile.Reconciler is the real one.
type Sources interface {
	Status() []gitops.Status
	// Suspend stops looking for changes, Resume goes on, Reconcile looks at once and
	// applies again what is found. reconcile.ErrNoSource is returned for an unknown name.
	Suspend(ctx context.Context, name string) error
	Resume(ctx context.Context, name string) error
	Reconcile(ctx context.Context, name string) error
}

// Config is what the API needs. Applier, Runs, Store, Fleet, Catalogue and Authorise
// are required.
type Config struct {
	Applier *apply.Applier
	Runs    *runs.Runs
	Store   *store.Store
	Fleet   Members
	// Sources, Standing and Sinks tell what else the controller does; nil for nothing.
	Sources  Sources
	Standing func() []standing.Status
	Sinks    func() []apply.SinkState
	// Catalogue holds the kinds that a plan may use.
	Catalogue netp.Catalogue
	// Authorise gives the role of who shows this bearer token; false for nobody we
	// know. It is called concurrently and must take as long for a wrong token as for
	// a right one.
	Authorise func(token string) (Role, bool)
	// MaxPlan bounds a plan [B]; 0 for DefaultMaxPlan.
	MaxPlan int64
	// Version is the build's, for the status.
	Version string
	Now     func() time.Time // nil for the clock
	Logger  *slog.Logger     // nil logs nothing; it never gets a token
}

// DefaultMaxPlan [B] holds a plan of 100 000 sessions.
const DefaultMaxPlan = 128 << 20

// maxStreams bounds the event streams open at a time.
const maxStreams = 256

// Server is the API. Its handler may be used concurrently.
type Server struct {
	cfg     Config
	reading chan struct{} // one for each plan being read: they take memory
	streams chan struct{} // one for each event stream
}

// New gives a server. It starts nothing.
func New(cfg Config) (*Server, error) {
	if cfg.Applier == nil || cfg.Runs == nil || cfg.Store == nil || cfg.Fleet == nil || len(cfg.Catalogue) == 0 || cfg.Authorise == nil {
		return nil, errors.New("api: applier, runs, store, fleet, catalogue and authorise are required")
	}
	if cfg.MaxPlan == 0 {
		cfg.MaxPlan = DefaultMaxPlan
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	return &Server{cfg: cfg, reading: make(chan struct{}, 1), streams: make(chan struct{}, maxStreams)}, nil
}

// Prefix is the path below which the handler answers.
const Prefix = "/api/v1/"

//go:embed openapi.json
var description []byte

// route is one operation of the API.
type route struct {
	method, path string
	role         Role // the least that may
	serve        func(http.ResponseWriter, *http.Request) error
}

func (s *Server) routes() []route {
	return []route{
		{"GET", "openapi.json", Viewer, s.openapi},
		{"GET", "status", Viewer, s.status},
		{"GET", "suites/{suite}/state", Viewer, s.state},
		{"DELETE", "suites/{suite}", Operator, s.destroy},
		{"POST", "runs", Operator, s.submit},
		{"GET", "runs", Viewer, s.listRuns},
		{"GET", "runs/{run}", Viewer, s.oneRun},
		{"GET", "runs/{run}/records", Viewer, s.runRecords},
		{"GET", "runs/{run}/events", Viewer, s.events},
		{"POST", "runs/{run}/cancel", Operator, s.cancelRun},
		{"GET", "records", Viewer, s.history},
		{"GET", "sources", Viewer, s.listSources},
		{"POST", "sources/{source}/suspend", Operator, s.suspend},
		{"POST", "sources/{source}/resume", Operator, s.resume},
		{"POST", "sources/{source}/reconcile", Operator, s.reconcile},
		{"GET", "paths", Viewer, s.paths},
	}
}

// Handler answers everything below Prefix; mount it there.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	methods := map[string][]string{} // by path
	for _, r := range s.routes() {
		mux.Handle(r.method+" "+Prefix+r.path, s.guard(r))
		methods[Prefix+r.path] = append(methods[Prefix+r.path], r.method)
	}
	enrol.RefuseOthers(mux, methods, func(w http.ResponseWriter, r *http.Request, status int, why wire.Refusal) {
		s.refuse(w, r, &Problem{Status: status, Code: why.Code, Detail: why.Detail})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, problem(http.StatusNotFound, "not_found", "There is no %s; GET %sopenapi.json lists what there is.", r.URL.Path, Prefix))
	})
	return mux
}

// requestTimeout bounds how long a body may take to come in, and a piece of the
// answer to go out.
const requestTimeout = 60 * time.Second

// guard lets through who may, and writes errors as problems.
func (s *Server) guard(to route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// A server that cannot set deadlines has its own.
		_ = control.SetWriteDeadline(time.Now().Add(requestTimeout))
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the connection may be used again
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if err := s.authorise(r, to.role); err != nil {
			s.refuse(w, r, err)
			return
		}
		if err := to.serve(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})
}

func (s *Server) openapi(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(description)
	return err
}
