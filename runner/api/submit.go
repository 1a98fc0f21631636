package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/apply"
)

// Submission is the body of a plan that is posted: the plan, and beside it what is
// never in one.
type Submission struct {
	*plan.Plan
	// SinkSecrets are the secrets of the plan's sinks, by address and name. The
	// controller keeps them sealed and shows them to nobody.
	SinkSecrets map[string]map[string]string `json:"sink_secrets,omitempty"`
}

// HolderHeader names who asks, for the lock.
const HolderHeader = "Netp-Holder"

// submit takes in a plan and begins its run.
func (s *Server) submit(w http.ResponseWriter, r *http.Request) error {
	in, err := s.readPlan(w, r)
	if err != nil {
		return err
	}
	if err := s.check(in.Plan); err != nil {
		return err
	}
	// From here on the request no longer counts: a client that goes away leaves a run.
	started, err := s.cfg.Applier.Apply(context.WithoutCancel(r.Context()), apply.Request{Plan: in.Plan, Holder: holder(r), Secrets: in.SinkSecrets})
	if err != nil {
		return err
	}
	if started.Attached {
		return answer(w, http.StatusOK, started)
	}
	w.Header().Set("Location", Prefix+"runs/"+started.Run)
	return answer(w, http.StatusCreated, started)
}

// readPlan reads the body. One plan is read at a time, because it takes many times
// its size of memory.
func (s *Server) readPlan(w http.ResponseWriter, r *http.Request) (Submission, error) {
	var none Submission
	tooLarge := problem(http.StatusRequestEntityTooLarge, "too_large", "A plan may have at most %d bytes. Split the suite, or apply a part of it with -target.", s.cfg.MaxPlan)
	if r.ContentLength > s.cfg.MaxPlan {
		return none, tooLarge
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-r.Context().Done():
		return none, context.Cause(r.Context())
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(requestTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, s.cfg.MaxPlan))
	got := Submission{Plan: new(plan.Plan)}
	err := in.Decode(&got)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return none, tooLarge
	case err != nil:
		return none, problem(http.StatusBadRequest, "bad_plan", "The body is not a plan in JSON: %v.", err)
	case in.More():
		return none, problem(http.StatusBadRequest, "bad_plan", "Something follows the plan in the body.")
	}
	if got.Plan == nil {
		got.Plan = new(plan.Plan)
	}
	return got, nil
}

// check says whether the plan is one that this controller could have been meant by.
func (s *Server) check(p *plan.Plan) error {
	bad := func(format string, args ...any) error {
		return problem(http.StatusUnprocessableEntity, "bad_plan", format, args...)
	}
	switch {
	case p.FormatVersion != netp.FormatVersion:
		return bad("The plan has the format %q, this controller reads %q. Use a netp of the controller's version, %s.", p.FormatVersion, netp.FormatVersion, s.cfg.Version)
	case p.Suite.Name == "":
		return bad("The plan names no suite.")
	case p.Hash == "" || p.Hash != p.Digest():
		return bad("The plan is not what its hash says: it was changed, or made by another version of netp. Make a new plan with the controller's version, %s.", s.cfg.Version)
	case len(p.Sessions) > plan.DefaultSessions:
		return bad("The plan has %d sessions, more than %d.", len(p.Sessions), plan.DefaultSessions)
	}
	tests := make(map[string]bool, len(p.Tests))
	for _, t := range p.Tests {
		if _, known := s.cfg.Catalogue.Find(t.Kind); !known {
			return bad("%s is of the kind %q, which this controller does not have.", t.Addr, t.Kind)
		}
		if t.Timeout <= 0 {
			return bad("%s has no timeout.", t.Addr)
		}
		tests[t.Addr] = true
	}
	seen := make(map[string]bool, len(p.Sessions))
	for _, one := range p.Sessions {
		if !tests[one.Test] || seen[one.Addr] || one.Start < 0 || one.Slot < 0 {
			return bad("The session %s is there twice, is of no test of the plan, or has no place in time.", one.Addr)
		}
		seen[one.Addr] = true
	}
	return nil
}

// holder is who asks: as the command says, else where the request came from.
func holder(r *http.Request) string {
	name := strings.Map(func(c rune) rune {
		if unicode.IsGraphic(c) {
			return c
		}
		return -1
	}, r.Header.Get(HolderHeader))
	if runes := []rune(name); len(runes) > 100 {
		name = string(runes[:100])
	}
	return cmp.Or(name, r.RemoteAddr)
}

// cancelRun ends a run; the answer does not wait for its end.
func (s *Server) cancelRun(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Store.FindRun(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	id := found.Report.Run
	if !s.cfg.Runs.Cancel(id) {
		return problem(http.StatusConflict, "ended", "The run %s is not in progress.", id)
	}
	s.cfg.Logger.Info("run cancelled", "run", id, "by", holder(r))
	return answer(w, http.StatusAccepted, apply.Started{Run: id})
}
