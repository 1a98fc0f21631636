package enrol

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What could not be written down is when it is asked for again, and not taken for done.
func TestAskedAgainAfterAFullDisk(t *testing.T) {
	d := open(t, t.TempDir())
	d.enrol("syd")
	_, mel := d.enrol("mel")
	token, _, err := d.GrantAccess(AccessRequest{Name: "ci", Role: Viewer})
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]func() error{
		"drain":        func() error { return d.Drain("syd") },
		"revoke":       func() error { return d.Revoke("mel") },
		"revoke token": func() error { return d.RevokeAccess("ci") },
	}
	file := filepath.Join(d.dir, stateFile)
	for what, ask := range asked {
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(file), os.MkdirAll(filepath.Join(file, "in the way"), 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := ask(); !errors.Is(err, errUnsaved) {
			t.Errorf("%s: %v, want that it could not be saved", what, err)
		}
		if err := errors.Join(os.RemoveAll(file), os.WriteFile(file, kept, 0o600)); err != nil {
			t.Fatal(err)
		}
		_ = ask() // it may say that there is nobody of this name any more
	}
	again := open(t, d.dir)
	if _, drained := again.state.Drained["syd"]; !drained {
		t.Error("after a restart the agent is not drained")
	}
	if _, err := again.Admit(mel); err == nil {
		t.Error("after a restart the revoked agent belongs to the controller")
	}
	if roleOf(again, token.String()) != "" {
		t.Error("after a restart the revoked token is good")
	}
}
