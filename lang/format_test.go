package lang

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFormat(t *testing.T) {
	for name, c := range map[string]struct{ in, want, fault string }{
		"aligned":  {"a = 1\nlonger = 2\n", "a      = 1\nlonger = 2\n", ""},
		"indented": {"agent \"a\" {\ntags={x=1}\n  }", "agent \"a\" {\n  tags = { x = 1 }\n}\n", ""},
		"comments": {"# one\na=1 # two\n/* three */\n", "# one\na = 1 # two\n/* three */\n", ""},
		"heredoc":  {"a=<<X\n  kept  as is\nX\n", "a = <<X\n  kept  as is\nX\n", ""},
		"blank":    {"\n\n", "", ""},
		"tail":     {"a = 1\n\n\n", "a = 1\n", ""},
		"windows":  {"x {\r\na=1\r\n}", "x {\r\n  a = 1\r\n}\r\n", ""},
		"broken":   {"a = \n", "", "Invalid expression"},
		"bytes":    {"a = \"\xff\"\n", "", "Not UTF-8"},
		"bomb":     {"a = " + strings.Repeat("[", 100_000), "", "Nesting too deep"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ds := Format([]byte(c.in), "x.hcl")
			fault := ""
			if len(ds) > 0 {
				fault = ds[0].Summary
			}
			if string(got) != c.want || fault != c.fault {
				t.Errorf("got %q, %q; want %q, %q", got, fault, c.want, c.fault)
			}
		})
	}
}

// TestFormatKeepsTheSample formats the suites of the other tests: the canonical
// form loads to the same suite.
func TestFormatKeepsTheSample(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/sample")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"backbone.netp.hcl", "modules/branch/main.netp.hcl"} {
		file := filepath.Join(dir, name)
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out, ds := Format(text, name)
		if ds.HasErrors() {
			t.Fatal(ds.Err())
		}
		if err := os.WriteFile(file, out, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, ds := Load(dir, testOptions())
	if s == nil {
		t.Fatal(ds.Err())
	}
	want, _ := Load("testdata/sample", testOptions())
	s.Files = want.Files
	if got, want := dump(t, s), dump(t, want); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
