// Package runs knows the runs in progress on a controller, whoever began them: it
// starts them, keeps what they tell for any number of watchers, cancels them, and
// ends them all when the controller stops. It neither plans nor decides what may
// run. Start with Runs.
package runs

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner"
	"github.com/netpupper/netp/runner/feed"
	"github.com/netpupper/netp/runner/store"
)

// Executor executes work, several at once. *runner.Runner is the real one; its
// methods block until the run has ended and tell events one at a time.
type Executor interface {
	Execute(ctx context.Context, w runner.Work, events func(runner.Event)) (netp.Report, error)
	Miss(ctx context.Context, w runner.Work, why netp.Failure) (netp.Report, error)
	Recover(ctx context.Context, u store.Unfinished, events func(runner.Event)) (netp.Report, error)
}

// Config is what Runs need. Executor is required.
type Config struct {
	Executor Executor
	// SpoolDir is where the events of runs are kept; "" for the system's directory
	// for temporary files.
	SpoolDir string
	// Observe hears every event of every run, of several at once; nil for nobody.
	// It must not block.
	Observe func(runner.Event)
	Logger  *slog.Logger // nil logs nothing
}

// Runs are the runs in progress, and what the last ones told. They may be used
// concurrently.
type Runs struct {
	cfg  Config
	life context.Context
	end  context.CancelCauseFunc

	mu      sync.Mutex // guards what follows
	closed  bool
	running map[string]*running   // by run
	feeds   map[string]*feed.Feed // by run; also of runs that ended
	ended   []string              // runs whose feed is kept, oldest first
	stuck   map[string]bool       // runs that could not go on
	all     sync.WaitGroup
}

// running is one run in progress.
type running struct {
	suite   string
	trigger store.Trigger
	since   time.Time
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when it has ended
}

// Reasons why runs end early.
var (
	// ErrClosing cancels the runs of a controller that stops, and refuses new ones.
	ErrClosing = errors.New("the controller is stopping")
	// ErrCancelled cancels a run on demand.
	ErrCancelled = errors.New("the run was cancelled")
	// ErrLate is returned for a run that did not begin in time.
	ErrLate = errors.New("the run did not begin in time")
)

// New gives Runs without any.
func New(cfg Config) *Runs {
	if cfg.Observe == nil {
		cfg.Observe = func(runner.Event) {}
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	r := &Runs{cfg: cfg, running: make(map[string]*running), feeds: make(map[string]*feed.Feed), stuck: make(map[string]bool)}
	r.life, r.end = context.WithCancelCause(context.Background())
	return r
}

// Cancelled is a run that the end of the controller cancelled.
type Cancelled struct {
	Run, Suite string
	Trigger    store.Trigger
}

// Close cancels the runs in progress, waits until they are recorded and ends their
// event streams. No run begins any more.
func (r *Runs) Close() []Cancelled {
	var out []Cancelled
	r.mu.Lock()
	r.closed = true
	for id, one := range r.running {
		out = append(out, Cancelled{id, one.suite, one.trigger})
	}
	r.mu.Unlock()
	r.end(ErrClosing)
	r.all.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.feeds {
		f.Leave()
	}
	clear(r.feeds)
	return out
}

// enter counts a run in before Close waits.
func (r *Runs) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosing
	}
	r.all.Add(1)
	return nil
}

// startTimeout bounds how long a run may take to begin.
const startTimeout = 15 * time.Second

// Start begins to execute work and gives the run's id as soon as it has begun.
// ended, which may be nil, is called once, when the run has ended but before its
// watchers hear of it, or when it did not begin.
func (r *Runs) Start(w runner.Work, ended func()) (run string, err error) {
	begun := make(chan string, 1)
	failed, cancel, err := r.launch(job{
		suite: w.Plan.Suite.Name, trigger: w.Trigger, since: time.Now(), ended: ended, begun: func(run string) { begun <- run },
		do: func(ctx context.Context, tell func(runner.Event)) error {
			_, err := r.cfg.Executor.Execute(ctx, w, tell)
			return err
		},
	})
	if err != nil {
		return "", err
	}
	late := time.NewTimer(startTimeout)
	defer late.Stop()
	select {
	case run := <-begun:
		return run, nil
	case err := <-failed:
		select {
		case run := <-begun: // and it has ended by now
			return run, nil
		default:
			return "", errors.Join(err, errors.New("the run did not begin"))
		}
	case <-late.C:
		cancel(ErrLate)
		return "", ErrLate
	}
}

