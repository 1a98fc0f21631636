package gitops

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpupper/netp/lang/diag"
)

// Config says what a Watcher follows and to whom it hands over.
type Config struct {
	// Name is the source's in status and logs.
	Name   string
	Source Source
	// Interval between looks, give or take a tenth; default 30 s.
	Interval time.Duration
	Compile  CompileOptions
	// LoadTime bounds compiling all suites of a revision; default 2 min.
	LoadTime time.Duration
	// Reconcile plans and applies the suites of a revision, all of them: a suite
	// that is not in the list is no longer in the source. It is called by one
	// goroutine, again with the same revision on demand and after an error, and once
	// after a restart. It may block; it must end with ctx. What it finds without an error are warnings.
	Reconcile func(ctx context.Context, r Revision, suites []Suite) (diag.List, error)
	// State is what Save was last given; Save is called after each new revision.
	State State
	Save  func(State) error
	// Suspended starts without looking.
	Suspended bool
	// Log gets what changes in the conditions; nil logs nothing.
	Log *slog.Logger
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Watcher looks at a source again and again and hands each good new revision
// over. Use NewWatcher, then Run; all methods may be called concurrently.
type Watcher struct {
	c    Config
	kick chan struct{} // holds one wish to look now
	new  chan struct{} // holds one wish to hand over again what is applied

	mu     sync.Mutex // guards what follows
	status Status
	force  bool // hand over even what is applied already

	// Of Run's goroutine only.
	state   State
	current *Snapshot // of status.LastApplied
	suites  []Suite   // of current
	loaded  diag.List // the warnings of current, from its suites
	planned diag.List // and from their plans
	stale   bool      // handing over current again failed
	partial bool      // a later revision was handed over and not taken, perhaps in part
}

// NewWatcher makes a watcher; nothing runs before Run.
func NewWatcher(c Config) (*Watcher, error) {
	switch {
	case c.Source == nil:
		return nil, errors.New("a watcher needs a source")
	case c.Reconcile == nil:
		return nil, errors.New("a watcher needs someone to hand suites to")
	}
	c.Interval = cmp.Or(c.Interval, 30*time.Second)
	c.LoadTime = cmp.Or(c.LoadTime, 2*time.Minute)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Save == nil {
		c.Save = func(State) error { return nil }
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	w := &Watcher{c: c, kick: make(chan struct{}, 1), new: make(chan struct{}, 1), state: c.State}
	if w.state.Origin != c.Source.Origin() {
		w.state = State{Origin: c.Source.Origin()}
	}
	w.status = Status{Name: c.Name, Origin: w.state.Origin, Suspended: c.Suspended, Good: w.state.Good, Conditions: firstConditions(c.Now())}
	return w, nil
}

// Run looks at once, then at every interval, when the source changes, and on
// demand, until ctx ends. It returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := w.c.Source.Watch(ctx, w.poke); err != nil {
			w.c.Log.Warn("cannot watch for changes, looking at every interval only", "source", w.c.Name, "error", err)
		}
		return nil
	})
	g.Go(func() error {
		for look := true; ctx.Err() == nil; look = w.wait(ctx) {
			if !w.Status().Suspended && (look || w.renew(ctx)) {
				w.step(ctx)
			}
		}
		return nil
	})
	err := g.Wait()
	w.release(nil)
	return err
}

// wait returns when it is time to look again, or, with false, only to hand over
// again what is applied.
func (w *Watcher) wait(ctx context.Context) (look bool) {
	jitter := 0.9 + 0.2*rand.Float64()
	timer := time.NewTimer(time.Duration(jitter * float64(w.c.Interval)))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-w.kick:
	case <-w.new:
		return false
	}
	return true
}

// poke asks for a look; many wishes at once are one.
func (w *Watcher) poke() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}

// Poll asks for a look at the source now; what is applied already is left alone.
func (w *Watcher) Poll() { w.poke() }

// Reconcile asks for a look now and hands over what is found even when it was
// applied before. While suspended it waits for Resume.
func (w *Watcher) Reconcile() {
	w.mu.Lock()
	w.force = true
	w.mu.Unlock()
	w.poke()
}

// Refresh hands over again what is applied, without looking at the source: something
// else that it depends on has changed. While suspended it does nothing.
func (w *Watcher) Refresh() {
	select {
	case w.new <- struct{}{}:
	default:
	}
}

// Suspend stops looking; what is applied stays. A look under way is finished.
func (w *Watcher) Suspend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Suspended = true
}

// Resume looks again, at once, and hands over what is found: what it depends on may
// have changed meanwhile.
func (w *Watcher) Resume() {
	w.mu.Lock()
	w.status.Suspended, w.force = false, true
	w.mu.Unlock()
	w.poke()
}

// step looks once: fetch, verify, load, reconcile. After a restart with a head that
// is at fault, it hands over the last good revision instead.
func (w *Watcher) step(ctx context.Context) {
	w.mu.Lock()
	force := w.force
	w.force = false
	w.mu.Unlock()
	err := w.advance(ctx, force)
	if err != nil && ctx.Err() == nil && w.current == nil && w.state.Good != "" {
		if again := w.restore(ctx); again != nil {
			err = errors.Join(err, again)
		}
	}
	if ctx.Err() == nil {
		w.conclude(err)
	}
}

