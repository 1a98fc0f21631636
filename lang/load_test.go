package lang

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/netpupper/netp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// dump writes a suite for comparison: everything that is set but ranges.
func dump(t *testing.T, s *Suite) string {
	t.Helper()
	c := *s
	sets := make([]string, len(c.AgentSets)) // a func cannot be encoded
	for i, set := range c.AgentSets {
		sets[i] = set.Addr + " where " + set.Where
	}
	text, err := json.Marshal(map[string]any{
		"Name": c.Name, "Description": c.Description, "Files": c.Files, "Tags": c.Tags, "Confidence": c.Confidence,
		"FamilyRun": c.FamilyRun, "Settings": c.Settings, "Agents": c.Agents, "Links": c.Links, "Paths": c.Paths,
		"Tests": c.Tests, "Sinks": c.Sinks,
	})
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	prune(tree)
	if len(sets) > 0 {
		tree["AgentSets"] = sets
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(tree); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// prune takes out ranges and what is not set, and shows JSON kept as bytes.
func prune(tree map[string]any) {
	for k, v := range tree {
		switch x := v.(type) {
		case map[string]any:
			prune(x)
		case []any:
			for _, e := range x {
				if m, ok := e.(map[string]any); ok {
					prune(m)
				}
			}
		case string:
			if raw, err := base64.StdEncoding.DecodeString(x); k == "Arguments" && err == nil {
				tree[k] = string(raw)
			}
		}
		if k == "Range" || v == nil || v == "" || v == false || v == 0.0 && k != "dscp" {
			delete(tree, k)
		}
	}
}

// TestSample loads the suite that the design shows, and compares every field.
func TestSample(t *testing.T) {
	s, ds := Load("testdata/sample", testOptions())
	for _, d := range ds {
		t.Errorf("unexpected: %s: %s (%v)", d.Summary, d.Detail, d.Range)
	}
	if s == nil {
		t.Fatal("no suite")
	}
	golden(t, "testdata/sample.golden", dump(t, s))
	if s.Sinks[0].Secrets["token"] != "s3cret-canary" {
		t.Errorf("the sink's secrets are %v", s.Sinks[0].Secrets)
	}
	if strings.Contains(string(s.Sinks[0].Arguments), "canary") {
		t.Errorf("a secret is among the arguments: %s", s.Sinks[0].Arguments)
	}
	again, _ := Load("testdata/sample", testOptions())
	if again.Hash != s.Hash || len(s.Hash) != 64 {
		t.Errorf("the hash is not stable: %s, %s", s.Hash, again.Hash)
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestSuites loads each archive of testdata/suites and compares the diagnostics
// and a few facts with its file "want".
func TestSuites(t *testing.T) {
	files, err := filepath.Glob("testdata/suites/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { checkSuite(t, file) })
	}
}

func checkSuite(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range archive.Files {
		if f.Name == "want" {
			continue
		}
		name := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := testOptions()
	for line := range strings.Lines(string(archive.Comment)) {
		name, text, found := strings.Cut(strings.TrimSpace(line), "=")
		switch source, name, _ := strings.Cut(name, " "); {
		case !found:
		case source == "env":
			o.EnvVariables = append(o.EnvVariables, VariableValue{Name: name, Text: text, Source: "NETP_VAR_" + name})
		case source == "var":
			o.Variables = append(o.Variables, VariableValue{Name: name, Text: text, Source: "-var"})
		case source == "file":
			o.Variables = append(o.Variables, VariableValue{File: filepath.Join(dir, text)})
		}
	}
	s, ds := Load(dir, o)
	var b strings.Builder
	for _, d := range ds {
		place := "-"
		if d.Range != nil {
			place = filepath.Base(d.Range.Filename)
		}
		b.WriteString(string(d.Severity) + " " + place + " " + d.Summary + ": " + strings.ReplaceAll(d.Detail, dir, "DIR") + "\n")
	}
	if s != nil {
		s.Name = strings.ReplaceAll(s.Name, filepath.Base(dir), "DIR")
		b.WriteString(dump(t, s))
	}
	if *update {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(b.String())})
		if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, f := range archive.Files {
		if f.Name == "want" {
			if diff := cmp.Diff(string(f.Data), b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			return
		}
	}
	t.Errorf("the archive has no file want; got:\n%s", b.String())
}

func TestNoSuite(t *testing.T) {
	empty := t.TempDir()
	file := filepath.Join(empty, "x.txt")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, want string }{
		"absent": {filepath.Join(empty, "none"), "Directory not found"},
		"file":   {file, "Directory not found"},
		"empty":  {empty, "No suite files"},
	} {
		t.Run(name, func(t *testing.T) {
			s, ds := Load(c.dir, Options{})
			if s != nil || len(ds) != 1 || ds[0].Summary != c.want {
				t.Errorf("got %v, %v", s, ds)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	const text = "suite \"s\" {}\n"
	for name, c := range map[string]struct{ text, want string }{
		"plain":      {text, ""},
		"bom":        {"\xef\xbb\xbf" + text, ""},
		"windows":    {"suite \"s\" {}\r\nlocals {\r\n}\r\n", ""},
		"utf-16":     {"\xff\xfes\x00u\x00", "Not UTF-8"},
		"latin-1":    {text + "# caf\xe9\n", "Not UTF-8"},
		"broken hcl": {"suite \"s\" {\n", "Unclosed configuration block"},
		"empty":      {"", "No suite block"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "a.hcl"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, ds := Load(dir, Options{})
			got := ""
			if len(ds) > 0 {
				got = ds[0].Summary
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestBrokenFile shows that nothing is said of what may stand in the part of a file that does not parse.
func TestBrokenFile(t *testing.T) {
	dir := t.TempDir()
	text := "suite \"s\" {}\nvariable \"a\" { type = number\n  default = 1 }\nlocals { x = [var.a, var.b] }\nvariable \"b\" { default = 1\n"
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ds := Load(dir, Options{})
	if len(ds) == 0 {
		t.Fatal("no diagnostics")
	}
	for _, d := range ds {
		if d.Summary != "Invalid single-argument block definition" {
			t.Errorf("got %s: %s", d.Summary, d.Detail)
		}
	}
}

func TestLinksOutOfTheSuiteAreRefused(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret.hcl")
	if err := os.WriteFile(secret, []byte(`locals { x = "canary" }`), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(secret, filepath.Join(dir, "linked.hcl")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	text := `suite "s" {
  description = file("linked.hcl")
  tags = { a = file("../secret"), b = file("/etc/hostname"), c = fileexists("linked.hcl") ? "there" : "not" }
}`
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, ds := Load(dir, testOptions())
	if s != nil {
		t.Fatal("the suite was loaded")
	}
	for _, d := range ds {
		if strings.Contains(d.Detail, "canary") || d.Snippet != nil && strings.Contains(d.Snippet.Code, "canary") {
			t.Errorf("the file was read: %v", d)
		}
	}
	if len(ds) < 3 {
		t.Errorf("got %v", ds)
	}
}

func TestWhere(t *testing.T) {
	dir := t.TempDir()
	agent := netp.Agent{Name: "syd", Tags: map[string]string{"role": "edge", "lat": "-33.87", "live": "true"},
		Interfaces: []netp.Interface{{Name: "telco-a"}}, Kinds: []netp.Kind{"rtt"}}
	for expr, want := range map[string]bool{
		`tags.role == "edge"`:                            true,
		`tags.role == "edge" && tags.site != "lab"`:      true,
		`tags.site == "lab"`:                             false,
		`tags.site == null`:                              true,
		`tags.lat < -30`:                                 true,
		`tags.lat == -33.87`:                             true,
		`tags.role > 5`:                                  false,
		`tags.absent < 5`:                                false,
		`tags.live == true`:                              true,
		`contains(interfaces, "telco-a") && name != "x"`: true,
		`contains(kinds, "udp")`:                         false,
		`startswith(name, local.prefix)`:                 true,
		`can(regex("^s", name))`:                         true,
	} {
		t.Run(expr, func(t *testing.T) {
			text := "suite \"s\" {}\nlocals { prefix = \"sy\" }\nagents \"w\" { where = " + expr + " }\n"
			if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, ds := Load(dir, testOptions())
			if s == nil {
				t.Fatal(ds.Err())
			}
			got, err := s.AgentSets[0].Matches(agent)
			if err != nil || got != want {
				t.Errorf("got %v, %v; want %v", got, err, want)
			}
		})
	}
}

func TestSnippet(t *testing.T) {
	dir := t.TempDir()
	text := "suite \"s\" {}\nvariable \"n\" { default = 3 }\nlocals { secret = sensitive(\"canary\") }\nagent \"a\" {\n  tags = { x = var.n[0], y = \"${local.secret[1]}\" }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ds := Load(dir, testOptions())
	if len(ds) == 0 || ds[0].Snippet == nil {
		t.Fatalf("got %v", ds)
	}
	s := ds[0].Snippet
	if s.Context != `agent "a"` || s.StartLine != 5 || !strings.HasPrefix(s.Code[s.HighlightStartOffset:], "[0]") && !strings.HasPrefix(s.Code[s.HighlightStartOffset:], "var.n") {
		t.Errorf("got %+v", s)
	}
	out, _ := json.Marshal(ds)
	if strings.Contains(string(out), `is \"canary`) {
		t.Errorf("a sensitive value is shown: %s", out)
	}
}

// TestSecretsStayOutOfDiagnostics makes functions complain of sensitive values in
// every way they know.
func TestSecretsStayOutOfDiagnostics(t *testing.T) {
	const canary = "s3cret-canary" // the value of INFLUX_TOKEN
	for _, expr := range []string{
		`tonumber(env("INFLUX_TOKEN"))`, `file(env("INFLUX_TOKEN"))`, `parseint(env("INFLUX_TOKEN"), 10)`,
		`cidrhost(env("INFLUX_TOKEN"), 1)`, `timeadd(env("INFLUX_TOKEN"), "1h")`, `jsondecode(env("INFLUX_TOKEN"))`,
		`{ a = 1 }[env("INFLUX_TOKEN")]`, `lookup({ a = 1 }, env("INFLUX_TOKEN"))`, `1 + env("INFLUX_TOKEN")`,
		`{ for x in [env("INFLUX_TOKEN"), env("INFLUX_TOKEN")] : x => 1 }`, `var.secret.x`, `env(env("INFLUX_TOKEN"))`,
		`templatefile("t.tmpl", { x = env("INFLUX_TOKEN") })`, `regex("(", env("INFLUX_TOKEN"))`,
		`timeadd(substr(env("INFLUX_TOKEN"), 0, 6), "1h")`, `var.number`, `one([for c in [sensitive("s3cret-canary")] : c].x)`,
	} {
		t.Run(expr, func(t *testing.T) {
			dir := t.TempDir()
			text := "suite \"s\" { description = " + expr + " }\nvariable \"secret\" { sensitive = true }\n" +
				"variable \"number\" {\n  type = number\n  sensitive = true\n}\n"
			for name, data := range map[string]string{"main.hcl": text, "t.tmpl": "${tonumber(x)}"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o := testOptions()
			o.Variables = []VariableValue{{Name: "secret", Text: canary, Source: "-var"}, {Name: "number", Text: canary, Source: "-var"}}
			_, ds := Load(dir, o)
			if !ds.HasErrors() {
				t.Fatal("no error")
			}
			for _, d := range ds {
				for _, part := range []string{canary, canary[:6]} {
					if strings.Contains(d.Detail, part) {
						t.Errorf("%s: %s", d.Summary, d.Detail)
					}
				}
			}
		})
	}
}

// TestSecretsOfFilesStayThere: a sensitive value in a file of variables is in no diagnostic, nor in the line of the file that one shows.
func TestSecretsOfFilesStayThere(t *testing.T) {
	const canary = "s3cret_canary"
	for _, value := range []string{`"` + canary + `"`, canary, `["` + canary + `", 3]`, "[\n  \"" + canary + "\",\n]", `{ a = "` + canary + `" }`, `upper("` + canary + `" + 1)`} {
		dir := t.TempDir()
		for name, data := range map[string]string{
			"main.hcl":    "suite \"s\" {}\nvariable \"pin\" {\n  type = number\n  sensitive = true\n}\n",
			"x.auto.vars": "pin = " + value + "\n",
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, ds := Load(dir, testOptions())
		out, err := json.Marshal(ds)
		if err != nil || !ds.HasErrors() {
			t.Fatalf("%s: %v, %s", value, err, out)
		}
		if strings.Contains(string(out), canary) {
			t.Errorf("%s: %s", value, out)
		}
	}
}

func TestDiagnosticsAreStable(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/faults")); err != nil {
		t.Fatal(err)
	}
	_, want := Load(dir, testOptions())
	if len(want) < 100 {
		t.Fatalf("only %d diagnostics", len(want))
	}
	for range 5 {
		_, got := Load(dir, testOptions())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("two loads differ:\n%s", diff)
		}
	}
}
