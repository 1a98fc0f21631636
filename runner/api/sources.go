package api

import (
	"context"
	"net/http"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/reconcile"
)

// SourceList is what the controller follows, by name.
type SourceList struct {
	FormatVersion string          `json:"format_version"`
	Sources       []gitops.Status `json:"sources"`
}

// SinkState is how one sink is doing.
type SinkState struct {
	Sink string `json:"sink"` // SUITE/sink.TYPE.NAME; without a suite for all suites
	Type string `json:"type"`
	// Delivered, Rejected and Failures count since the controller started.
	Delivered uint64 `json:"delivered"`
	Rejected  uint64 `json:"rejected"`
	Failures  uint64 `json:"failures"`
	// Pending is how many records are read and not acknowledged; with More there are
	// others behind them.
	Pending       int       `json:"pending"`
	More          bool      `json:"more,omitempty"`
	Failing       bool      `json:"failing,omitempty"` // the last try failed
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	LastError     string    `json:"last_error,omitempty"`
	LastErrorAt   time.Time `json:"last_error_at,omitzero"`
}

func (s *Server) sources() []gitops.Status {
	out := []gitops.Status{}
	if s.cfg.Sources != nil {
		out = append(out, s.cfg.Sources.Status()...)
	}
	return out
}

func (s *Server) listSources(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, SourceList{netp.FormatVersion, s.sources()})
}

func (s *Server) suspend(w http.ResponseWriter, r *http.Request) error {
	return s.tellSource(w, r, "source suspended", Sources.Suspend)
}

func (s *Server) resume(w http.ResponseWriter, r *http.Request) error {
	return s.tellSource(w, r, "source resumed", Sources.Resume)
}

func (s *Server) reconcile(w http.ResponseWriter, r *http.Request) error {
	return s.tellSource(w, r, "source reconciled on demand", Sources.Reconcile)
}

// tellSource has a source do something and answers with how it is.
func (s *Server) tellSource(w http.ResponseWriter, r *http.Request, what string, do func(Sources, context.Context, string) error) error {
	name := r.PathValue("source")
	if s.cfg.Sources == nil {
		return reconcile.ErrNoSource
	}
	if err := do(s.cfg.Sources, context.WithoutCancel(r.Context()), name); err != nil {
		return err
	}
	s.cfg.Logger.Info(what, "source", name, "by", holder(r))
	for _, one := range s.cfg.Sources.Status() {
		if one.Name == name {
			return answer(w, http.StatusOK, one)
		}
	}
	return reconcile.ErrNoSource
}
