package apply

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Owner is whose a suite is. The zero value is nobody.
type Owner struct {
	// Source is the name of the source that declares it; "" when somebody applied it
	// by hand.
	Source string `json:"source,omitempty"`
	// Holder is who applied it by hand last: user@host.
	Holder string `json:"holder,omitempty"`
}

// Owned is the error for a suite that is somebody else's.
type Owned struct {
	Suite string
	Owner Owner
}

// Error says whose the suite is and what to do.
func (o *Owned) Error() string {
	if o.Owner.Source == "" {
		return fmt.Sprintf("The suite %s was applied by %s with netp apply. To let a source have it, end it there first: netp destroy %s.", o.Suite, o.Owner.Holder, o.Suite)
	}
	return fmt.Sprintf("The suite %s belongs to the source %s: what it declares is applied, and anything else would be undone. Commit the change there; netp reconcile %s takes it over at once. What is applied can be run at any time: netp apply with an unchanged suite.",
		o.Suite, o.Owner.Source, o.Owner.Source)
}

// ownersNote is where the owners are kept, by suite.
const ownersNote = "owners"

// Owners are the owners of all suites that are applied.
func (a *Applier) Owners(ctx context.Context) (map[string]Owner, error) {
	owners := map[string]Owner{}
	if _, err := a.cfg.Store.Note(ctx, ownersNote, &owners); err != nil {
		return nil, err
	}
	return owners, nil
}

// Owner is the owner of a suite.
func (a *Applier) Owner(ctx context.Context, suite string) (Owner, error) {
	owners, err := a.Owners(ctx)
	return owners[suite], err
}

// Owned lists the suites of a source, sorted.
func (a *Applier) Owned(ctx context.Context, source string) ([]string, error) {
	owners, err := a.Owners(ctx)
	maps.DeleteFunc(owners, func(_ string, o Owner) bool { return o.Source != source })
	return slices.Sorted(maps.Keys(owners)), err
}

// own notes a suite's owner; the zero Owner for none.
func (a *Applier) own(ctx context.Context, suite string, o Owner) error {
	a.owning.Lock()
	defer a.owning.Unlock()
	owners, err := a.Owners(ctx)
	if err != nil || owners[suite] == o {
		return err
	}
	owners[suite] = o
	if o == (Owner{}) {
		delete(owners, suite)
	}
	return a.cfg.Store.SaveNote(ctx, ownersNote, owners)
}
