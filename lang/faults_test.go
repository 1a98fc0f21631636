package lang

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpupper/netp/lang/diag"
)

// marker is an expected diagnostic, written on the line it is about:
//
//	#! Summary | part of the detail
//	#? Summary | part of the detail     (a warning)
var marker = regexp.MustCompile(`#([!?]) ([^|]+?)(?: \| (.*?))?\s*(?:#[!?].*)?$`)

// TestFaults loads each file of testdata/faults and compares every diagnostic
// with those that the file's own comments announce.
func TestFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/faults/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".netp.hcl"), func(t *testing.T) { checkFaults(t, file) })
	}
}

func checkFaults(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.netp.hcl"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	_, ds := Load(dir, testOptions())
	want, parts := expectations(string(text))
	got := map[string]int{}
	for _, d := range ds {
		got[describe(d)]++
		if strings.Contains(d.Detail, "goroutine") {
			t.Errorf("%s shows the stack: %s", describe(d), d.Detail)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
		for _, d := range ds {
			t.Logf("%s | %s", describe(d), d.Detail)
		}
	}
	for key, details := range parts {
		for _, part := range details {
			if !slices.ContainsFunc(ds, func(d diag.Diagnostic) bool { return describe(d) == key && strings.Contains(d.Detail, part) }) {
				t.Errorf("no detail of %q contains %q", key, part)
				for _, d := range ds {
					if describe(d) == key {
						t.Logf("got %q", d.Detail)
					}
				}
			}
		}
	}
}

func describe(d diag.Diagnostic) string {
	line := 0
	if d.Range != nil {
		line = d.Range.Start.Line
	}
	return fmt.Sprintf("%03d %s: %s", line, d.Severity, d.Summary)
}

// expectations reads the markers of a file.
func expectations(text string) (map[string]int, map[string][]string) {
	want, parts := map[string]int{}, map[string][]string{}
	for i, line := range strings.Split(text, "\n") {
		for {
			at := strings.IndexAny(line, "#")
			if at < 0 {
				break
			}
			one := line[at:]
			next := len(one)
			for _, sep := range []string{" #! ", " #? "} {
				if j := strings.Index(one[1:], sep); j >= 0 {
					next = min(next, j+1)
				}
			}
			m := marker.FindStringSubmatch(one[:next])
			line = one[next:]
			if m == nil {
				if next == len(one) {
					break
				}
				continue
			}
			severity := "error"
			if m[1] == "?" {
				severity = "warning"
			}
			n := i + 1
			if strings.HasPrefix(m[2], "@0 ") { // a fault without a place
				n, m[2] = 0, m[2][3:]
			}
			key := fmt.Sprintf("%03d %s: %s", n, severity, m[2])
			want[key]++
			if m[3] != "" {
				parts[key] = append(parts[key], m[3])
			}
		}
	}
	return want, parts
}
