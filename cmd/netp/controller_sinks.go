package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/netpupper/netp/lang/config"
	"github.com/netpupper/netp/plugins/host"
	"github.com/netpupper/netp/runner/apply"
	"github.com/netpupper/netp/runner/store"
	"github.com/netpupper/netp/runner/vault"
)

// sinkDesk keeps the sinks of a controller: those of each suite, kept sealed in the
// store, and its own, which get the records of all suites. It implements apply.Sinks.
type sinkDesk struct {
	store    sinkStore
	vault    *vault.Vault
	plugins  *host.Host
	delivery *host.Delivery
	own      []host.Sink

	mu     sync.RWMutex // guards suites, also while they are written
	suites map[string][]apply.Sink
}

// sinkStore is what the desk keeps in the store of record; see *store.Store.
type sinkStore interface {
	SaveNote(ctx context.Context, key string, value any) error
	Note(ctx context.Context, key string, into any) (found bool, err error)
	SinkPosition(ctx context.Context, sink string) (uint64, error)
	SetSinkPosition(ctx context.Context, sink string, position uint64) error
	ForgetSink(ctx context.Context, sink string) error
}

// sinksNote is where the suites' sinks are kept, and what they are sealed for;
// ownSinksNote holds the names of the controller's own.
const (
	sinksNote    = "sinks"
	ownSinksNote = "sinks of the controller"
)

// openSinks reads the suites' sinks from before, and adds those of the controller's
// own file.
func (a *app) openSinks(ctx context.Context, s *store.Store, c config.Controller, logger *slog.Logger) (*sinkDesk, error) {
	d, data := &sinkDesk{store: s, suites: map[string][]apply.Sink{}}, c.Data
	for _, one := range c.Sinks {
		d.own = append(d.own, host.Sink{Name: one.Addr, Type: one.Type, Arguments: one.Arguments, Secrets: one.Secrets})
	}
	files := filepath.Join(data, "sinks")
	if err := os.MkdirAll(files, 0o700); err != nil {
		return nil, err
	}
	whole, err := filepath.Abs(files)
	if err != nil {
		return nil, err
	}
	if d.vault, err = vault.Open(filepath.Join(data, "secrets.key")); err != nil {
		return nil, err
	}
	if err := d.unseal(ctx, logger); err != nil {
		return nil, fmt.Errorf("sinks of the suites: %w", err)
	}
	versions := map[string]string{}
	for _, p := range c.Plugins {
		versions[p.Name] = p.Version
	}
	lock, err := readLock(data)
	if err != nil {
		return nil, err
	}
	d.plugins = host.New(host.Options{
		Dirs: a.pluginDirs(filepath.Join(data, "plugins")), Versions: versions, Lock: lock, Directory: whole, Confined: true, Logger: logger,
	})
	d.delivery = d.plugins.NewDelivery(deskFeed{feed{s}, d})
	d.delivery.Set(d.all())
	return d, d.rememberOwn(ctx)
}

// unseal reads the suites' sinks. When they were sealed with a key that is lost the
// controller runs without them: the suites can only be applied again where one runs.
func (d *sinkDesk) unseal(ctx context.Context, logger *slog.Logger) error {
	var sealed []byte
	found, err := d.store.Note(ctx, sinksNote, &sealed)
	if err != nil || !found {
		return err
	}
	err = d.vault.Unseal(sinksNote, sealed, &d.suites)
	if errors.Is(err, vault.ErrSealed) {
		logger.Error("the secrets of the suites' sinks cannot be read, and nothing is delivered to these sinks: "+
			"apply their suites again, or put secrets.key back and start the controller again", "error", err)
		return nil
	}
	return err
}

// rememberOwn lets the store forget those of the controller's own sinks that are no
// more, and know those that are new.
func (d *sinkDesk) rememberOwn(ctx context.Context) error {
	var before, now []string
	if _, err := d.store.Note(ctx, ownSinksNote, &before); err != nil {
		return err
	}
	for _, s := range d.own {
		now = append(now, s.Name)
		if err := d.begin(ctx, s.Name); err != nil {
			return err
		}
	}
	for _, name := range before {
		if !slices.Contains(now, name) {
			if err := d.store.ForgetSink(ctx, name); err != nil {
				return err
			}
		}
	}
	return d.store.SaveNote(ctx, ownSinksNote, now)
}

// deskFeed is the store as the sinks read it. A sink that was removed keeps no
// position any more, however late its plugin answers.
type deskFeed struct {
	feed
	desk *sinkDesk
}

// SetSinkPosition implements host.Source.
func (f deskFeed) SetSinkPosition(ctx context.Context, sink string, position uint64) error {
	f.desk.mu.RLock()
	defer f.desk.mu.RUnlock()
	if !slices.ContainsFunc(f.desk.all(), func(s host.Sink) bool { return s.Name == sink }) {
		return fmt.Errorf("the sink %s was removed", sink)
	}
	return f.feed.SetSinkPosition(ctx, sink, position)
}

