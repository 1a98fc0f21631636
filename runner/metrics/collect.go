package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/fleet"
	"github.com/netpupper/netp/runner/gitops"
)

// described are the metrics made when they are asked for.
type described struct {
	status, ended, assertion                                           *prometheus.Desc
	up, agentSessions, draining, clockBound, clockSynchronised         *prometheus.Desc
	condition, suspended, revision, appliedAt, looks, failures         *prometheus.Desc
	next, lastTurn, turnsRunning, turnStatus, standingFault            *prometheus.Desc
	delivered, rejected, sinkFailures, pending, failing, lastDelivered *prometheus.Desc
	size                                                               *prometheus.Desc
}

func with(labels []string, more ...string) []string {
	return append(append([]string{}, labels...), more...)
}

// descriptions are made anew for each scrape: they are cheap and have no state.
func descriptions() described {
	test := []string{"suite", "test"}
	return described{
		status:    describe("netp_session_status", "Verdict on the last session: 1 for the one it has, 0 for the others.", with(pathLabels, "status")...),
		ended:     describe("netp_session_written_timestamp_seconds", "When the record of the last session was written.", pathLabels...),
		assertion: describe("netp_assertion_status", "Verdict on an assertion of the last session: 1 for the one it has, 0 for the others.", with(pathLabels, "assertion", "status")...),

		up:                describe("netp_agent_up", "1 for an agent of the controller that is there, 0 for one that is away.", "agent"),
		agentSessions:     describe("netp_agent_sessions", "Sessions in progress, as the agent says.", "agent"),
		draining:          describe("netp_agent_draining", "1 for an agent that takes no new sessions.", "agent"),
		clockBound:        describe("netp_agent_clock_error_bound_seconds", "How far the agent's clock may be off, as it says.", "agent"),
		clockSynchronised: describe("netp_agent_clock_synchronised", "1 when the agent's clock is synchronised, as it says.", "agent"),

		condition: describe("netp_source_condition", "Condition of a source: 1 for the status it has, 0 for the others.", "source", "type", "status"),
		suspended: describe("netp_source_suspended", "1 for a source that is suspended.", "source"),
		revision:  describe("netp_source_revision_info", "The revision applied; always 1.", "source", "revision"),
		appliedAt: describe("netp_source_applied_timestamp_seconds", "When the applied revision was applied.", "source"),
		looks:     describe("netp_source_looks_total", "Looks at a source since the controller started.", "source"),
		failures:  describe("netp_source_failures_total", "Looks that ended in a fault since the controller started.", "source"),

		next:          describe("netp_standing_next_timestamp_seconds", "When the next turn of a standing test starts.", test...),
		lastTurn:      describe("netp_standing_last_timestamp_seconds", "When the newest turn was to start that was begun or missed.", test...),
		turnsRunning:  describe("netp_standing_running", "Turns in progress.", test...),
		turnStatus:    describe("netp_standing_status", "Verdict on the newest turn that ended: 1 for the one it has, 0 for the others.", with(test, "status")...),
		standingFault: describe("netp_standing_fault", "1 for a standing test of which no turn can begin.", test...),

		delivered:     describe("netp_sink_records_delivered_total", "Records that a sink took since the controller started.", "sink", "type"),
		rejected:      describe("netp_sink_records_rejected_total", "Records that a sink will never take, since the controller started.", "sink", "type"),
		sinkFailures:  describe("netp_sink_failures_total", "Deliveries and starts that failed since the controller started.", "sink", "type"),
		pending:       describe("netp_sink_records_pending", "Records read and not acknowledged; others may wait behind them.", "sink", "type"),
		failing:       describe("netp_sink_failing", "1 while the last try failed.", "sink", "type"),
		lastDelivered: describe("netp_sink_delivered_timestamp_seconds", "When a sink took records last.", "sink", "type"),

		size: describe("netp_storage_size_bytes", "What the store and the bus take on the disk.", "part"),
	}
}

// Describe implements prometheus.Collector; what is collected depends on what is
// applied, so that nothing is promised beforehand.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// scrape is one answer on its way.
type scrape struct {
	described
	out chan<- prometheus.Metric
}

func (s scrape) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s scrape) counter(d *prometheus.Desc, v uint64, labels ...string) {
	s.out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func (s scrape) flag(d *prometheus.Desc, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	s.gauge(d, v, labels...)
}

func (s scrape) time(d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		s.gauge(d, float64(t.UnixNano())/1e9, labels...)
	}
}

