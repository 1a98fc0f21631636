package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp/lang"
)

func lockFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), LockFile)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLockIsReadAsItWasWritten(t *testing.T) {
	hash := "sha256:" + strings.Repeat("0a", 32)
	want := []Locked{
		{"influxdb", "1.2.0", map[string]string{"linux_amd64": hash, "darwin_arm64": "sha256:" + strings.Repeat("1b", 32)}},
		{"jsonl", "0.1.0-dev", map[string]string{"linux_amd64": hash}},
	}
	text := FormatLock([]Locked{want[1], want[0]})
	got, ds := ReadLock(lockFile(t, string(text)))
	if len(ds) > 0 {
		t.Fatal(ds.Err())
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if canonical, ds := lang.Format(text, LockFile); len(ds) > 0 || string(canonical) != string(text) {
		t.Errorf("not in canonical form: %v\n%s", ds, canonical)
	}
}

func TestLockRefuses(t *testing.T) {
	for text, part := range map[string]string{
		`plugin "jsonl" { version = "1" }`: `needs the argument "hashes"`,
		"plugin \"jsonl\" {\n  version = \"1\"\n  hashes = { linux_amd64 = \"sha256:12\" }\n}": "64 hex digits",
		`plug "jsonl" {}`: `"plug"`,
	} {
		if _, ds := ReadLock(lockFile(t, text)); !ds.HasErrors() || !strings.Contains(ds.Err().Error(), part) {
			t.Errorf("%s: %v, want %q", text, ds.Err(), part)
		}
	}
}
