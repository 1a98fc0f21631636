// Package conformance_test specifies the language by small suites: what each
// construct means, as the plan that comes of it (valid), and what is said about
// each fault, on its line (invalid). README.md says how a case is written.
//
// It does not run any traffic and does not test the words of details beyond the
// parts that a case names. Start with TestValid and TestInvalid.
package conformance_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
)

var update = flag.Bool("update", false, "rewrite the golden plans")

// cases are the files of one half of the set.
func cases(t *testing.T, half string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(half, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 60 {
		t.Fatalf("only %d cases in %s: the test does not see the set", len(files), half)
	}
	return files
}

// each runs a test for each file.
func each(t *testing.T, half string, test func(*testing.T, *testcase)) {
	for _, file := range cases(t, half) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			test(t, open(t, file))
		})
	}
}

// TestValid compares the plan of each valid suite with the golden one.
func TestValid(t *testing.T) {
	each(t, "valid", func(t *testing.T, c *testcase) {
		out := c.run(t, c.dir)
		c.checkDiagnostics(t, out)
		if out.plan == nil {
			return
		}
		got := render(out.suite, out.plan)
		if *update {
			c.setPlan(t, got)
			return
		}
		if diff := cmp.Diff(c.sections[sectionPlan], got); diff != "" {
			t.Errorf("plan (-want +got):\n%s", diff)
		}
	})
}

// setPlan rewrites the golden plan of a case.
func (c *testcase) setPlan(t *testing.T, text string) {
	t.Helper()
	at := slices.IndexFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == sectionPlan })
	if at < 0 {
		at = len(c.archive.Files)
		c.archive.Files = append(c.archive.Files, txtar.File{Name: sectionPlan})
	}
	if string(c.archive.Files[at].Data) == text {
		return
	}
	c.archive.Files[at].Data = []byte(text)
	if err := os.WriteFile(c.file, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestInvalid compares the diagnostics of each invalid suite with those that its
// lines announce: these, no more and no fewer.
func TestInvalid(t *testing.T) {
	each(t, "invalid", func(t *testing.T, c *testcase) {
		out := c.run(t, c.dir)
		if !out.all().HasErrors() {
			t.Error("the suite has no error")
		}
		c.checkDiagnostics(t, out)
	})
}

// checkDiagnostics compares what was said with what was announced, and looks at
// the form of each diagnostic.
func (c *testcase) checkDiagnostics(t *testing.T, out outcome) {
	t.Helper()
	want, got := map[string]int{}, map[string]int{}
	details := map[string][]string{}
	for _, d := range out.all() {
		key := placed(d, c.dir)
		got[key]++
		details[key] = append(details[key], d.Detail)
	}
	announced := c.expectations(t)
	for _, e := range announced {
		want[e.key()]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
		for key, list := range details {
			t.Logf("%s | %s", key, strings.Join(list, " | "))
		}
	}
	for _, e := range announced {
		if !slices.ContainsFunc(details[e.key()], func(s string) bool { return strings.Contains(s, e.says) }) {
			t.Errorf("%s: no detail says %q, but %q", e.key(), e.says, details[e.key()])
		}
	}
	for _, d := range out.loaded {
		wellFormed(t, d)
		if d.Range != nil && d.Snippet == nil {
			t.Errorf("%s has a place and no excerpt", placed(d, c.dir))
		}
	}
	for _, d := range out.planned {
		wellFormed(t, d)
	}
}

// wellFormed checks what holds for every diagnostic.
func wellFormed(t *testing.T, d diag.Diagnostic) {
	t.Helper()
	switch {
	case d.Detail == "" || d.Detail == d.Summary:
		t.Errorf("%q has no detail", d.Summary)
	case strings.Contains(d.Detail, "%!"):
		t.Errorf("%q is formatted wrongly: %q", d.Summary, d.Detail)
	case !strings.ContainsAny(d.Detail[len(d.Detail)-1:], ".?)…"):
		t.Errorf("%q is not in sentences: %q", d.Summary, d.Detail)
	}
	s := d.Snippet
	if s == nil {
		return
	}
	if s.Code == "" && s.HighlightEndOffset > 0 || s.HighlightStartOffset > s.HighlightEndOffset || s.HighlightEndOffset > len(s.Code) {
		t.Errorf("%q highlights %d to %d of the excerpt %q", d.Summary, s.HighlightStartOffset, s.HighlightEndOffset, s.Code)
	}
}

// TestFormat formats every valid suite: once more changes nothing, and the plan
// stays the same.
func TestFormat(t *testing.T) {
	each(t, "valid", func(t *testing.T, c *testcase) {
		before := c.run(t, c.dir)
		for _, f := range c.archive.Files {
			if reserved(f.Name) || strings.HasPrefix(f.Name, ".") || !strings.HasSuffix(f.Name, ".hcl") {
				continue
			}
			once := format(t, f.Data, f.Name)
			if twice := format(t, once, f.Name); !bytes.Equal(once, twice) {
				t.Errorf("%s changes when it is formatted again:\n%s", f.Name, cmp.Diff(string(once), string(twice)))
			}
			c.write(t, f.Name, once)
		}
		after := c.run(t, c.dir)
		if before.plan == nil || after.plan == nil {
			t.Fatalf("plans: %t before, %t after: %v", before.plan != nil, after.plan != nil, after.all().Err())
		}
		if diff := cmp.Diff(render(before.suite, before.plan), render(after.suite, after.plan)); diff != "" {
			t.Errorf("the formatted suite plans differently (-before +after):\n%s", diff)
		}
	})
}

func format(t *testing.T, src []byte, name string) []byte {
	t.Helper()
	out, diags := lang.Format(src, name)
	if err := diags.Err(); err != nil {
		t.Fatalf("format %s: %v", name, err)
	}
	return out
}
