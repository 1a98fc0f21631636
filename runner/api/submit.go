package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/planfile"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/store"
)

// Lock says who holds a suite: while one applies it nobody else may.
type Lock struct {
	Suite string `json:"suite"`
	// Run is the run in progress; empty for the moment before it has begun.
	Run string `json:"run,omitempty"`
	// Holder is who began it, as the command named itself: user@host.
	Holder string    `json:"holder"`
	Since  time.Time `json:"since"`
}

// Started is the answer to a plan that was posted.
type Started struct {
	Run string `json:"run"`
	// Attached is true when a run of the same tests and sessions was in progress
	// already, and no other one was begun.
	Attached bool  `json:"attached,omitempty"`
	Lock     *Lock `json:"lock,omitempty"` // of the run in progress, when attached
}

// HolderHeader names who asks, for the lock.
const HolderHeader = "Netp-Holder"

// apply is a suite being applied. Server.mu guards its lock.
type apply struct {
	lock   Lock
	work   string // see workOf
	cancel context.CancelCauseFunc
}

// submit takes in a plan and begins its run.
func (s *Server) submit(w http.ResponseWriter, r *http.Request) error {
	p, err := s.readPlan(w, r)
	if err != nil {
		return err
	}
	if err := s.check(p); err != nil {
		return err
	}
	a, held, err := s.hold(p.Suite.Name, holder(r), workOf(p))
	if err != nil {
		return err
	}
	if held != nil {
		return answer(w, http.StatusOK, Started{Run: held.Run, Attached: true, Lock: held})
	}
	// From here on the request no longer counts: a client that goes away leaves a run.
	run, err := s.begin(context.WithoutCancel(r.Context()), a, p)
	if err != nil {
		return err
	}
	w.Header().Set("Location", Prefix+"runs/"+run)
	return answer(w, http.StatusCreated, Started{Run: run})
}

