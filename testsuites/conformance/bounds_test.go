package conformance_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan"
)

// generated are invalid suites that are too long, too strange or too dependent on
// the file system to be written down. Each makes its files in an empty directory
// and names the summaries that must be among the errors.
func generated() map[string]generator {
	text := func(s string) func(string) error {
		return func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(s), 0o644)
		}
	}
	many := strings.Repeat
	return map[string]generator{
		"brackets":       {text("locals { x = " + many("[", 200<<10)), "Nesting too deep"},
		"parentheses":    {text("locals { x = " + many("(", 200<<10)), "Nesting too deep"},
		"blocks":         {text(many("agent \"a\" {\n", 20<<10)), "Nesting too deep"},
		"templates":      {text("locals { x = " + many(`"${`, 50<<10)), "Nesting too deep"},
		"directives":     {text(`locals { x = "` + many("%{if true}", 20<<10) + `" }`), "Nesting too deep"},
		"signs":          {text("locals { x = " + many("-", 200<<10) + "1 }"), "Nesting too deep"},
		"sum":            {text("locals { x = 1" + many("+1", 100<<10) + " }"), "Expression too complex"},
		"steps":          {text("locals { x = a" + many(".b", 100<<10) + " }"), "Expression too complex"},
		"chain":          {text(upwards(2000)), "Expression too complex"},
		"long number":    {text("locals { x = " + many("9", 1<<20) + " }"), "Input too large"},
		"long file":      {text("locals {}\n" + many("#", 9<<20)), "Input too large"},
		"doubling":       {text(levels(60, `["a", "b"]`, "[@, @]")), "Evaluation over its bounds"},
		"text doubling":  {text(levels(60, `"aaaaaaaaaa"`, `"${@}${@}${@}${@}${@}${@}${@}${@}"`)), "Evaluation over its bounds"},
		"deep value":     {text(levels(200, `"a"`, "[[[[[[[[[[@]]]]]]]]]]")), "Evaluation over its bounds"},
		"sparse file":    {sparse, "Input too large"},
		"many faults":    {text(many("x {}\n", 5000)), "Too many faults"},
		"UTF-16":         {text("\xff\xfes\x00u\x00i\x00t\x00e\x00"), "Not UTF-8"},
		"Latin-1":        {text("suite \"s\" { description = \"Z\xfcrich\" }"), "Not UTF-8"},
		"link outside":   {outside, "Unreadable file"},
		"dangling link":  {dangling, "Unreadable file"},
		"directory link": {named("suite.hcl"), "Unreadable file"},
		"no directory":   {os.Remove, "Directory not found"},
		"ten million":    {text(tenMillion), "Too many sessions"},
		"fifty faults":   {text(fiftyFaults()), "Unknown argument"},
		"deep modules":   {deepModules, "Invalid module"},
		"module bomb":    {moduleBomb, "Too many instances"},
		"JSON brackets":  {inJSON(`{"locals": {"x": ` + many("[", 200<<10)), "Nesting too deep"},
		"JSON number":    {inJSON(`{"locals": {"x": 1e99999}}`), "Input too large"},
		"JSON templates": {inJSON(`{"locals": {"x": "` + many("${", 50<<10) + `"}}`), "Nesting too deep"},
	}
}

type generator struct {
	make    func(dir string) error
	summary string
}

// levels makes locals that each refer to the one before, at @.
func levels(n int, first, format string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "locals {\n  l0 = %s\n", first)
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "  l%d = %s\n", i, strings.ReplaceAll(format, "@", fmt.Sprintf("local.l%d", i-1)))
	}
	return b.String() + "}\n"
}

// upwards makes locals that each refer to the one after, so that the first needs all.
func upwards(n int) string {
	var b strings.Builder
	b.WriteString("locals {\n")
	for i := range n {
		fmt.Fprintf(&b, "  l%d = local.l%d + 1\n", i, i+1)
	}
	return b.String() + fmt.Sprintf("  l%d = 1\n}\n", n)
}

// inJSON makes a suite in the JSON syntax.
func inJSON(s string) func(string) error {
	return func(dir string) error { return os.WriteFile(filepath.Join(dir, "suite.netp.json"), []byte(s), 0o644) }
}

// sparse makes a file of 100 MB that takes no disk.
func sparse(dir string) error {
	f, err := os.Create(filepath.Join(dir, "suite.hcl"))
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(100 << 20)
}

// outside links to a suite's file in another directory.
func outside(dir string) error {
	other, err := os.MkdirTemp(filepath.Dir(dir), "other")
	if err != nil {
		return err
	}
	secret := filepath.Join(other, "secret.hcl")
	if err := os.WriteFile(secret, []byte(`suite "s" {}`), 0o644); err != nil {
		return err
	}
	return os.Symlink(secret, filepath.Join(dir, "suite.hcl"))
}

