package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plugins/host"
	"github.com/netpupper/netp/runner/store"
)

// drainTimeout is how long a local run waits for its sinks. What they have not
// taken by then stays in the store, and the next run delivers it.
const drainTimeout = 30 * time.Second

// feed is the store as the sinks read it.
type feed struct{ *store.Store }

// RecordsAfter implements host.Source.
func (f feed) RecordsAfter(ctx context.Context, position uint64, limit int) ([]host.Numbered, error) {
	page, err := f.Store.RecordsAfter(ctx, position, limit)
	out := make([]host.Numbered, len(page))
	for i, n := range page {
		out[i] = host.Numbered{Position: n.Position, Record: n.Record}
	}
	return out, err
}

// sinkOptions have plugins found in NETP_PLUGIN_DIR, in the suite's .netp/plugins
// and beside the program, and pinned by the suite's lock file.
func (a *app) sinkOptions(suite *lang.Suite) (host.Options, error) {
	base := suite.Dir
	if whole, err := filepath.Abs(base); err == nil {
		base = whole // a plugin works in a directory of its own
	}
	lock, err := readLock(base)
	o := host.Options{
		Dirs:     a.pluginDirs(filepath.Join(base, ".netp", "plugins")),
		Versions: map[string]string{}, Lock: lock, Directory: base, Logger: a.logger(),
	}
	for _, p := range suite.Settings.Plugins {
		o.Versions[p.Name] = p.Version
	}
	return o, err
}

func sinks(suite *lang.Suite) []host.Sink {
	var out []host.Sink
	for _, s := range suite.Sinks {
		out = append(out, host.Sink{Name: s.Addr, Type: s.Type, Suite: suite.Name, Arguments: s.Arguments, Secrets: s.Secrets})
	}
	return out
}

// checkSinks asks each sink's plugin whether its block is right. With elsewhere the
// suite is for a controller: plugins that are not here are its own to ask.
func (a *app) checkSinks(ctx context.Context, suite *lang.Suite, elsewhere bool) (out diag.List, err error) {
	if len(suite.Sinks) == 0 {
		return nil, nil
	}
	o, err := a.sinkOptions(suite)
	if err != nil {
		return nil, err
	}
	plugins := host.New(o)
	defer plugins.Close()
	for i, s := range sinks(suite) {
		if _, missing := plugins.Find(s.Type); missing != nil && elsewhere {
			continue
		}
		for _, f := range plugins.Check(ctx, s) {
			where := suite.Sinks[i].Range
			detail := f.Detail
			if f.Attribute != "" {
				detail = fmt.Sprintf("Argument %s: %s", f.Attribute, f.Detail)
			}
			out = append(out, diag.Diagnostic{Severity: diag.Error, Summary: f.Summary, Detail: detail, Range: &where, Address: s.Name})
		}
	}
	return out, nil
}

// deliver hands the run's records, and what earlier runs left, to the sinks of
// the suite. A sink never changes a verdict: what it did not take is told.
func (a *app) deliver(ctx context.Context, suite *lang.Suite, s *store.Store) (notes []string) {
	if suite == nil || len(suite.Sinks) == 0 {
		return nil
	}
	o, err := a.sinkOptions(suite)
	if err != nil {
		return []string{fmt.Sprintf("nothing was delivered to sinks: %v", err)}
	}
	plugins := host.New(o)
	defer plugins.Close()
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	for _, state := range plugins.Drain(ctx, feed{s}, sinks(suite)) {
		text := fmt.Sprintf("%s: %d records delivered", state.Sink, state.Delivered)
		if state.Rejected > 0 {
			text += fmt.Sprintf(", %d refused for good", state.Rejected)
		}
		if state.Pending > 0 || state.More || state.Failing {
			text += "; the rest is kept and delivered by the next run"
		}
		if state.LastError != "" {
			text += ". Last error: " + strings.TrimSuffix(state.LastError, ".") + "."
		}
		notes = append(notes, text)
	}
	return notes
}