// Run delivers until ctx is done.
func (d *sinkDesk) Run(ctx context.Context) error {
	return errors.Join(d.delivery.Run(ctx), d.plugins.Close())
}

// sinkName tells a suite's sink from those of other suites.
func sinkName(suite, addr string) string { return suite + "/" + addr }

func hostSink(suite string, s apply.Sink) host.Sink {
	return host.Sink{Name: sinkName(suite, s.Addr), Type: s.Type, Suite: suite, Arguments: s.Arguments, Secrets: s.Secrets}
}

// all are the sinks that there are. d.mu is held, or nobody else is there.
func (d *sinkDesk) all() []host.Sink {
	out := slices.Clone(d.own)
	for _, suite := range slices.Sorted(maps.Keys(d.suites)) {
		for _, s := range d.suites[suite] {
			out = append(out, hostSink(suite, s))
		}
	}
	return out
}

func sameSink(a, b apply.Sink) bool {
	return a.Addr == b.Addr && a.Type == b.Type && bytes.Equal(a.Arguments, b.Arguments) && maps.Equal(a.Secrets, b.Secrets)
}

// Check implements apply.Sinks. What is set already was checked before.
func (d *sinkDesk) Check(ctx context.Context, suite string, sinks []apply.Sink) error {
	d.mu.RLock()
	before := d.suites[suite]
	d.mu.RUnlock()
	var faults []error
	for _, s := range sinks {
		if slices.ContainsFunc(before, func(b apply.Sink) bool { return sameSink(b, s) }) {
			continue
		}
		for _, f := range d.plugins.Check(ctx, hostSink(suite, s)) {
			where := s.Addr
			if f.Attribute != "" {
				where += ", argument " + f.Attribute
			}
			faults = append(faults, fmt.Errorf("%s: %s: %s", where, f.Summary, f.Detail))
		}
	}
	return errors.Join(faults...)
}

// Set implements apply.Sinks: it takes effect at once, and is kept. It takes effect
// last, so that after an error it does all of it when it is called again.
func (d *sinkDesk) Set(ctx context.Context, suite string, sinks []apply.Sink) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.suites[suite]
	if slices.EqualFunc(before, sinks, sameSink) {
		return nil
	}
	next := maps.Clone(d.suites)
	next[suite] = sinks
	if len(sinks) == 0 {
		delete(next, suite)
	}
	sealed, err := d.vault.Seal(sinksNote, next)
	if err != nil {
		return err
	}
	if err := d.store.SaveNote(ctx, sinksNote, sealed); err != nil {
		return err
	}
	for _, s := range sinks {
		if err := d.begin(ctx, sinkName(suite, s.Addr)); err != nil {
			return err
		}
	}
	if err := d.forget(ctx, suite, before, sinks); err != nil {
		return err
	}
	d.suites = next
	d.delivery.Set(d.all())
	return nil
}

// begin makes the store keep records until the sink has them.
func (d *sinkDesk) begin(ctx context.Context, name string) error {
	position, err := d.store.SinkPosition(ctx, name)
	if err != nil || position > 0 {
		return err
	}
	return d.store.SetSinkPosition(ctx, name, 0)
}

// forget lets the store forget the sinks that are no more.
func (d *sinkDesk) forget(ctx context.Context, suite string, before, after []apply.Sink) error {
	for _, b := range before {
		if slices.ContainsFunc(after, func(s apply.Sink) bool { return s.Addr == b.Addr }) {
			continue
		}
		if err := d.store.ForgetSink(ctx, sinkName(suite, b.Addr)); err != nil {
			return err
		}
	}
	return nil
}

// States says how the sinks are doing, by name.
func (d *sinkDesk) States() []apply.SinkState {
	var out []apply.SinkState
	for _, s := range d.delivery.States() {
		out = append(out, apply.SinkState{
			Sink: s.Sink, Type: s.Type, Delivered: s.Delivered, Rejected: s.Rejected, Failures: s.Failures,
			Pending: s.Pending, More: s.More, Failing: s.Failing,
			LastDelivered: s.LastDelivered, LastError: s.LastError, LastErrorAt: s.LastErrorAt,
		})
	}
	return out
}

// pluginDirs are where plugins are looked for: NETP_PLUGIN_DIR, then own, then
// beside the program.
func (a *app) pluginDirs(own string) []string {
	var dirs []string
	for dir := range strings.SplitSeq(a.env.get("NETP_PLUGIN_DIR"), string(os.PathListSeparator)) {
		if dir != "" {
			dirs = append(dirs, dir)
		}
	}
	dirs = append(dirs, own)
	if program, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Dir(program))
	}
	return dirs
}