func dangling(dir string) error { return os.Symlink("none.hcl", filepath.Join(dir, "suite.hcl")) }

// named makes something with the name of a suite's file that is none: a link to a directory.
func named(name string) func(string) error {
	return func(dir string) error {
		if err := os.Mkdir(filepath.Join(dir, "d"), 0o755); err != nil {
			return err
		}
		return os.Symlink("d", filepath.Join(dir, name))
	}
}

// tenMillion asks for 3163 × 3162 sessions with few words.
const tenMillion = `
suite "s" {}
agent "a" { for_each = toset([for i in range(3163) : "k${i}"]) }
path "p" { mesh = agent.a }
profile "rtt" "r" {}
test "t" {
  path    = path.p
  profile = profile.rtt.r
}
`

// fiftyFaults is a suite with one fault of its own in each of fifty blocks.
func fiftyFaults() string {
	var b strings.Builder
	b.WriteString("suite \"s\" {}\n")
	for i := range 50 {
		fmt.Fprintf(&b, "agent \"a%d\" { nmae = %d }\n", i, i)
	}
	return b.String()
}

// deepModules calls modules in modules, deeper than is allowed.
func deepModules(dir string) error {
	for i := range 20 {
		if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(`module "m" { source = "./m" }`), 0o644); err != nil {
			return err
		}
		dir = filepath.Join(dir, "m")
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if i == 19 {
			return os.WriteFile(filepath.Join(dir, "suite.hcl"), nil, 0o644)
		}
	}
	return nil
}

// moduleBomb calls seven modules, each ten times the next.
func moduleBomb(dir string) error {
	for i := range 7 {
		call := `module "m" {
  source   = "./m"
  for_each = toset([for i in range(10) : "k${i}"])
}`
		if i == 6 {
			call = `locals { x = 1 }`
		}
		if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(call), 0o644); err != nil {
			return err
		}
		dir = filepath.Join(dir, "m")
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// most is how much memory may be allocated over time for any of these: it tells a
// bound from none.
const most = 2 << 30

// TestBounds loads and plans the generated suites: each is refused with its
// diagnostic, and none takes more than its share of memory.
func TestBounds(t *testing.T) {
	for name, g := range generated() {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "suite")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := g.make(dir); err != nil {
				if runtime.GOOS == "windows" && strings.Contains(name, "link") {
					t.Skip("this Windows does not let its user make symbolic links:", err)
				}
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			diags := refused(dir)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > most {
				t.Errorf("took %d MB", used>>20)
			}
			if !slices.ContainsFunc(diags, func(d diag.Diagnostic) bool { return d.Severity == diag.Error && d.Summary == g.summary }) {
				t.Errorf("no error %q among %d diagnostics: %v", g.summary, len(diags), diags.Err())
			}
			for _, d := range diags {
				wellFormed(t, d)
			}
		})
	}
}

// refused loads and plans a suite and gives all diagnostics.
func refused(dir string) diag.List {
	suite, diags := lang.Load(dir, lang.Options{Catalogue: agent.Catalogue(), Version: "0.5.0"})
	if suite == nil {
		return diags
	}
	_, more := plan.Build(plan.Input{Suite: suite, Catalogue: agent.Catalogue(), Local: true, Now: now})
	return append(diags, more...)
}

// TestAllFaultsAtOnce loads a suite with fifty faults: all fifty are told.
func TestAllFaultsAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(fiftyFaults()), 0o644); err != nil {
		t.Fatal(err)
	}
	lines := map[int]bool{}
	for _, d := range refused(dir) {
		if d.Range == nil || !strings.Contains(d.Detail, `Did you mean "name"?`) {
			t.Errorf("unwanted %s: %s", d.Summary, d.Detail)
			continue
		}
		lines[d.Range.Start.Line] = true
	}
	if len(lines) != 50 {
		t.Errorf("faults in %d lines, want 50", len(lines))
	}
}

// TestEncodings loads suites whose bytes an editor may have chosen: they mean the same.
func TestEncodings(t *testing.T) {
	plain := "suite \"s\" {\n  description = <<EOT\none\ntwo\nEOT\n  tags = { \"ü\" = \"ß\" }\n}\n"
	for name, text := range map[string]string{
		"byte order mark": "\xef\xbb\xbf" + plain,
		"no last newline": strings.TrimSuffix(plain, "\n"),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "suite.hcl"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		s, diags := lang.Load(dir, lang.Options{})
		if s == nil {
			t.Errorf("%s: %v", name, diags.Err())
			continue
		}
		if s.Description != "one\ntwo\n" || s.Tags["ü"] != "ß" {
			t.Errorf("%s: description %q, tags %v", name, s.Description, s.Tags)
		}
	}
}
