package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/netpupper/netp/lang/config"
	"github.com/netpupper/netp/plugins/host"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/store"
	"github.com/netpupper/netp/runner/vault"
)

// failing is a store in which one kind of write fails.
type failing struct {
	*store.Store
	begin, forget error
}

func (f *failing) SetSinkPosition(ctx context.Context, sink string, position uint64) error {
	if f.begin != nil {
		return f.begin
	}
	return f.Store.SetSinkPosition(ctx, sink, position)
}

func (f *failing) ForgetSink(ctx context.Context, sink string) error {
	if f.forget != nil {
		return f.forget
	}
	return f.Store.ForgetSink(ctx, sink)
}

// A sink that could not be set or removed because the store was away is set or removed
// when that is tried again: records are neither kept back from it nor kept for it.
func TestSinksAfterAStoreThatFails(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	keys, err := vault.Open(filepath.Join(t.TempDir(), "secrets.key"))
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Store: s, begin: errors.New("away")}
	d := &sinkDesk{store: f, vault: keys, suites: map[string][]apply.Sink{}, plugins: host.New(host.Options{})}
	d.delivery = d.plugins.NewDelivery(deskFeed{feed{s}, d})
	sinks := []apply.Sink{{Addr: "sink.jsonl.a", Type: "jsonl", Arguments: json.RawMessage(`{}`)}}
	for range 2 {
		if err := d.Set(t.Context(), "wan", sinks); err == nil {
			t.Error("a sink was set without its position")
		}
	}
	f.begin = nil
	if err := d.Set(t.Context(), "wan", sinks); err != nil || len(d.all()) != 1 {
		t.Errorf("set again: %v, %v", d.all(), err)
	}
	f.forget = errors.New("away")
	for range 2 {
		if err := d.Set(t.Context(), "wan", nil); err == nil {
			t.Error("a sink was removed and its position stays")
		}
	}
	f.forget = nil
	if err := d.Set(t.Context(), "wan", nil); err != nil || len(d.all()) != 0 {
		t.Errorf("removed again: %v, %v", d.all(), err)
	}
}

// A controller whose key is lost starts, delivers nothing to the suites' sinks, and takes
// them again when a suite is applied.
func TestSinksWithoutTheirKey(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "netp.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sinks := []apply.Sink{{Addr: "sink.jsonl.a", Type: "jsonl", Arguments: json.RawMessage(`{}`), Secrets: map[string]string{"token": "sesame"}}}
	start := func(dir string) *sinkDesk {
		t.Helper()
		d, err := newApp(environment{lookup: func(string) (string, bool) { return "", false }}).openSinks(t.Context(), s, config.Controller{Data: dir}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	first, other := t.TempDir(), t.TempDir()
	if err := start(first).Set(t.Context(), "wan", sinks); err != nil {
		t.Fatal(err)
	}
	if got := start(first).all(); len(got) != 1 || got[0].Secrets["token"] != "sesame" {
		t.Errorf("with the key: %v", got)
	}
	lost := start(other)
	if got := lost.all(); len(got) != 0 {
		t.Errorf("without the key: %v", got)
	}
	if err := lost.Set(t.Context(), "wan", sinks); err != nil {
		t.Fatal(err)
	}
	if got := start(other).all(); len(got) != 1 {
		t.Errorf("after applying again: %v", got)
	}
}
