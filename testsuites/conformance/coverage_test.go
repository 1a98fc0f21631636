package conformance_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The language is whatever its sources say it is: these tests read them, so that
// nothing is added to it without a case.

// unreachable are summaries that no suite brings about.
var unreachable = map[string]string{
	"Internal fault":                   "a bug in netp itself",
	"Unknown agent":                    "the loader has found it before the plan is made",
	"Endpoint cannot send":             "the loader has found it before the plan is made",
	"Kind needs an agent at both ends": "the loader has found it before the plan is made",
	"Kind needs an endpoint":           "no kind of this build measures endpoints only",
}

// TestEverySummaryHasACase fails for a diagnostic that no case expects.
func TestEverySummaryHasACase(t *testing.T) {
	expected := map[string]bool{}
	for _, half := range []string{"valid", "invalid"} {
		for _, file := range cases(t, half) {
			for _, e := range open(t, file).expectations(t) {
				_, summary, _ := strings.Cut(e.summary, ": ")
				expected[summary] = true
			}
		}
	}
	for _, g := range generated() {
		expected[g.summary] = true
	}
	found := summaries(t)
	if len(found) < 60 {
		t.Fatalf("only %d summaries found: the test does not see the sources", len(found))
	}
	for _, s := range found {
		if !expected[s] && unreachable[s] == "" {
			t.Errorf("no case expects %q", s)
		}
	}
	for s := range unreachable {
		if !slices.Contains(found, s) {
			t.Errorf("%q is not a summary any more", s)
		}
	}
}

// summaries are the fixed phrases in the sources: constants sum…, and what is
// handed as summary to the functions that make diagnostics.
func summaries(t *testing.T) []string {
	t.Helper()
	found := map[string]bool{}
	for _, f := range sources(t, "../../lang/*.go", "../../lang/assert/*.go", "../../plan/*.go") {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if strings.HasPrefix(name.Name, "sum") && i < len(n.Values) {
						note(found, n.Values[i])
					}
				}
			case *ast.CallExpr:
				if name := called(n); (name == "fault" || name == "assertionFault" || name == "refuse") && len(n.Args) > 2 {
					note(found, n.Args[1])
				}
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}

func note(found map[string]bool, e ast.Expr) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return
	}
	if s, err := strconv.Unquote(lit.Value); err == nil && !strings.HasSuffix(s, ".") { // a sentence is a detail
		found[s] = true
	}
}

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// sources parses the files that match, tests left out.
func sources(t *testing.T, patterns ...string) []*ast.File {
	t.Helper()
	var out []*ast.File
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, f)
		}
	}
	return out
}

// TestEveryWordHasACase fails for a block, an argument, a parameter of a kind, a
// function or a unit that no valid case uses.
func TestEveryWordHasACase(t *testing.T) {
	var text strings.Builder
	for _, file := range cases(t, "valid") {
		for _, f := range open(t, file).archive.Files {
			if !reserved(f.Name) {
				text.Write(f.Data)
			}
		}
	}
	all := text.String()
	for what, pattern := range words(t) {
		if !pattern.MatchString(all) {
			t.Errorf("no valid case has the %s", what)
		}
	}
}

// words are the words of the language with how each looks where it is used.
func words(t *testing.T) map[string]*regexp.Regexp {
	t.Helper()
	out := map[string]*regexp.Regexp{}
	for _, w := range declared(t, "../../lang/schema.go") {
		if w != "name" && w != "kind" && w != "type" {
			out["word "+w] = regexp.MustCompile(`(?m)\b` + w + `\b\s*[={"]`)
		}
	}
	for _, w := range declared(t, "../../lang/functions.go", "../../lang/functions_file.go") {
		if regexp.MustCompile(`^[a-z0-9]{2,}$`).MatchString(w) {
			out["function "+w] = regexp.MustCompile(`\b` + w + `\(`)
		}
	}
	for _, w := range []string{"ns", "us", "ms", "s", "min", "h", "bps", "kbps", "Mbps", "Gbps", "B", "KB", "MB", "GB", "KiB", "MiB", "percent", "ppm"} {
		out["unit "+w] = regexp.MustCompile(`\* ` + w + `\b`)
	}
	if len(out) < 150 {
		t.Fatalf("only %d words found: the test does not see the sources", len(out))
	}
	return out
}

// declared are the words among the string literals of files that stand where
// names are declared: keys of maps, and arguments of optional and require.
func declared(t *testing.T, files ...string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, f := range sources(t, files...) {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				note(found, n.Key)
			case *ast.CallExpr:
				if name := called(n); name == "optional" || name == "require" {
					for _, a := range n.Args {
						note(found, a)
					}
				}
			case *ast.IndexExpr:
				note(found, n.Index)
			}
			return true
		})
	}
	return slices.Sorted(maps.Keys(found))
}
