// Package gitops follows a git repository or a local directory and hands over
// suites that are safe to load: fetched with budgets, descended from what ran
// before, signed by a known key, and compiled in a child process.
//
// It does not plan, keep history or know agents: whoever makes a Watcher gets the
// suites of each new revision and says whether they were taken. Nothing is ever
// checked out and nothing of a repository is ever run. When anything is wrong with
// a new revision, the last good one stays and the Watcher's conditions say why.
//
// Two attacks shape it. A repository can be far larger than its bytes, so the git
// binary works under limits and the tree is listed with a budget before a blob is
// read. A suite of a few bytes can cost a process gigabytes or kill it with a
// stack that no recover catches, so Compile loads it first in a child of the same
// binary with little memory, little time and no environment; only what the child
// survives is loaded here.
//
// Start with Watcher.step, then Repository.Fetch and Compile.
package gitops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netpupper/netp/lang/diag"
)

// Revision names one state of a source: main@sha1:<commit> of a repository,
// dir@sha256:<content> of a directory. "" is none.
type Revision string

// Digest is what stands behind the last @, with its algorithm: sha1:<commit>.
func (r Revision) Digest() string {
	return string(r[strings.LastIndexByte(string(r), '@')+1:])
}

// commit is the commit's id, "" when the revision is none of a repository.
func (r Revision) commit() string {
	if id, ok := strings.CutPrefix(r.Digest(), "sha1:"); ok {
		return id
	}
	return ""
}

// State is what must outlive the process: the high-water mark of one source. The
// zero value is a source never seen. The caller keeps it (Config.Save).
type State struct {
	// Origin is the source the mark belongs to; a mark of another source is void.
	Origin string `json:"origin"`
	// Good is the last revision that was applied.
	Good Revision `json:"good"`
	// Signer is who signed it; "" when no keys were configured.
	Signer string `json:"signer,omitempty"`
	// Applied is when.
	Applied time.Time `json:"applied"`
}

// Source is where suites come from. Its methods are called by one goroutine at a
// time, but for Watch, which runs beside them.
type Source interface {
	// Origin names the source; it changes when the history rule must start anew.
	Origin() string
	// Head finds the newest revision without bringing its files. The error is a *Fault.
	Head(ctx context.Context) (Revision, error)
	// Fetch brings the newest revision into a private directory. It refuses one
	// that does not follow the good one. The error is a *Fault.
	Fetch(ctx context.Context, good Revision) (*Snapshot, error)
	// At brings a revision seen before again, as after a restart; it is neither
	// verified nor compared anew. The error is a *Fault.
	At(ctx context.Context, r Revision) (*Snapshot, error)
	// Watch calls changed when the source may have changed, until ctx ends. A
	// source that must be asked only waits.
	Watch(ctx context.Context, changed func()) error
}

// Snapshot is one revision's suites as plain files in a directory of their own.
type Snapshot struct {
	Revision Revision
	// Dir holds the files; Suites are directories in it, sorted, "." for Dir itself.
	Dir    string
	Suites []string
	// Signer is who signed the revision; "" when no keys are configured.
	Signer string
}

// Reasons of conditions, beside those of success.
const (
	ReasonFetch       = "FetchFailed"         // the source does not answer, or not in time
	ReasonNoBranch    = "BranchNotFound"      // the repository answers and has no such branch
	ReasonTooLarge    = "BudgetExceeded"      // more entries, depth or bytes than allowed
	ReasonUnsafe      = "UnsafeContent"       // links, submodules, names that are no plain names
	ReasonRewritten   = "HistoryRewritten"    // the new head does not follow the last good revision
	ReasonUnverified  = "VerificationFailed"  // not signed, or not by a known and valid key
	ReasonNoSuite     = "NoSuite"             // no directory with suite files
	ReasonLoad        = "LoadFailed"          // a suite has errors: see the diagnostics
	ReasonPlan        = "PlanFailed"          // the suites are fine, but not with these agents: see the diagnostics
	ReasonReconcile   = "ReconciliationError" // the revision is fine, applying it failed
	ReasonState       = "StateNotSaved"       // applied, but the high-water mark could not be kept
	ReasonSucceeded   = "Succeeded"
	ReasonProgressing = "Progressing"
)

// Fault is why a revision was not applied.
type Fault struct {
	Reason string
	// Revision is the one at fault; "" when none was seen.
	Revision Revision
	// Diagnostics are the faults of suites that do not load; file names start at
	// the source's root.
	Diagnostics diag.List
	Err         error
}

func (f *Fault) Error() string { return f.Err.Error() }
func (f *Fault) Unwrap() error { return f.Err }

// stalls reports whether asking again cannot help: the repository must change.
func (f *Fault) stalls() bool {
	switch f.Reason {
	case ReasonTooLarge, ReasonUnsafe, ReasonRewritten, ReasonUnverified, ReasonNoSuite, ReasonLoad:
		return true
	}
	return false
}

func fault(reason, format string, args ...any) *Fault {
	return &Fault{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// asFault makes any error of a source a fault about a revision.
func asFault(err error, reason string, r Revision) *Fault {
	var f *Fault
	if !errors.As(err, &f) {
		f = &Fault{Reason: reason, Err: err}
	}
	if f.Revision == "" {
		f.Revision = r
	}
	return f
}

// Budget bounds what a revision may bring. A zero field means the default.
type Budget struct {
	Entries    int   // files and directories; default 10 000
	Depth      int   // directories within each other; default 32
	FileBytes  int64 // one file of a suite; default 1 MiB
	TotalBytes int64 // all files of all suites; default 32 MiB
	PackBytes  int64 // any one file git writes, as a pack; default 64 MiB
	Commits    int   // of history looked through for the last good revision; default 5000
}

func (b Budget) complete() Budget {
	b.Entries = cmp.Or(b.Entries, 10_000)
	b.Depth = cmp.Or(b.Depth, 32)
	b.FileBytes = cmp.Or(b.FileBytes, 1<<20)
	b.TotalBytes = cmp.Or(b.TotalBytes, 32<<20)
	b.PackBytes = cmp.Or(b.PackBytes, 64<<20)
	b.Commits = cmp.Or(b.Commits, 5000)
	return b
}
