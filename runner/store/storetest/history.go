package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/runner/store"
)

func history(t *testing.T, s *store.Store) {
	old, recent := record("r1", "a", noon()), record("r2", "a", noon().Add(time.Hour))
	other := record("r2", "b", noon())
	other.Suite, other.Test = "t", "test.b"
	other.Session.Path = netp.Path{Addr: `path.p["y->x"]`, Source: "y", Dest: "x"}
	again := record("r2", "c", noon().Add(time.Minute))
	again.Session.Path.Addr = `path.p2["x->y"]`
	if err := s.SaveRecords(t.Context(), []netp.Record{old, recent, other, again}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		past store.Past
		want []netp.Record
	}{
		{store.Past{Path: "x->y"}, []netp.Record{recent, again, old}},
		{store.Past{Path: `path.p["x->y"]`}, []netp.Record{recent, old}},
		{store.Past{Path: "path.p"}, []netp.Record{recent, old, other}},
		{store.Past{Path: "x->y", Limit: 1}, []netp.Record{recent}},
		{store.Past{Path: "x->y", Since: noon().Add(time.Hour)}, []netp.Record{recent}},
		{store.Past{Path: "path.p", Suite: "t"}, []netp.Record{other}},
		{store.Past{Path: "path.p", Test: "test.b", Limit: 1}, []netp.Record{other}},
		{store.Past{Path: "path.p", Test: "test.b", Suite: "s"}, nil},
		{store.Past{Path: "z->z"}, nil},
		{store.Past{Path: "path"}, nil},
	} {
		got, err := s.History(t.Context(), c.past)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("history %+v: %v, -want +got:\n%s", c.past, err, diff)
		}
	}
	paths, err := s.Paths(t.Context())
	want := []store.KnownPath{
		{Path: `path.p2["x->y"]`, Latest: noon().Add(time.Minute)},
		{Path: `path.p["x->y"]`, Latest: noon().Add(time.Hour)},
		{Path: `path.p["y->x"]`, Latest: noon()},
	}
	if diff := cmp.Diff(want, paths); err != nil || diff != "" {
		t.Errorf("paths: %v, -want +got:\n%s", err, diff)
	}
}

func noPaths(t *testing.T, s *store.Store) {
	if paths, err := s.Paths(t.Context()); err != nil || len(paths) != 0 {
		t.Errorf("paths without a record: %v, %v", paths, err)
	}
}
