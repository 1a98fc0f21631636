package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

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
	Lock *Lock `json:"lock,omitempty"`
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
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &ambiguous):
		return problem(http.StatusBadRequest, "ambiguous", "%s. Give more of the id.", err)
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "No run has this id; netp runs lists those there are.")
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
	if p == nil {
		if r.Context().Err() != nil {
			return // nobody is left to answer
		}
		s.cfg.Logger.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		p = problem(http.StatusInternalServerError, "internal", "The controller could not do this; its log says why.")
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="netp"`)
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
