package labfile

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// marker is an expected error, on the line it is about: #! Summary | part of the detail
var marker = regexp.MustCompile(`#! ([^|]+?)(?: \| (.*))?$`)

func TestFaults(t *testing.T) {
	const file = "testdata/faults.hcl"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{} // detail by line and summary
	for i, line := range strings.Split(string(text), "\n") {
		if m := marker.FindStringSubmatch(line); m != nil {
			want[fmt.Sprintf("line %d: %s", i+1, m[1])] = m[2]
		}
	}
	_, found := Read(file, nil)
	for _, d := range found {
		if d.Range == nil || d.Snippet == nil {
			t.Errorf("no place: %+v", d)
			continue
		}
		key := fmt.Sprintf("line %d: %s", d.Range.Start.Line, d.Summary)
		detail, expected := want[key]
		if !expected || !strings.Contains(d.Detail, detail) {
			t.Errorf("%s: %s; want %q", key, d.Detail, detail)
		}
		delete(want, key)
	}
	for key := range want {
		t.Errorf("nothing is said of %s", key)
	}
}

func TestRead(t *testing.T) {
	got, found := Read("testdata/good.hcl", nil)
	if len(found) > 0 {
		t.Fatal(found)
	}
	a := emulator.Impair{Delay: 10 * time.Millisecond, Loss: 0.001}
	b := emulator.Impair{Delay: 20 * time.Millisecond, Rate: 1e8, KeepOrder: true}
	sick := b
	sick.Jitter, sick.Dist, sick.Queue = 4*time.Millisecond, emulator.HeavyTailed, 64_000
	sick.Burst = &emulator.Burst{Enter: 0.01, Leave: 0.2, LossBad: 1}
	up, down := sick, sick
	up.Delay, down.Down = time.Millisecond, true
	names := &Names{Fail: ServerFailure, Delay: 2 * time.Second, Names: map[string][]netip.Addr{
		"portal.example": {netip.MustParseAddr("10.1.1.10"), netip.MustParseAddr("fd10:1:1::10")},
	}}
	want := Lab{Name: "wan", Carriers: []string{"telco-a", "telco-b"}, Sites: []Site{
		{Name: "syd", Lines: []Line{{Carrier: "telco-a", Up: a, Down: a}, {Carrier: "telco-b", Up: b, Down: b}}, Block: []Block{{Protocols: []int{17}, Port: 8620}}, Names: names},
		{Name: "mel", NAT: true, Lines: []Line{{Carrier: "telco-b", Address: netip.MustParseAddr("10.2.7.10"), Up: up, Down: down}}},
	}}
	if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); d != "" {
		t.Error(d)
	}
}

// TestFiles: what is no file of a lab is said to be none, and why.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, says string }{
		"empty.hcl":  {"", "needs a carrier"},
		"sites.hcl":  {`carrier "a" {}`, "needs sites"},
		"syntax.hcl": {`carrier "a" {`, ""},
		"same.hcl": {`carrier "a" {}
site "x" {
  line "a" { address = "10.0.0.10" }
}
site "y" {
  line "a" { address = "10.0.0.10" }
}`, "both have the address"},
		"good name.hcl": {`carrier "a" {}
site "x" {}`, "no name for a lab"},
		"long.hcl": {`name = "` + strings.Repeat("x", maxName+1) + `"`, "no name for a lab"},
		"site.hcl": {`site "` + strings.Repeat("x", maxName+1) + `" {}`, "no name for a site"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, found := Read(file, nil)
		if !found.HasErrors() || !strings.Contains(fmt.Sprint(found), c.says) {
			t.Errorf("%s: %v; want %q", name, found, c.says)
		}
	}
	if _, found := Read(filepath.Join(dir, "none.hcl"), nil); !found.HasErrors() {
		t.Error("a file that is not there has no fault")
	}
}
