package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/netpupper/netp/durable"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/config"
	"github.com/netpupper/netp/plugins/host"
)

// readLock reads the lock file in a directory; nil when there is none, and then
// every plugin that is found may run.
func readLock(dir string) ([]host.LockEntry, error) {
	file := filepath.Join(dir, config.LockFile)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	list, ds := config.ReadLock(file)
	if ds.HasErrors() {
		return nil, fmt.Errorf("%s: %w", file, ds.Err())
	}
	out := []host.LockEntry{}
	for _, l := range list {
		out = append(out, host.LockEntry(l))
	}
	return out, nil
}

// lockPlugins pins the plugins that a suite's sinks need, in the suite's lock file.
// What is pinned already must be what is found.
func (a *app) lockPlugins(ctx context.Context, suite *lang.Suite) error {
	lock, err := readLock(suite.Dir)
	if err != nil {
		return err
	}
	kinds := map[string]bool{}
	for _, s := range suite.Sinks {
		kinds[s.Type] = true
	}
	var list []config.Locked
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		entry, err := a.lockPlugin(ctx, suite, kind, lock)
		if err != nil {
			return err
		}
		list = append(list, config.Locked(entry))
	}
	if err := durable.Replace(filepath.Join(suite.Dir, config.LockFile), config.FormatLock(list), 0o644); err != nil {
		return err
	}
	for _, l := range list {
		a.out().Printf("Plugin %s %s: %s\n", l.Type, l.Version, l.Hashes[host.Platform()])
	}
	a.out().Printf("Pinned in %s; commit it.\n", filepath.Join(suite.Dir, config.LockFile))
	return nil
}

// lockPlugin gives the entry of one plugin. It is compared with what is pinned for
// this platform, and takes over the hashes of others.
func (a *app) lockPlugin(ctx context.Context, suite *lang.Suite, kind string, lock []host.LockEntry) (host.LockEntry, error) {
	at := slices.IndexFunc(lock, func(e host.LockEntry) bool { return e.Type == kind })
	var pinned []host.LockEntry
	if at >= 0 && lock[at].Hashes[host.Platform()] != "" {
		pinned = lock[at : at+1]
	}
	o, err := a.sinkOptions(suite)
	if err != nil {
		return host.LockEntry{}, err
	}
	o.Lock = pinned
	plugins := host.New(o)
	defer plugins.Close()
	entries, err := plugins.Lock(ctx, []string{kind})
	if err != nil {
		return host.LockEntry{}, err
	}
	entry := entries[0]
	if at >= 0 && lock[at].Version == entry.Version {
		hashes := maps.Clone(lock[at].Hashes)
		maps.Copy(hashes, entry.Hashes)
		entry.Hashes = hashes
	}
	return entry, nil
}
