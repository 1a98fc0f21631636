package planfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/plan"
	"github.com/netpupper/netp/plan/schedule"
)

// sample has a value in every corner whose JSON form could lose something.
func sample() *plan.Plan {
	return &plan.Plan{
		FormatVersion: netp.FormatVersion, NetpVersion: "0.3.0", Created: time.Date(2026, 11, 1, 2, 3, 4, 5, time.UTC),
		Suite:  plan.SuiteInfo{Name: "backbone", Dir: "suites/backbone", Files: 3, Hash: "abc", Tags: map[string]string{"owner": "neteng"}},
		Hash:   "0123",
		Agents: []netp.Agent{{Name: "syd", Interfaces: []netp.Interface{{Name: "telco-a", Address: "10.1.0.10", Capacity: 1e9}}}},
		Tests: []plan.Test{{
			Addr: "test.voice", Kind: "udp", Params: netp.Params{"rate": "50pps", "size": 200.0, "mix": []any{[]any{64.0, 7.0}}},
			Demand:     netp.Demand{Duration: time.Minute, Forward: netp.Load{Packets: 1 << 60, Rate: 91200}},
			Assertions: []assert.Assertion{{Name: "loss", Condition: "loss.ratio <= 0.1 * percent", Constants: []byte(`{"var":{"value":1,"type":"number"}}`), Confidence: 0.9999}},
			Standing:   &plan.Standing{Every: 5 * time.Minute}, Timeout: 75 * time.Second, Attributes: map[string]string{"rate": "50 pps"},
		}},
		Sessions: []plan.Session{{Addr: `test.voice["syd->mel"]`, Test: "test.voice", Path: netp.Path{Source: "syd", Dest: "mel"},
			Start: 3, Slot: 4, Round: 1, Claims: []schedule.Claim{{Resource: "agent.syd/telco-a tx", Rate: 91200}}}},
		Capacities: map[schedule.Resource]float64{"agent.syd/telco-a tx": 1e9},
	}
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan")
	want := sample()
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again := filepath.Join(t.TempDir(), "plan")
	if err := Write(again, got); err != nil {
		t.Fatal(err)
	}
	if first, second := content(t, path), content(t, again); first != second {
		t.Error("the same plan gave other bytes")
	}
}

// The fixture is a file of format 1 as first released: it must stay readable.
func TestReadsTheFixture(t *testing.T) {
	got, err := Read("testdata/format-1.plan")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReadFindsFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan")
	if err := Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	good := content(t, path)
	line, body, _ := strings.Cut(good, "\n")
	for _, c := range []struct {
		name, text string
		want       error
		says       string
	}{
		{"empty", "", ErrNotPlan, "netp plan -out=FILE"},
		{"a suite", "suite \"backbone\" {\n}\n", ErrNotPlan, "not a netp plan"},
		{"binary", "\x7fELF\x00\x00", ErrNotPlan, "not a netp plan"},
		{"cut in the first line", good[:20], ErrTruncated, "first line"},
		{"cut in the body", good[:len(good)-7], ErrTruncated, "bytes are there"},
		{"cut after the first line", line + "\n", ErrTruncated, "0 of"},
		{"flipped bit", line + "\n" + body[:40] + string([]byte{body[40] ^ 1}) + body[41:], ErrDamaged, "checksum"},
		{"longer", good + "x", ErrDamaged, "follows its end"},
		{"no length", "netp-plan 1 0.3.0\n", ErrDamaged, "3 fields"},
		{"silly length", "netp-plan 1 0.3.0 -4 00\n", ErrDamaged, "makes no sense"},
		{"huge length", "netp-plan 1 0.3.0 99999999999999999999 00\n", ErrDamaged, "makes no sense"},
		{"other format", strings.Replace(good, "netp-plan 1 0.3.0", "netp-plan 2 1.4.0", 1), ErrVersion, "format 2, written by netp 1.4.0"},
	} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(bad)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want %v that says %q", c.name, err, c.want, c.says)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
}

// A plan that cannot be written leaves the old file and nothing else.
func TestWriteLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan")
	if err := Write(path, sample()); err != nil {
		t.Fatal(err)
	}
	before := content(t, path)
	bad := sample()
	bad.Cost.AssumedRate = 1
	bad.Tests[0].Params["rate"] = func() {} // nothing that JSON can hold
	if err := Write(path, bad); err == nil {
		t.Error("a plan that is no JSON was written")
	}
	if err := Write(filepath.Join(dir, "missing", "plan"), sample()); err == nil {
		t.Error("a directory that does not exist was written to")
	}
	if err := Write(dir, sample()); err == nil {
		t.Error("a directory was replaced by a plan")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || content(t, path) != before {
		t.Errorf("got %v, want the first plan alone", entries)
	}
}

func TestCheck(t *testing.T) {
	fresh, made := sample(), sample()
	made.Lineage, made.Serial, made.Hash = "l", 4, "4567"
	for _, c := range []struct {
		name  string
		p     *plan.Plan
		state plan.State
		want  error
	}{
		{"first apply", fresh, plan.State{}, nil},
		{"first apply, again", fresh, plan.Apply(plan.State{}, fresh, "l"), ErrApplied},
		{"first apply, after another", fresh, plan.State{Lineage: "l", Serial: 1, Plan: "other"}, ErrStale},
		{"as planned", made, plan.State{Lineage: "l", Serial: 4, Plan: "3456"}, nil},
		{"again", made, plan.Apply(plan.State{Lineage: "l", Serial: 4}, made, "m"), ErrApplied},
		{"after another", made, plan.State{Lineage: "l", Serial: 5, Plan: "other"}, ErrStale},
		{"other history", made, plan.State{Lineage: "m", Serial: 4}, ErrStale},
		{"history lost", made, plan.State{}, ErrStale},
	} {
		if err := Check(c.p, c.state); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