var verdicts = []netp.Status{netp.Pass, netp.Fail, netp.Inconclusive, netp.Errored}

// state tells a verdict as a state set: 1 for it, 0 for the others.
func (s scrape) state(d *prometheus.Desc, is netp.Status, labels ...string) {
	for _, v := range verdicts {
		s.flag(d, v == is, with(labels, string(v))...)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(out chan<- prometheus.Metric) {
	s := scrape{descriptions(), out}
	s.results(m)
	s.fleet(m.cfg)
	if m.cfg.Sources != nil {
		s.sources(m.cfg.Sources())
	}
	s.standing(m.cfg)
	s.sinks(m.cfg)
	if m.cfg.Sizes != nil {
		for part, size := range m.cfg.Sizes() {
			s.gauge(s.size, float64(size), part)
		}
	}
}

func (s scrape) results(m *Metrics) {
	m.mu.Lock()
	all := make([]result, 0, len(m.last))
	for _, r := range m.last {
		all = append(all, r)
	}
	m.mu.Unlock()
	for _, r := range all {
		s.state(s.status, r.status, r.labels...)
		s.time(s.ended, r.ended, r.labels...)
		for assertion, status := range r.verdicts {
			s.state(s.assertion, status, with(r.labels, assertion)...)
		}
		for _, p := range r.points {
			labels := with(r.labels, p.direction)
			if p.stat != "" {
				labels = append(labels, p.stat)
			}
			s.gauge(p.desc, p.value, labels...)
		}
	}
}

func (s scrape) fleet(c Config) {
	there := map[netp.AgentID]bool{}
	if c.Members != nil {
		for _, a := range c.Members() {
			there[a.Agent.Name] = true
			s.agent(a)
		}
	}
	if c.Belonging == nil {
		return
	}
	for _, id := range c.Belonging() {
		if !there[id] {
			s.gauge(s.up, 0, string(id))
		}
	}
}

func (s scrape) agent(a fleet.Member) {
	name := string(a.Agent.Name)
	s.gauge(s.up, 1, name)
	s.gauge(s.agentSessions, float64(a.Running), name)
	s.flag(s.draining, a.Draining || a.Agent.Drained, name)
	if a.Agent.Clock.Known {
		s.flag(s.clockSynchronised, a.Agent.Clock.Synchronised, name)
		s.gauge(s.clockBound, a.Agent.Clock.MaxError.Seconds(), name)
	}
}

func (s scrape) sources(list []gitops.Status) {
	for _, one := range list {
		for _, c := range one.Conditions {
			for _, status := range []string{gitops.True, gitops.False, gitops.Unknown} {
				s.flag(s.condition, c.Status == status, one.Name, string(c.Type), strings.ToLower(status))
			}
		}
		s.flag(s.suspended, one.Suspended, one.Name)
		if one.LastApplied != "" {
			s.gauge(s.revision, 1, one.Name, string(one.LastApplied))
		}
		s.time(s.appliedAt, one.LastAppliedAt, one.Name)
		s.counter(s.looks, one.Looks, one.Name)
		s.counter(s.failures, one.Failures, one.Name)
	}
}

func (s scrape) standing(c Config) {
	if c.Standing == nil {
		return
	}
	for _, t := range c.Standing() {
		s.time(s.next, t.Next, t.Suite, t.Test)
		s.time(s.lastTurn, t.Last, t.Suite, t.Test)
		s.gauge(s.turnsRunning, float64(t.Running), t.Suite, t.Test)
		s.flag(s.standingFault, t.Fault != "", t.Suite, t.Test)
		if t.Verdict != "" {
			s.state(s.turnStatus, t.Verdict, t.Suite, t.Test)
		}
	}
}

func (s scrape) sinks(c Config) {
	if c.Sinks == nil {
		return
	}
	for _, one := range c.Sinks() {
		labels := []string{one.Sink, one.Type}
		s.counter(s.delivered, one.Delivered, labels...)
		s.counter(s.rejected, one.Rejected, labels...)
		s.counter(s.sinkFailures, one.Failures, labels...)
		s.gauge(s.pending, float64(one.Pending), labels...)
		s.flag(s.failing, one.Failing, labels...)
		s.time(s.lastDelivered, one.LastDelivered, labels...)
	}
}
