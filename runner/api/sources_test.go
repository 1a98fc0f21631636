package api

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/netpupper/netp/runner/gitops"
	"github.com/netpupper/netp/runner/reconcile"
)

// fakeSources is one source, infra, that notes what it is told.
type fakeSources struct {
	mu   sync.Mutex // guards told
	told []string
}

func (f *fakeSources) Status() []gitops.Status {
	return []gitops.Status{{Name: "infra", Observed: "main@sha1:1"}}
}

func (f *fakeSources) tell(name, what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if name != "infra" {
		return reconcile.ErrNoSource
	}
	f.told = append(f.told, what)
	return nil
}

func (f *fakeSources) Suspend(_ context.Context, name string) error { return f.tell(name, "suspend") }

func (f *fakeSources) Resume(_ context.Context, name string) error { return f.tell(name, "resume") }

func (f *fakeSources) Reconcile(_ context.Context, name string) error {
	return f.tell(name, "reconcile")
}

func TestSources(t *testing.T) {
	w := newWorld(t)
	if got := wants[SourceList](w, 200, "GET", "/api/v1/sources", nil); len(got.Sources) != 1 || got.Sources[0].Name != "infra" {
		t.Errorf("the sources are %+v", got)
	}
	if got := wants[Status](w, 200, "GET", "/api/v1/status", nil); len(got.Sources) != 1 {
		t.Errorf("the status is %+v", got)
	}
	for _, what := range []string{"suspend", "resume", "reconcile"} {
		if got := wants[gitops.Status](w, 200, "POST", "/api/v1/sources/infra/"+what, nil); got.Observed != "main@sha1:1" {
			t.Errorf("%s answers %+v", what, got)
		}
		if got := wants[Problem](w, 404, "POST", "/api/v1/sources/other/"+what, nil); got.Code != "not_found" {
			t.Errorf("%s of an unknown source answers %+v", what, got)
		}
	}
	if want := []string{"suspend", "resume", "reconcile"}; !slices.Equal(w.sources.told, want) {
		t.Errorf("the source was told %v, want %v", w.sources.told, want)
	}
}

// TestWrongMethod: a path that takes another method says which, and one that does not exist says so.
func TestWrongMethod(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{"status": "takes GET, not PUT", "runs": "takes POST and GET, not PUT", "suites/a": "takes DELETE, not PUT"} {
		if got := wants[Problem](w, 405, "PUT", Prefix+path, nil); got.Code != "method_not_allowed" || !strings.Contains(got.Detail, want) {
			t.Errorf("PUT %s: %+v; want %q", path, got, want)
		}
	}
	if got := wants[Problem](w, 404, "GET", Prefix+"nothing", nil); got.Code != "not_found" {
		t.Errorf("an unknown path: %+v", got)
	}
}
