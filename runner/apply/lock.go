package apply

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
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

// Locked is the error for a suite that somebody else holds.
type Locked struct{ Lock Lock }

// Error says who holds the suite, and since when.
func (l *Locked) Error() string {
	return fmt.Sprintf("The suite %s is being applied by %s since %s (run %s). Wait for it, or cancel the run.",
		l.Lock.Suite, l.Lock.Holder, l.Lock.Since.UTC().Format(time.RFC3339), cmp.Or(l.Lock.Run, "about to begin"))
}

// hold is a suite being applied. Applier.mu guards its lock.
type hold struct {
	lock Lock
	work string // what runs, as a digest
}

// hold locks a suite. When a run of the same work holds it, that lock is given
// instead; any other holder is a *Locked error.
func (a *Applier) hold(suite, who, work string) (*hold, *Lock, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if there := a.locks[suite]; there != nil {
		lock := there.lock
		if lock.Run != "" && work != "" && there.work == work {
			return nil, &lock, nil
		}
		return nil, nil, &Locked{lock}
	}
	h := &hold{work: work, lock: Lock{Suite: suite, Holder: who, Since: a.cfg.Now().UTC()}}
	a.locks[suite] = h
	return h, nil, nil
}

// begun notes the run of a suite that is held, unless it is over already.
func (a *Applier) begun(h *hold, run string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h.lock.Run = run
}

// release lets the next one apply the suite.
func (a *Applier) release(h *hold) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.locks[h.lock.Suite] == h {
		delete(a.locks, h.lock.Suite)
	}
}

// Locks lists the suites being applied, by name.
func (a *Applier) Locks() []Lock {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Lock, 0, len(a.locks))
	for _, h := range a.locks {
		out = append(out, h.lock)
	}
	slices.SortFunc(out, func(x, y Lock) int { return strings.Compare(x.Suite, y.Suite) })
	return out
}

// Lock is who holds a suite; nil for nobody.
func (a *Applier) Lock(suite string) *Lock {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.locks[suite]; h != nil {
		lock := h.lock
		return &lock
	}
	return nil
}
