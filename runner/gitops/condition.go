package gitops

import (
	"slices"
	"time"
)

// ConditionType is one of the four things said about a source.
type ConditionType string

// The conditions, as Flux names them.
const (
	Ready          ConditionType = "Ready"          // the newest revision is applied
	Reconciling    ConditionType = "Reconciling"    // a new revision is being worked on
	Stalled        ConditionType = "Stalled"        // only a change of the source or the configuration helps
	SourceVerified ConditionType = "SourceVerified" // the newest revision is signed by a known key
)

// Truth of a condition.
const (
	True    = "True"
	False   = "False"
	Unknown = "Unknown"
)

// Condition is one statement about a source, and why.
type Condition struct {
	Type    ConditionType `json:"type"`
	Status  string        `json:"status"` // True, False, Unknown
	Reason  string        `json:"reason"`
	Message string        `json:"message"`
	// Revision is the one it is about.
	Revision Revision `json:"observed_revision"`
	// Since is when Status last changed.
	Since time.Time `json:"last_transition_time"`
}

func firstConditions(now time.Time) []Condition {
	var out []Condition
	for _, t := range []ConditionType{Ready, Reconciling, Stalled, SourceVerified} {
		out = append(out, Condition{Type: t, Status: Unknown, Reason: ReasonProgressing, Message: "not looked yet", Since: now})
	}
	return out
}

// Condition finds one by its type.
func (s Status) Condition(t ConditionType) Condition {
	i := slices.IndexFunc(s.Conditions, func(c Condition) bool { return c.Type == t })
	if i < 0 {
		return Condition{Type: t, Status: Unknown}
	}
	return s.Conditions[i]
}

// set changes a condition. The caller holds the mutex.
func (w *Watcher) set(next Condition) {
	next.Since = w.c.Now()
	for i, c := range w.status.Conditions {
		if c.Type != next.Type {
			continue
		}
		if c.Status == next.Status {
			next.Since = c.Since
		}
		w.status.Conditions[i] = next
	}
}

// progress says which step a revision is in.
func (w *Watcher) progress(r Revision, doing string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Observed, w.status.LastAttempted = r, r
	w.set(Condition{Type: Reconciling, Status: True, Reason: ReasonProgressing, Message: doing, Revision: r})
}

// verified says what the signature of a fetched revision is worth. The caller holds
// the mutex.
func (w *Watcher) verified(s *Snapshot) {
	c := Condition{Type: SourceVerified, Status: True, Reason: ReasonSucceeded, Message: "signed by " + s.Signer, Revision: s.Revision}
	if s.Signer == "" {
		c.Status, c.Reason, c.Message = Unknown, "NotConfigured", "no keys are configured: signatures are not checked"
	}
	w.set(c)
}

// conclude says how a look ended.
func (w *Watcher) conclude(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status.Looks++
	w.status.LastLook, w.status.Good = w.c.Now(), w.state.Good
	before := w.status.Conditions[0]
	if err == nil {
		w.succeeded()
	} else {
		w.failed(err)
	}
	w.report(before)
}

// succeeded says that the applied revision is the newest, be it that the source
// came back to it.
func (w *Watcher) succeeded() {
	r := w.current.Revision
	w.verified(w.current)
	w.status.Observed, w.status.LastAttempted, w.status.Diagnostics = r, r, w.warnings()
	w.set(Condition{Type: Ready, Status: True, Reason: ReasonSucceeded, Message: "applied " + string(r), Revision: r})
	w.set(Condition{Type: Reconciling, Status: False, Reason: ReasonSucceeded, Revision: r})
	w.set(Condition{Type: Stalled, Status: False, Reason: ReasonSucceeded, Revision: r})
}

func (w *Watcher) failed(err error) {
	f := asFault(err, ReasonFetch, "")
	w.status.Failures++
	w.status.Diagnostics = f.Diagnostics
	if f.Revision != "" {
		w.status.Observed, w.status.LastAttempted = f.Revision, f.Revision
	}
	message := err.Error()
	if w.status.LastApplied != "" {
		message += "; " + string(w.status.LastApplied) + " stays applied"
	}
	w.set(Condition{Type: Ready, Status: False, Reason: f.Reason, Message: message, Revision: f.Revision})
	w.set(Condition{Type: Reconciling, Status: False, Reason: f.Reason, Revision: f.Revision})
	stalled := Condition{Type: Stalled, Status: False, Reason: f.Reason, Message: "the next look tries again", Revision: f.Revision}
	if f.stalls() {
		stalled.Status, stalled.Message = True, message
	}
	w.set(stalled)
	if f.Reason == ReasonUnverified {
		w.set(Condition{Type: SourceVerified, Status: False, Reason: f.Reason, Message: message, Revision: f.Revision})
	}
}

// report logs what is new in Ready.
func (w *Watcher) report(before Condition) {
	after := w.status.Conditions[0]
	if before.Status == after.Status && before.Reason == after.Reason && before.Revision == after.Revision {
		return
	}
	if after.Status == True {
		w.c.Log.Info("revision applied", "source", w.c.Name, "revision", after.Revision)
		return
	}
	w.c.Log.Error("revision not applied", "source", w.c.Name, "revision", after.Revision, "reason", after.Reason, "message", after.Message)
}
