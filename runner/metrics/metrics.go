// Package metrics tells Prometheus how a controller and what it measures are: the
// last result of each session, verdicts, agents, sources, standing tests, sinks. It
// decides nothing; it hears events and asks others when it is scraped. No label is
// a session's or a run's id: their number is bounded by what is applied.
//
// Start with Metrics.
package metrics

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/standing"
)

// Config says whom to ask. A nil function or interface tells nothing; all are
// called concurrently and must not block for long.
type Config struct {
	Catalogue netp.Catalogue
	Version   string
	Members   func() []fleet.Member
	// Belonging lists the agents of the controller, those that are away too.
	Belonging func() []netp.AgentID
	Sources   func() []gitops.Status
	Standing  func() []standing.Status
	Sinks     func() []apply.SinkState
	// Sizes are of the store and the bus [B], by name.
	Sizes func() map[string]int64
}

// MaxSessions bounds the sessions whose last result is told.
const MaxSessions = 20_000

// Metrics are those of one controller. They may be used concurrently.
type Metrics struct {
	cfg      Config
	registry *prometheus.Registry
	names    map[netp.Kind]map[string]series // of the catalogue
	runs     *prometheus.CounterVec
	sessions *prometheus.CounterVec
	missed   *prometheus.CounterVec

	mu   sync.Mutex // guards last
	last map[sessionKey]result
}

// sessionKey is a session of a suite, whichever run it is of.
type sessionKey struct{ suite, session string }

// result is what is told of a session's last record.
type result struct {
	labels   []string // suite, test, path, source, dest, via
	test     string
	path     string // whole address
	ended    time.Time
	status   netp.Status
	verdicts map[string]netp.Status // by assertion
	points   []point
}

// New gives Metrics that have heard nothing.
func New(cfg Config) *Metrics {
	m := &Metrics{
		cfg: cfg, registry: prometheus.NewRegistry(), names: names(cfg.Catalogue), last: map[sessionKey]result{},
		runs:     counter("netp_runs_total", "Runs that ended since the controller started, by verdict.", "suite", "status"),
		sessions: counter("netp_sessions_total", "Sessions that ended since the controller started, by verdict.", "suite", "test", "status"),
		missed:   counter("netp_sessions_missed_total", "Sessions that could not start in their window since the controller started.", "suite", "test"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "netp_build_info", Help: "The controller's build; always 1.", ConstLabels: prometheus.Labels{"version": cfg.Version}})
	build.Set(1)
	m.registry.MustRegister(build, m.runs, m.sessions, m.missed, m,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// Handler answers a scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4, Timeout: 30 * time.Second})
}

// Observe takes in an event of a run.
func (m *Metrics) Observe(e runner.Event) {
	switch e := e.(type) {
	case runner.SessionDone:
		if !e.Before { // it was counted when it ended
			m.count(e.Record)
		}
		m.Remember(e.Record)
	case runner.RunDone:
		m.runs.WithLabelValues(e.Report.Suite, string(e.Report.Status)).Inc()
	}
}

func (m *Metrics) count(r netp.Record) {
	m.sessions.WithLabelValues(r.Suite, r.Test, string(r.Status)).Inc()
	if f := r.Result.Failure; f != nil && f.Kind == netp.FailureMissed {
		m.missed.WithLabelValues(r.Suite, r.Test).Inc()
	}
}

// Remember makes a record the last one of its session, unless a later one is known.
// A controller that starts tells it what the store has.
func (m *Metrics) Remember(r netp.Record) {
	key := sessionKey{r.Suite, r.Session.Addr}
	next := m.result(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, known := m.last[key]; known && old.ended.After(next.ended) || !known && len(m.last) >= MaxSessions {
		return
	}
	m.last[key] = next
}

// Keep forgets the sessions of a suite that are not applied any more.
func (m *Metrics) Keep(suite string, applied plan.State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.last {
		if key.suite != suite {
			continue
		}
		if _, ok := applied.Tests[r.test][r.path]; !ok {
			delete(m.last, key)
		}
	}
	if len(applied.Tests) == 0 {
		of := prometheus.Labels{"suite": suite}
		m.runs.DeletePartialMatch(of)
		m.sessions.DeletePartialMatch(of)
		m.missed.DeletePartialMatch(of)
	}
}
