package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

// LockFile is the name of the file that pins plugins, in a suite's directory or a
// controller's data directory.
const LockFile = ".netp.lock.hcl"

// Locked pins one plugin: its version and the SHA-256 of its program for each
// platform, as "sha256:" and 64 hex digits under "linux_amd64".
type Locked struct {
	Type, Version string
	Hashes        map[string]string
}

var hashForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// ReadLock reads a lock file. When there is an error among the diagnostics the
// value must not be used.
func ReadLock(file string) ([]Locked, diag.List) {
	shape := lang.Shape{Blocks: map[string]lang.Shape{
		"plugin": {Labels: []string{"type"}, Required: []string{"version", "hashes"}},
	}}
	return read(file, "a lock file", shape, Options{}, func(d *lang.Document) []Locked {
		var out []Locked
		for _, b := range d.Named("plugin") {
			one := Locked{Type: b.Labels[0], Version: b.Text("version"), Hashes: b.Tags("hashes")}
			for platform, hash := range one.Hashes {
				if !hashForm.MatchString(hash) {
					b.Invalid("hashes", "The hash for %s is no sha256: and 64 hex digits. Take the plugin out of the file, look at it, and run netp init.", platform)
				}
			}
			out = append(out, one)
		}
		return out
	})
}

// FormatLock writes a lock file, in canonical form and by type.
func FormatLock(list []Locked) []byte {
	var b strings.Builder
	b.WriteString("# Written by netp init: the plugins that may run, by their hashes. Commit this file.\n")
	for _, one := range slices.SortedFunc(slices.Values(list), func(x, y Locked) int { return cmp.Compare(x.Type, y.Type) }) {
		fmt.Fprintf(&b, "\nplugin %q {\n  version = %q\n  hashes = {\n", one.Type, one.Version)
		widest := 0
		for platform := range one.Hashes {
			widest = max(widest, len(platform))
		}
		for _, platform := range slices.Sorted(maps.Keys(one.Hashes)) {
			fmt.Fprintf(&b, "    %-*s = %q\n", widest, platform, one.Hashes[platform])
		}
		b.WriteString("  }\n}\n")
	}
	return []byte(b.String())
}
