package storetest

import (
	"fmt"
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
	again.Session.Path.Via = "telco-a"
	each := record("r2", "d", noon())
	each.Session.Path = netp.Path{Addr: `path.e["k"]["y->z"]`, Source: "y", Dest: "z"}
	if err := s.SaveRecords(t.Context(), []netp.Record{old, recent, other, again, each}); err != nil {
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
		{store.Past{Path: "x->y via telco-a"}, []netp.Record{again}},
		{store.Past{Path: "x->y via telco-a", Suite: "t"}, nil},
		{store.Past{Path: "x->y via telco-b"}, nil},
		{store.Past{Path: "path.e"}, []netp.Record{each}},
		{store.Past{Path: `path.e["k"]`}, []netp.Record{each}},
		{store.Past{Path: `path.e["k"]["y->z"]`}, []netp.Record{each}},
		{store.Past{Path: `path.e["y->z"]`}, nil},
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
		{Path: `path.e["k"]["y->z"]`, Latest: noon()},
		{Path: `path.p2["x->y"]`, Latest: noon().Add(time.Minute)},
		{Path: `path.p["x->y"]`, Latest: noon().Add(time.Hour)},
		{Path: `path.p["y->x"]`, Latest: noon()},
	}
	if diff := cmp.Diff(want, paths); err != nil || diff != "" {
		t.Errorf("paths: %v, -want +got:\n%s", err, diff)
	}
}

// historyVia: the records of one interface are found among many of others, each once.
func historyVia(t *testing.T, s *store.Store) {
	const n = 450 // more than are read at a time
	var all, want []netp.Record
	for i := range n {
		r := record("r1", fmt.Sprintf("%03d", i), noon().Add(-time.Duration(i/100)*time.Minute))
		if r.Session.Path.Via = "telco-a"; i%100 == 99 {
			r.Session.Path.Via = "telco-b"
			want = append(want, r)
		}
		all = append(all, r)
	}
	if err := s.SaveRecords(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int][]netp.Record{0: want, 2: want[:2]} {
		got, err := s.History(t.Context(), store.Past{Path: "x->y via telco-b", Limit: limit})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("limit %d: %v, -want +got:\n%s", limit, err, diff)
		}
	}
	if got, err := s.History(t.Context(), store.Past{Path: "x->y via telco-a"}); err != nil || len(got) != n-len(want) {
		t.Errorf("via telco-a: %d records, %v; want %d", len(got), err, n-len(want))
	}
}

func noPaths(t *testing.T, s *store.Store) {
	if paths, err := s.Paths(t.Context()); err != nil || len(paths) != 0 {
		t.Errorf("paths without a record: %v, %v", paths, err)
	}
}
