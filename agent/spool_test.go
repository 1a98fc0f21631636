package agent

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/wire"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func reopen(t *testing.T, dir string) *spool {
	t.Helper()
	s, err := openSpool(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func encoded(t *testing.T) (wire.PartKey, []byte) {
	t.Helper()
	r := netp.Result{Run: "r", Session: "s", Attempt: 1, Part: netp.Initiator}
	data, err := wire.EncodePart(r)
	if err != nil {
		t.Fatal(err)
	}
	return wire.KeyOf(r), data
}

func TestSpoolKeepsPartsUntilConfirmed(t *testing.T) {
	dir := t.TempDir()
	s := reopen(t, dir)
	key, data := encoded(t)
	s.put(key, data)
	installation := s.installation
	s.close()

	s = reopen(t, dir)
	if s.installation != installation || installation == "" {
		t.Errorf("installation %q became %q", installation, s.installation)
	}
	now := time.Now()
	names, _ := s.due(now)
	if len(names) != 1 {
		t.Fatalf("due after a restart: %v, want one part", names)
	}
	if got, err := s.data(names[0]); err != nil || string(got) != string(data) {
		t.Errorf("the part changed: %v", err)
	}
	if names, wait := s.due(now); len(names) != 0 || wait != firstResend {
		t.Errorf("due at once again: %v, in %v", names, wait)
	}
	if names, _ := s.due(now.Add(firstResend)); len(names) != 1 {
		t.Errorf("not due again without a confirmation: %v", names)
	}
	s.again()
	if names, _ := s.due(now); len(names) != 1 {
		t.Errorf("not due after a reconnect: %v", names)
	}
	s.confirm([]wire.PartKey{{Run: "other"}, key})
	s.close()
	s = reopen(t, dir)
	defer s.close()
	if names, _ := s.due(now.Add(time.Hour)); len(names) != 0 {
		t.Errorf("confirmed and still there: %v", names)
	}
}

func TestSpoolSetsDamagedPartsAside(t *testing.T) {
	dir := t.TempDir()
	s := reopen(t, dir)
	key, data := encoded(t)
	s.put(key, data)
	name := s.name(key)
	s.close()
	if err := os.Truncate(filepath.Join(dir, name), 10); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, dir)
	defer s.close()
	if names, _ := s.due(time.Now()); len(names) != 0 {
		t.Errorf("a damaged part is due: %v", names)
	}
	if _, err := os.Stat(filepath.Join(dir, name+damagedSuffix)); err != nil {
		t.Error(err)
	}
}

// TestSpoolForgetsWhatACrashCutShort: a part that was not complete is none, and does not take room for ever.
func TestSpoolForgetsWhatACrashCutShort(t *testing.T) {
	dir := t.TempDir()
	half, err := os.CreateTemp(dir, ".r.s.1"+partSuffix+".new-*")
	if err != nil {
		t.Fatal(err)
	}
	half.Close()
	s := reopen(t, dir)
	defer s.close()
	if _, err := os.Stat(half.Name()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half of a part is still there: %v", err)
	}
}

func TestSpoolNeverGoesBackInEpochs(t *testing.T) {
	dir := t.TempDir()
	s := reopen(t, dir)
	if err := s.raiseEpoch(7); err != nil {
		t.Fatal(err)
	}
	s.close()
	s = reopen(t, dir)
	defer s.close()
	if err := s.raiseEpoch(6); err == nil || s.highestEpoch() != 7 {
		t.Errorf("epoch 6 after 7: %v, highest %d", err, s.highestEpoch())
	}
}

func TestSpoolThatCannotBeUsedIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openSpool(file, quiet()); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file as spool: %v", err)
	}
	dir := t.TempDir()
	s := reopen(t, dir)
	defer s.close()
	if _, err := openSpool(dir, quiet()); err == nil || !strings.Contains(err.Error(), "another agent is running") {
		t.Errorf("a spool in use: %v", err)
	}
	s.mu.Lock()
	for i := range maxPending {
		s.pending[strings.Repeat("x", i+1)] = &pending{}
	}
	s.mu.Unlock()
	if err := s.ready(withinRest); err == nil {
		t.Error("a full spool takes more")
	}
}

func TestSpoolWithoutDiskRefusesNewSessions(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s := reopen(t, dir)
	defer s.close()
	if err := s.ready(withinStart); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Skip("this system does not remove directories in use:", err)
	}
	s.probed = s.probed.Add(-withinStart)
	if err := s.ready(withinRest); err != nil {
		t.Errorf("the disk is asked at each announcement: %v", err)
	}
	if err := s.ready(withinStart); err == nil {
		t.Error("a spool that cannot be written is ready")
	}
	if err := s.ready(withinRest); err == nil {
		t.Error("a spool that could not be written is ready for announcements")
	}
	key, data := encoded(t)
	s.put(key, data) // must not be lost while the process lives
	names, _ := s.due(time.Now())
	if len(names) != 1 {
		t.Fatalf("due: %v, want the part kept in memory", names)
	}
	if got, err := s.data(names[0]); err != nil || string(got) != string(data) {
		t.Errorf("the part kept in memory: %v", err)
	}
}
