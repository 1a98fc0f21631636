package host

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
)

// LockEntry pins one plugin: its version and the SHA-256 of its program for each
// platform, as "sha256:" and 64 hex digits under "linux_amd64".
type LockEntry struct {
	Type    string
	Version string
	Hashes  map[string]string
}

// Platform is the key of this platform in LockEntry.Hashes.
func Platform() string { return runtime.GOOS + "_" + runtime.GOARCH }

// Lock makes the lock entries of sink types from the programs that are found now.
// Hashes of other platforms are taken over from the options' lock where the version
// is the same; a program that differs from its lock entry is an error.
func (h *Host) Lock(ctx context.Context, kinds []string) ([]LockEntry, error) {
	var out []LockEntry
	for _, kind := range slices.Sorted(slices.Values(kinds)) {
		d, err := h.Describe(ctx, kind)
		if err != nil {
			return nil, fmt.Errorf("plugin %s: %w", kind, err)
		}
		i, err := h.image(kind)
		if err != nil {
			return nil, fmt.Errorf("plugin %s: %w", kind, err)
		}
		entry := LockEntry{kind, d.Version, map[string]string{Platform(): i.hash}}
		if old, ok := h.entry(kind); ok && old.Version == d.Version {
			maps.Copy(entry.Hashes, old.Hashes)
		}
		out = append(out, entry)
	}
	return out, nil
}

func (h *Host) entry(kind string) (LockEntry, bool) {
	at := slices.IndexFunc(h.options.Lock, func(e LockEntry) bool { return e.Type == kind })
	if at < 0 {
		return LockEntry{}, false
	}
	return h.options.Lock[at], true
}

// locked compares a program's hash with the lock.
func (h *Host) locked(kind, hash string) error {
	if h.options.Lock == nil {
		return nil
	}
	entry, ok := h.entry(kind)
	want := entry.Hashes[Platform()]
	switch {
	case !ok:
		return fmt.Errorf("this plugin is not in the lock file; look at it, then run netp init to add it")
	case want == "":
		return fmt.Errorf("the lock file has no hash of this plugin for %s; run netp init here to add it", Platform())
	case want != hash:
		return fmt.Errorf("its hash is %s and the lock file says %s: this is not the program that was locked. Put that one back, or remove the entry and run netp init", hash, want)
	}
	return nil
}