// renew hands over again what is applied, and says whether a look is needed, too:
// there is nothing yet, or the source's condition is not what it was.
func (w *Watcher) renew(ctx context.Context) (look bool) {
	if w.current == nil || w.partial {
		return true
	}
	mended := w.stale
	err := w.refresh(ctx)
	if err != nil && ctx.Err() == nil {
		w.conclude(asFault(err, ReasonReconcile, w.current.Revision))
	}
	return err == nil && mended
}

// refresh hands over the applied revision again; when that fails, the next look
// tries again.
func (w *Watcher) refresh(ctx context.Context) error {
	warnings, err := w.c.Reconcile(ctx, w.current.Revision, w.suites)
	if w.stale = err != nil; w.stale {
		return err
	}
	w.planned = warnings
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status.Condition(Ready).Status == True {
		w.status.Diagnostics = w.warnings()
	}
	return nil
}

// warnings are those of the applied revision.
func (w *Watcher) warnings() diag.List { return slices.Concat(w.loaded, w.planned) }

// advance applies the source's head, if it is new.
func (w *Watcher) advance(ctx context.Context, force bool) error {
	head, err := w.c.Source.Head(ctx)
	if err != nil {
		return err
	}
	if w.current != nil && head == w.current.Revision && !force {
		if !w.stale {
			return nil
		}
		if err := w.refresh(ctx); err != nil {
			return asFault(err, ReasonReconcile, head)
		}
		return nil
	}
	w.progress(head, "fetching and verifying")
	snap, err := w.c.Source.Fetch(ctx, w.state.Good)
	if err != nil {
		return asFault(err, ReasonFetch, head)
	}
	w.mu.Lock()
	w.verified(snap)
	w.mu.Unlock()
	if err := w.hand(ctx, snap); err != nil {
		return err
	}
	w.state.Good, w.state.Signer, w.state.Applied = snap.Revision, snap.Signer, w.c.Now()
	if err := w.c.Save(w.state); err != nil {
		return asFault(err, ReasonState, snap.Revision)
	}
	return nil
}

// restore hands over the last good revision as it was before a restart.
func (w *Watcher) restore(ctx context.Context) error {
	snap, err := w.c.Source.At(ctx, w.state.Good)
	if err != nil {
		return err
	}
	snap.Signer = w.state.Signer
	return w.hand(ctx, snap)
}

// hand compiles a snapshot's suites and has them applied.
func (w *Watcher) hand(ctx context.Context, snap *Snapshot) error {
	w.progress(snap.Revision, "loading")
	loading, cancel := context.WithTimeout(ctx, w.c.LoadTime)
	suites, loaded, err := load(loading, snap, w.c.Compile)
	cancel()
	if err != nil {
		os.RemoveAll(snap.Dir)
		return asFault(err, ReasonLoad, snap.Revision)
	}
	w.progress(snap.Revision, "reconciling")
	planned, err := w.c.Reconcile(ctx, snap.Revision, suites)
	w.partial = err != nil
	if err != nil {
		os.RemoveAll(snap.Dir)
		return asFault(err, ReasonReconcile, snap.Revision)
	}
	w.release(snap)
	w.suites, w.loaded, w.planned, w.stale = suites, loaded, planned, false
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.LastApplied, w.status.LastAppliedAt = snap.Revision, w.c.Now()
	w.status.Suites = nil
	for _, s := range suites {
		w.status.Suites = append(w.status.Suites, SuiteStatus{Name: s.Name, Dir: s.Dir, Hash: s.Hash})
	}
	return nil
}

// release replaces the files of the applied revision.
func (w *Watcher) release(next *Snapshot) {
	if w.current != nil {
		os.RemoveAll(w.current.Dir)
	}
	w.current = next
}

// Status is what is known of a source; the JSON form is the API's.
type Status struct {
	Name      string `json:"name"`
	Origin    string `json:"origin"`
	Suspended bool   `json:"suspended"`
	// Observed is the newest revision seen; LastAttempted the newest that was tried,
	// LastApplied the one handed over in this process, Good the high-water mark.
	Observed      Revision    `json:"observed_revision"`
	LastAttempted Revision    `json:"last_attempted_revision"`
	LastApplied   Revision    `json:"last_applied_revision"`
	LastAppliedAt time.Time   `json:"last_applied_at,omitzero"`
	Good          Revision    `json:"good_revision"`
	LastLook      time.Time   `json:"last_look,omitzero"`
	Looks         uint64      `json:"looks"`
	Failures      uint64      `json:"failures"` // looks that ended in a fault
	Conditions    []Condition `json:"conditions"`
	// Suites are those of LastApplied.
	Suites []SuiteStatus `json:"suites"`
	// Diagnostics are those of LastAttempted: why it is not applied, or warnings.
	Diagnostics diag.List `json:"diagnostics"`
}

// SuiteStatus is one applied suite.
type SuiteStatus struct {
	Name string `json:"name"`
	Dir  string `json:"dir"`
	Hash string `json:"hash"`
}

// Status returns a copy.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.status
	s.Conditions, s.Suites, s.Diagnostics = slices.Clone(s.Conditions), slices.Clone(s.Suites), slices.Clone(s.Diagnostics)
	return s
}
