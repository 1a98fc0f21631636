package vault

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func open(t *testing.T, file string) *Vault {
	t.Helper()
	v, err := Open(file)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVault(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.key")
	v := open(t, file)
	if info, err := os.Stat(file); err != nil || checksModes && info.Mode().Perm() != 0o600 {
		t.Fatalf("the key file is %v, %v", info.Mode(), err)
	}
	secret := map[string]string{"token": "open sesame"}
	sealed, err := v.Seal("sinks", secret)
	if err != nil || bytes.Contains(sealed, []byte("sesame")) {
		t.Fatalf("sealed %q, %v", sealed, err)
	}
	if twice, _ := v.Seal("sinks", secret); bytes.Equal(sealed, twice) {
		t.Error("the same value is sealed the same way twice")
	}
	var got map[string]string
	if err := open(t, file).Unseal("sinks", sealed, &got); err != nil || got["token"] != "open sesame" {
		t.Errorf("with the same key again: %v, %v", got, err)
	}
	changed := bytes.Clone(sealed)
	changed[len(changed)-1] ^= 1
	other := open(t, filepath.Join(t.TempDir(), "other.key"))
	for name, err := range map[string]error{
		"another key": other.Unseal("sinks", sealed, &got), "another purpose": v.Unseal("tokens", sealed, &got),
		"changed": v.Unseal("sinks", changed, &got), "cut off": v.Unseal("sinks", sealed[:5], &got), "empty": v.Unseal("sinks", nil, &got),
	} {
		if !errors.Is(err, ErrSealed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(dir, "shared")
	if err := os.WriteFile(shared, make([]byte, keySize), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(shared, 0o640); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{short, filepath.Join(dir, "none", "key")} {
		if _, err := Open(file); err == nil {
			t.Errorf("%s was opened", file)
		}
	}
	if _, err := Open(shared); checksModes && err == nil {
		t.Error("a key that others may read was opened")
	}
}