// Recover brings a run to its end that was interrupted by the controller's, or was
// stuck. It is in progress from now on; ended is as in Start.
func (r *Runs) Recover(u store.Unfinished, ended func()) error {
	_, _, err := r.launch(job{
		run: u.Run.Report.Run, base: int(time.Now().UnixMilli()), suite: u.Run.Report.Suite, trigger: u.Run.Trigger, since: u.Run.Report.Started, ended: ended,
		do: func(ctx context.Context, tell func(runner.Event)) error {
			_, err := r.cfg.Executor.Recover(ctx, u, tell)
			return err
		},
	})
	if err != nil {
		r.stick(u.Run.Report.Run)
	}
	return err
}

// Execute executes a turn of a standing test and blocks until it has ended. Its
// events are not kept: there may be thousands of turns.
func (r *Runs) Execute(ctx context.Context, w runner.Work, events func(runner.Event)) (netp.Report, error) {
	if err := r.enter(); err != nil {
		return netp.Report{}, err
	}
	defer r.all.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(r.life, func() { cancel(context.Cause(r.life)) })()
	one := &running{suite: w.Plan.Suite.Name, trigger: w.Trigger, since: time.Now(), cancel: cancel, done: make(chan struct{})}
	defer close(one.done)
	run := ""
	defer func() { r.forget(run) }()
	report, err := r.cfg.Executor.Execute(ctx, w, func(e runner.Event) {
		if e, ok := e.(runner.RunStarted); ok {
			run = e.Run
			r.note(run, one)
		}
		r.cfg.Observe(e)
		if events != nil {
			events(e)
		}
	})
	if err != nil {
		r.stick(report.Run)
	}
	return report, err
}

// Miss records every session of a turn as missed.
func (r *Runs) Miss(ctx context.Context, w runner.Work, why netp.Failure) (netp.Report, error) {
	report, err := r.cfg.Executor.Miss(ctx, w, why)
	if err != nil {
		r.stick(report.Run)
	}
	for _, one := range report.Records {
		r.cfg.Observe(runner.SessionDone{Record: one})
	}
	return report, err
}

// Find says whether a run is in progress, and gives what is closed at its end.
func (r *Runs) Find(run string) (done <-chan struct{}, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if one := r.running[run]; one != nil {
		return one.done, true
	}
	return nil, false
}

// Progress is a run in progress.
type Progress struct {
	Run, Suite string
	Since      time.Time
}

// Begun lists the runs in progress that were begun so, the first first.
func (r *Runs) Begun(by store.Trigger) []Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Progress
	for run, one := range r.running {
		if one.trigger == by {
			out = append(out, Progress{run, one.suite, one.since})
		}
	}
	slices.SortFunc(out, func(a, b Progress) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Run, b.Run)) })
	return out
}

// Feed is what a run tells, as long as it is kept.
func (r *Runs) Feed(run string) (*feed.Feed, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, ok := r.feeds[run]
	return f, ok
}

// Cancel ends a run; it does not wait for the end. It is false when the run is not
// in progress.
func (r *Runs) Cancel(run string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	one := r.running[run]
	if one == nil {
		return false
	}
	one.cancel(ErrCancelled)
	return true
}

// CancelSuite ends the runs of a suite that were begun so.
func (r *Runs) CancelSuite(suite string, trigger store.Trigger) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.running {
		if one.suite == suite && one.trigger == trigger {
			one.cancel(ErrCancelled)
		}
	}
}

// TakeStuck gives the runs that began and then could not go on because the store
// could not be written. Who takes them has them recovered, or puts them back.
func (r *Runs) TakeStuck() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.Sorted(maps.Keys(r.stuck))
	clear(r.stuck)
	return out
}

// PutBack undoes TakeStuck.
func (r *Runs) PutBack(stuck []string) {
	for _, run := range stuck {
		r.stick(run)
	}
}

// stick notes that a run could not go on; "" for one that did not begin.
func (r *Runs) stick(run string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if run != "" {
		r.stuck[run] = true
	}
}

func (r *Runs) note(run string, one *running) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running[run] = one
}

func (r *Runs) forget(run string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, run)
}
