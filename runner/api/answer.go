package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/netpupper/netp/plan/planfile"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/enrol"
	"github.com/netpupper/netp/runner/reconcile"
	"github.com/netpupper/netp/runner/runs"
	"github.com/netpupper/netp/runner/store"
)

// Problem is the body of every answer that is an error.
type Problem struct {
	Status int `json:"-"`
	// Code is a word to branch on: "stale", "locked", ...; openapi.json lists them.
	Code string `json:"error"`
	// Detail says in full sentences what is wrong and what to do.
	Detail string `json:"detail"`
	// Lock is who holds the suite, with the code "locked".
	Lock *apply.Lock `json:"lock,omitempty"`
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

func problem(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

// problemOf finds the problem to tell for an error; nil when it is the
// controller's own trouble.
func problemOf(err error) *Problem {
	var known *Problem
	var ambiguous *store.Ambiguous
	var locked *apply.Locked
	var owned *apply.Owned
	var sinks *apply.SinkFault
	var away *store.Away
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &locked):
		p := problem(http.StatusLocked, "locked", "%s", locked)
		p.Lock = &locked.Lock
		return p
	case errors.As(err, &owned):
		return problem(http.StatusConflict, "owned", "%s", owned)
	case errors.As(err, &sinks):
		return problem(http.StatusUnprocessableEntity, "bad_sink", "%s", sinks)
	case errors.Is(err, runs.ErrClosing):
		return problem(http.StatusServiceUnavailable, "closing", "The controller is stopping.")
	case errors.Is(err, runs.ErrLate):
		return problem(http.StatusServiceUnavailable, "unavailable", "The controller is not ready to run anything. Make a new plan and try again later.")
	case errors.Is(err, planfile.ErrApplied):
		return problem(http.StatusConflict, "applied", "%v.", err)
	case errors.Is(err, planfile.ErrStale):
		return problem(http.StatusConflict, "stale", "%v.", err)
	case errors.Is(err, reconcile.ErrNoSource):
		return problem(http.StatusNotFound, "not_found", "The controller follows no source of this name; netp status lists those there are.")
	case errors.As(err, &ambiguous):
		return problem(http.StatusBadRequest, "ambiguous", "%s. Give more of the id.", err)
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "No run has this id; netp runs lists those there are.")
	case errors.As(err, &away):
		return problem(http.StatusServiceUnavailable, "unavailable", "The controller cannot use its store: %s. Try again when that is over; the controller's log says more.", away.Why)
	case errors.Is(err, store.ErrApplied):
		return problem(http.StatusConflict, "applied", "This plan has been applied already. Make a new plan to run it again.")
	case errors.Is(err, store.ErrConflict):
		return problem(http.StatusConflict, "stale", "Something else has been applied since the plan was made. Make a new plan.")
	}
	return nil
}

// refuse writes an error. What is no problem of the asker is for the log only.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	var away *store.Away
	if p == nil || errors.As(err, &away) {
		if r.Context().Err() != nil {
			return // nobody is left to answer
		}
		s.cfg.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if p == nil {
		p = problem(http.StatusInternalServerError, "internal", "The controller could not do this; its log says why.")
	}
	if p.Status == http.StatusUnauthorized {
		enrol.Challenge(w.Header())
	}
	_ = answer(w, p.Status, p)
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, status int, value any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // an error means that the asker is gone
	return nil
}