// readPlan reads the body. One plan is read at a time, because it takes many times
// its size of memory.
func (s *Server) readPlan(w http.ResponseWriter, r *http.Request) (*plan.Plan, error) {
	tooLarge := problem(http.StatusRequestEntityTooLarge, "too_large", "A plan may have at most %d bytes. Split the suite, or apply a part of it with -target.", s.cfg.MaxPlan)
	if r.ContentLength > s.cfg.MaxPlan {
		return nil, tooLarge
	}
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(requestTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	in := json.NewDecoder(http.MaxBytesReader(w, r.Body, s.cfg.MaxPlan))
	p := new(plan.Plan)
	err := in.Decode(p)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, tooLarge
	case err != nil:
		return nil, problem(http.StatusBadRequest, "bad_plan", "The body is not a plan in JSON: %v.", err)
	case in.More():
		return nil, problem(http.StatusBadRequest, "bad_plan", "Something follows the plan in the body.")
	}
	return p, nil
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
	case p.Hash == "" || p.Hash != hashOf(p):
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

// hashOf is the hash that package plan gives a plan: what it does, without itself,
// its time and its warnings. JSON keeps it.
func hashOf(p *plan.Plan) string {
	bare := *p
	bare.Hash, bare.Created, bare.Warnings = "", time.Time{}, nil
	return digest(bare)
}

// workOf identifies what a plan would run, whatever was applied before.
func workOf(p *plan.Plan) string { return digest([]any{p.Tests, p.Sessions}) }

func digest(v any) string {
	sum := sha256.New()
	if err := json.NewEncoder(sum).Encode(v); err != nil {
		return "" // not what JSON can hold: equal to no hash
	}
	return hex.EncodeToString(sum.Sum(nil))
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

// hold locks a suite. When a run of the same work holds it, that is given instead;
// any other holder is the problem "locked".
func (s *Server) hold(suite, who, work string) (*apply, *Lock, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, problem(http.StatusServiceUnavailable, "closing", "The controller is stopping.")
	}
	if there := s.applies[suite]; there != nil {
		lock := there.lock
		if lock.Run != "" && work != "" && there.work == work {
			return nil, &lock, nil
		}
		p := problem(http.StatusLocked, "locked", "The suite %s is being applied by %s since %s (run %s). Wait for it, or cancel the run.",
			suite, lock.Holder, lock.Since.UTC().Format(time.RFC3339), cmp.Or(lock.Run, "about to begin"))
		p.Lock = &lock
		return nil, nil, p
	}
	a := &apply{work: work, lock: Lock{Suite: suite, Holder: who, Since: s.cfg.Now().UTC()}}
	s.applies[suite] = a
	s.runs.Add(1) // before Close waits
	return a, nil, nil
}

// unlock lets the next one apply the suite.
func (s *Server) unlock(a *apply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.applies[a.lock.Suite] == a {
		delete(s.applies, a.lock.Suite)
	}
}

// release unlocks the suite and lets Close end.
func (s *Server) release(a *apply) {
	s.unlock(a)
	s.runs.Done()
}

// startTimeout bounds how long a run may take to begin.
const startTimeout = 15 * time.Second

// begin notes the plan as applied and starts its run. The lock is released when
// the run has ended, or at once when it does not begin.
func (s *Server) begin(ctx context.Context, a *apply, p *plan.Plan) (string, error) {
	if err := s.applyState(ctx, p); err != nil {
		s.release(a)
		return "", err
	}
	f, err := newFeed(s.cfg.SpoolDir, s.cfg.Logger)
	if err != nil {
		s.release(a)
		return "", err
	}
	life, cancel := context.WithCancelCause(s.life)
	s.mu.Lock()
	a.cancel = cancel
	s.mu.Unlock()
	begun := make(chan string, 1)
	failed := make(chan error, 1)
	go func() { failed <- s.execute(life, a, p, f, begun) }()
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	select {
	case run := <-begun:
		return run, nil
	case err := <-failed:
		return "", errors.Join(err, errors.New("the run did not begin"))
	case <-late.C:
		cancel(errors.New("the run did not begin in time"))
		return "", problem(http.StatusServiceUnavailable, "unavailable", "The controller is not ready to run anything. Make a new plan and try again later.")
	}
}

// applyState notes the plan as applied, so that it cannot be applied twice and the
// next plan shows what changed.
func (s *Server) applyState(ctx context.Context, p *plan.Plan) error {
	before, err := s.cfg.Store.State(ctx, p.Suite.Name)
	if err != nil {
		return err
	}
	switch err := planfile.Check(p, before); {
	case errors.Is(err, planfile.ErrApplied):
		return problem(http.StatusConflict, "applied", "%v.", err)
	case errors.Is(err, planfile.ErrStale):
		return problem(http.StatusConflict, "stale", "%v.", err)
	case err != nil:
		return err
	}
	return s.cfg.Store.Apply(ctx, store.Application{
		Suite: p.Suite.Name, PlanHash: p.Hash, Before: before, After: plan.Apply(before, p, uuid.NewString()),
	})
}

// execute runs a plan to its end and tells the feed; begun hears the run's id.
func (s *Server) execute(ctx context.Context, a *apply, p *plan.Plan, f *feed, begun chan<- string) error {
	defer s.release(a)
	defer a.cancel(nil)
	run := ""
	_, err := s.cfg.Runner.Run(ctx, p, func(e runner.Event) {
		if _, last := e.(runner.RunDone); last {
			s.unlock(a) // who hears of the end may apply again
		}
		f.tell(e)
		if e, ok := e.(runner.RunStarted); ok && run == "" {
			run = e.Run
			s.publish(a, run, f)
			begun <- run
		}
	})
	if err != nil {
		s.cfg.Logger.Error("run failed", "run", run, "suite", p.Suite.Name, "error", err)
		if data, e := json.Marshal(Failed{"The controller could not go on with the run; its log says why."}); e == nil {
			f.keep(eventFailed, data)
		}
	}
	f.finish()
	if run == "" {
		f.leave()
		return err
	}
	s.retire(run)
	return err
}

// publish makes the run findable.
func (s *Server) publish(a *apply, run string, f *feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.lock.Run = run
	s.feeds[run] = f
}

// keptFeeds is how many ended runs keep their events as they were told; older ones
// are told from the store.
const keptFeeds = 8

// retire counts a run among the ended ones.
func (s *Server) retire(run string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, run)
	for len(s.ended) > keptFeeds {
		if f := s.feeds[s.ended[0]]; f != nil {
			f.leave()
			delete(s.feeds, s.ended[0])
		}
		s.ended = s.ended[1:]
	}
}

// locks lists the suites being applied; with a run, only that one's. s.mu is held.
func (s *Server) locks(run string) []*apply {
	var out []*apply
	for _, a := range s.applies {
		if run == "" || a.lock.Run == run {
			out = append(out, a)
		}
	}
	return out
}

// cancelRun ends a run; the answer does not wait for its end.
func (s *Server) cancelRun(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Store.FindRun(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	id := found.Report.Run
	s.mu.Lock()
	there := s.locks(id)
	s.mu.Unlock()
	if len(there) == 0 {
		return problem(http.StatusConflict, "ended", "The run %s is not in progress.", id)
	}
	s.cfg.Logger.Info("run cancelled", "run", id, "by", holder(r))
	there[0].cancel(errCancelled)
	return answer(w, http.StatusAccepted, Started{Run: id})
}

var errCancelled = errors.New("the run was cancelled")
