package view

import (
	"encoding/json"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan"
)

// Stream writes one JSON object a line: the -json form of plan and apply. It may
// be used by several goroutines. Errors of its writer are for the writer's owner.
type Stream struct {
	mu  sync.Mutex // guards out
	out *json.Encoder
	now func() time.Time
}

// NewStream starts a stream with its version line.
func NewStream(w io.Writer, version string, now func() time.Time) *Stream {
	s := &Stream{out: json.NewEncoder(w), now: now}
	s.out.SetEscapeHTML(false)
	s.event("info", "netp "+version, "version", map[string]any{
		"format_version": netp.FormatVersion, "netp": version,
	})
	return s
}

func (s *Stream) event(level, message, kind string, fields map[string]any) {
	line := map[string]any{
		"@level": level, "@message": message, "@module": "netp.ui",
		"@timestamp": s.now().UTC().Format(time.RFC3339Nano), "type": kind,
	}
	maps.Copy(line, fields)
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(line) // the writer knows
}

// Diagnostics writes each as an event.
func (s *Stream) Diagnostics(list diag.List) {
	for _, d := range list.Sorted() {
		level := "error"
		if d.Severity == diag.Warning {
			level = "warn"
		}
		s.event(level, d.Summary, "diagnostic", map[string]any{"diagnostic": d})
	}
}

// Log writes a plain message.
func (s *Stream) Log(level, message string) { s.event(level, message, "log", nil) }

// Plan writes the changes, the summary, and the plan's sessions, cost and power.
func (s *Stream) Plan(p *plan.Plan) {
	n := map[plan.Action]int{}
	for _, c := range p.Changes {
		n[c.Action]++
		s.event("info", c.Addr+": "+string(c.Action), "planned_change", map[string]any{"change": c})
	}
	for _, session := range p.Sessions {
		s.event("info", session.Addr, "planned_session", map[string]any{"session": session})
	}
	s.event("info", Summary(p), "change_summary", map[string]any{"changes": map[string]any{
		"add": n[plan.Create], "change": n[plan.Update], "remove": n[plan.Destroy],
		"sessions": len(p.Sessions), "makespan": p.Makespan.Seconds(),
	}, "cost": p.Cost, "power": append([]plan.Power{}, p.Power...), "hash": p.Hash})
	s.Diagnostics(p.Warnings)
}

// SessionStart notes that a session began.
func (s *Stream) SessionStart(run, session string, attempt int) {
	s.event("info", session+": started", "session_start", map[string]any{"run": run, "session": session, "attempt": attempt})
}

// Progress writes a sign of life.
func (s *Stream) Progress(p netp.Progress) {
	s.event("info", p.Session+": running", "session_progress", map[string]any{
		"run": p.Run, "session": p.Session, "agent": p.Agent,
		"elapsed": p.Elapsed.Seconds(), "total": p.Total.Seconds(), "values": p.Values,
	})
}

// Record writes a finished session and each of its assertions.
func (s *Stream) Record(r netp.Record) {
	for _, j := range r.Judgements {
		s.event("info", r.Session.Addr+" "+j.Assertion+": "+string(j.Status), "assertion", map[string]any{
			"run": r.Run, "session": r.Session.Addr, "test": r.Test, "assertion": j,
		})
	}
	s.event("info", r.Session.Addr+": "+string(r.Status), "session_complete", map[string]any{
		"run": r.Run, "session": r.Session.Addr, "test": r.Test, "status": r.Status,
		"source": r.Session.Path.Source, "dest": r.Session.Path.Dest, "attempts": r.Attempts,
		"failure": r.Result.Failure, "started": r.Result.Started, "ended": r.Result.Ended,
	})
}

// Summary writes the closing line of a run.
func (s *Stream) Summary(r netp.Report, exit int) {
	s.event("info", "run "+ShortID(r.Run)+": "+string(r.Status), "run_summary", map[string]any{
		"run": r.Run, "suite": r.Suite, "status": r.Status,
		"passed": r.Counts.Passed, "failed": r.Counts.Failed, "inconclusive": r.Counts.Inconclusive,
		"errored": r.Counts.Errored, "skipped": r.Counts.Skipped, "cancelled": r.Cancelled, "exit": exit,
	})
}

// Validation writes the document of `validate -json`.
func Validation(w io.Writer, list diag.List) error {
	v := validation{FormatVersion: netp.FormatVersion, Valid: !list.HasErrors(), Diagnostics: list.Sorted()}
	v.ErrorCount, v.WarningCount = list.Count()
	if v.Diagnostics == nil {
		v.Diagnostics = diag.List{}
	}
	return Document(w, v)
}

// Document writes one indented JSON document.
func Document(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
