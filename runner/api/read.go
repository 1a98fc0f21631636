package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/standing"
	"github.com/netpupper/netp/runner/store"
)

// Status is how the controller is.
type Status struct {
	FormatVersion string    `json:"format_version"`
	Version       string    `json:"netp_version"`
	Time          time.Time `json:"time"`
	// Agents are there; Draining of them take no new sessions.
	Agents   int `json:"agents"`
	Draining int `json:"draining"`
	// Running are the suites being applied, by name, then the runs that commits began.
	Running []apply.Lock `json:"running"`
	// Sources are what the controller follows, Standing the tests that run again and
	// again, Sinks the receivers of records; all by name.
	Sources  []gitops.Status   `json:"sources"`
	Standing []standing.Status `json:"standing"`
	Sinks    []apply.SinkState `json:"sinks"`
}

// SuiteState is what is applied of a suite.
type SuiteState struct {
	FormatVersion string     `json:"format_version"`
	State         plan.State `json:"state"`
	// Source is the name of the source that the suite belongs to; "" when it was
	// applied by hand.
	Source string      `json:"source,omitempty"`
	Lock   *apply.Lock `json:"lock,omitempty"` // who applies it now
}

// Where a run stands.
const (
	Running     = "running"
	Ended       = "ended"
	Interrupted = "interrupted" // the controller was stopped meanwhile, or could not write to its store
)

// Run is a run with where it stands.
type Run struct {
	store.Run
	State string      `json:"state,omitempty"`
	Lock  *apply.Lock `json:"lock,omitempty"` // while it runs
}

// Runs is a list of runs, the latest first.
type Runs struct {
	FormatVersion string `json:"format_version"`
	Runs          []Run  `json:"runs"`
}

// Records is a list of records.
type Records struct {
	FormatVersion string        `json:"format_version"`
	Records       []netp.Record `json:"records"`
}

// Paths is a list of the paths that have records.
type Paths struct {
	FormatVersion string            `json:"format_version"`
	Paths         []store.KnownPath `json:"paths"`
}

// Destroyed says how many tests were applied before.
type Destroyed struct {
	Tests int `json:"tests"`
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) error {
	out := Status{
		FormatVersion: netp.FormatVersion, Version: s.cfg.Version, Time: s.cfg.Now().UTC(),
		Running: s.running(), Sources: s.sources(), Standing: []standing.Status{}, Sinks: []apply.SinkState{},
	}
	for _, m := range s.cfg.Fleet.Members() {
		out.Agents++
		if m.Draining || m.Agent.Drained {
			out.Draining++
		}
	}
	if s.cfg.Standing != nil {
		out.Standing = append(out.Standing, s.cfg.Standing()...)
	}
	if s.cfg.Sinks != nil {
		out.Sinks = append(out.Sinks, s.cfg.Sinks()...)
	}
	return answer(w, http.StatusOK, out)
}

func (s *Server) running() []apply.Lock {
	out := s.cfg.Applier.Locks()
	for _, p := range s.cfg.Runs.Begun(store.ByCommit) {
		out = append(out, apply.Lock{Suite: p.Suite, Run: p.Run, Holder: "a commit", Since: p.Since.UTC()})
	}
	return out
}

func (s *Server) state(w http.ResponseWriter, r *http.Request) error {
	suite := r.PathValue("suite")
	state, err := s.cfg.Store.State(r.Context(), suite)
	if err != nil {
		return err
	}
	owner, err := s.cfg.Applier.Owner(r.Context(), suite)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, SuiteState{
		FormatVersion: netp.FormatVersion, State: state, Source: owner.Source, Lock: s.cfg.Applier.Lock(suite),
	})
}

// destroy ends a suite's standing tests and forgets what is applied of it; its runs
// stay.
func (s *Server) destroy(w http.ResponseWriter, r *http.Request) error {
	n, err := s.cfg.Applier.Destroy(context.WithoutCancel(r.Context()), r.PathValue("suite"), holder(r))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, Destroyed{n})
}

// maxListed bounds lists; DefaultListed is how long they are unless asked.
const (
	maxListed     = 10_000
	defaultListed = 100
)

func limit(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return defaultListed, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxListed {
		return 0, problem(http.StatusBadRequest, "bad_request", "limit must be a number from 1 to %d.", maxListed)
	}
	return n, nil
}

func (s *Server) listRuns(w http.ResponseWriter, r *http.Request) error {
	n, err := limit(r)
	if err != nil {
		return err
	}
	runs, err := s.cfg.Store.Runs(r.Context(), r.URL.Query().Get("suite"), n)
	if err != nil {
		return err
	}
	out := Runs{FormatVersion: netp.FormatVersion, Runs: []Run{}}
	for _, one := range runs {
		out.Runs = append(out.Runs, s.whereabouts(one))
	}
	return answer(w, http.StatusOK, out)
}

// whereabouts adds where a run stands.
func (s *Server) whereabouts(r store.Run) Run {
	out := Run{Run: r, State: Interrupted}
	if _, ok := s.cfg.Runs.Find(r.Report.Run); ok {
		out.State = Running
		if lock := s.cfg.Applier.Lock(r.Report.Suite); lock != nil && lock.Run == r.Report.Run {
			out.Lock = lock
		}
	}
	if r.Finished() {
		out.State, out.Lock = Ended, nil
	}
	return out
}

func (s *Server) oneRun(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Store.FindRun(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, s.whereabouts(found))
}

func (s *Server) runRecords(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Store.FindRun(r.Context(), r.PathValue("run"))
	if err != nil {
		return err
	}
	records, err := s.cfg.Store.Records(r.Context(), found.Report.Run)
	if err != nil {
		return err
	}
	return answerRecords(w, records)
}

// history lists the records of a path, the latest first.
func (s *Server) history(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	past := store.Past{Path: q.Get("path"), Suite: q.Get("suite"), Test: q.Get("test")}
	if past.Path == "" {
		return problem(http.StatusBadRequest, "bad_request", `Name the path: path=path.core["syd->mel"], or its pair alone, path=syd->mel.`)
	}
	if text := q.Get("since"); text != "" {
		var err error
		if past.Since, err = time.Parse(time.RFC3339, text); err != nil {
			return problem(http.StatusBadRequest, "bad_request", "since must be a time as in RFC 3339: 2026-11-01T00:00:00Z.")
		}
	}
	var err error
	if past.Limit, err = limit(r); err != nil {
		return err
	}
	records, err := s.cfg.Store.History(r.Context(), past)
	if err != nil {
		return err
	}
	return answerRecords(w, records)
}

// paths lists the paths that have records.
func (s *Server) paths(w http.ResponseWriter, r *http.Request) error {
	found, err := s.cfg.Store.Paths(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, Paths{FormatVersion: netp.FormatVersion, Paths: found})
}

// answerRecords writes records one at a time, each under a deadline of its own: a
// run may have many.
func answerRecords(w http.ResponseWriter, records []netp.Record) error {
	w.Header().Set("Content-Type", "application/json")
	control := http.NewResponseController(w)
	out := json.NewEncoder(w)
	before := `{"format_version":"` + netp.FormatVersion + `","records":[`
	for _, r := range records {
		_ = control.SetWriteDeadline(time.Now().Add(requestTimeout))
		if _, err := io.WriteString(w, before); err != nil {
			return nil // the asker is gone
		}
		if err := out.Encode(r); err != nil {
			return nil
		}
		before = ","
	}
	if len(records) > 0 {
		before = ""
	}
	_, _ = io.WriteString(w, before+"]}\n")
	return nil
}
