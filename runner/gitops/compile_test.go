package gitops

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp/lang"
)

func suiteDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

func TestCompile(t *testing.T) {
	dir := suiteDir(t, map[string]string{"a.hcl": "variable \"who\" {\n  default = env(\"SITE\")\n}\nsuite \"wan\" {\n  description = \"${nonsensitive(var.who)} ${var.more}\"\n}\nvariable \"more\" {\n}\n"})
	o := CompileOptions{Environment: map[string]string{"SITE": "mel"},
		Lang: lang.Options{Variables: []lang.VariableValue{{Name: "more", Text: "x", Source: "-var"}}}}
	c, err := Compile(t.Context(), dir, o)
	must(t, err)
	suite, ds := lang.Load(dir, o.options())
	if suite == nil {
		t.Fatalf("here it does not load: %v", ds.Err())
	}
	if !c.OK || c.Name != "wan" || c.Hash != suite.Hash {
		t.Errorf("the child says %+v, want hash %s", c, suite.Hash)
	}
	c, err = Compile(t.Context(), dir, CompileOptions{})
	if err != nil || c.OK || !c.Diagnostics.HasErrors() {
		t.Errorf("without its variable: %+v, %v", c, err)
	}
}

// TestCompileBombs: what must not be loaded here is a diagnostic or the child's
// death, never this process's.
func TestCompileBombs(t *testing.T) {
	for name, text := range map[string]string{
		"nesting":     "suite \"x\" {\n  description = " + strings.Repeat("[", 200_000) + "\n}\n",
		"evaluation":  "suite \"x\" {\n  description = \"${length([for a in range(1000) : [for b in range(1000) : [for c in range(1000) : c]]])}\"\n}\n",
		"set product": "suite \"x\" {\n  description = \"${length(setproduct(range(100), range(100), range(100), range(100)))}\"\n}\n",
	} {
		c, err := Compile(t.Context(), suiteDir(t, map[string]string{"a.hcl": text}), CompileOptions{Time: time.Second})
		if err == nil && c.OK {
			t.Errorf("%s: compiled", name)
		}
	}
}

func TestCompileLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString("suite \"x\" {\n}\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "locals {\n  x%d = [1, 2, 3, 4, 5, 6, 7, 8]\n}\n", i)
	}
	dir := suiteDir(t, map[string]string{"a.hcl": b.String()})
	if runtime.GOOS == "linux" {
		if _, err := Compile(t.Context(), dir, CompileOptions{MemoryBytes: 8 << 20}); err == nil || !strings.Contains(err.Error(), "8 MiB") {
			t.Errorf("with 8 MiB: %v", err)
		}
	}
	if _, err := Compile(t.Context(), dir, CompileOptions{Time: time.Millisecond}); err == nil || !strings.Contains(err.Error(), "within 1 ms") {
		t.Errorf("with 1 ms: %v", err)
	}
}

// TestOneBadSuite makes the whole revision a fault, as do two of one name.
func TestOneBadSuite(t *testing.T) {
	dir := suiteDir(t, map[string]string{"a/a.hcl": suiteText("wan"), "b/b.hcl": "suite {"})
	_, _, err := load(t.Context(), &Snapshot{Dir: dir, Suites: []string{"a", "b"}}, CompileOptions{})
	wantFault(t, err, ReasonLoad, "b/b.hcl:1")
	dir = suiteDir(t, map[string]string{"a/a.hcl": suiteText("wan"), "b/b.hcl": suiteText("wan")})
	_, _, err = load(t.Context(), &Snapshot{Dir: dir, Suites: []string{"a", "b"}}, CompileOptions{})
	wantFault(t, err, ReasonLoad, "both named")
}
