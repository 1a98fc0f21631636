package conformance_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent"
	"github.com/netpupper/netp/lang"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/plan"
)

// now is when every plan of the set is made.
var now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// The sections of a case that are not files of the suite.
const (
	sectionVars      = "vars"           // -var, -var-file and NETP_VAR_ lines
	sectionEnviron   = "environ"        // NAME=value lines, for env()
	sectionOptions   = "options"        // target, exclude, version, steps and instances lines
	sectionInventory = "inventory.json" // the registered agents; without it the suite runs locally
	sectionExpect    = "expect"         // diagnostics where no comment can stand
	sectionPlan      = "plan"           // the golden plan
)

// testcase is one file of the set, laid out in a directory of its own.
type testcase struct {
	file     string
	archive  *txtar.Archive
	dir      string // of the suite, named after the case
	sections map[string]string
}

// open reads a case and writes the files of its suite.
func open(t *testing.T, file string) *testcase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".txtar")
	c := &testcase{file: file, archive: archive, dir: filepath.Join(t.TempDir(), name), sections: map[string]string{}}
	for _, f := range archive.Files {
		if reserved(f.Name) {
			c.sections[f.Name] = string(f.Data)
			continue
		}
		c.write(t, f.Name, f.Data)
	}
	return c
}

func reserved(name string) bool {
	switch name {
	case sectionVars, sectionEnviron, sectionOptions, sectionInventory, sectionExpect, sectionPlan:
		return true
	}
	return false
}

func (c *testcase) write(t *testing.T, name string, data []byte) {
	t.Helper()
	path := filepath.Join(c.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// lines are the lines of a section that say something.
func (c *testcase) lines(section string) []string {
	var out []string
	for line := range strings.Lines(c.sections[section]) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}

// outcome is what became of a case.
type outcome struct {
	suite *lang.Suite
	plan  *plan.Plan
	// loaded are the diagnostics of the loader, planned those of the plan.
	loaded, planned diag.List
}

func (o outcome) all() diag.List { return append(o.loaded[:len(o.loaded):len(o.loaded)], o.planned...) }

// run loads and plans the suite in dir as netp plan does.
func (c *testcase) run(t *testing.T, dir string) outcome {
	t.Helper()
	options := lang.Options{Catalogue: agent.Catalogue(), Version: "0.5.0", Environ: c.environ()}
	in := plan.Input{Catalogue: options.Catalogue, Now: now, NetpVersion: options.Version}
	for _, line := range c.lines(sectionVars) {
		c.variable(t, dir, line, &options)
	}
	for _, line := range c.lines(sectionOptions) {
		word, value, _ := strings.Cut(line, " ")
		switch word {
		case "version":
			options.Version = value
		case "steps":
			options.Limits.Steps = number(t, value)
		case "instances":
			options.Limits.Instances = int(number(t, value))
		case "target":
			in.Targets = append(in.Targets, value)
		case "exclude":
			in.Excludes = append(in.Excludes, value)
		default:
			t.Fatalf("option %q is not known", word)
		}
	}
	var out outcome
	out.suite, out.loaded = lang.Load(dir, options)
	if (out.suite == nil) != out.loaded.HasErrors() {
		t.Errorf("a suite: %t, with errors: %t", out.suite != nil, out.loaded.HasErrors())
	}
	if out.suite == nil {
		return out
	}
	in.Suite, in.Inventory, in.Local = out.suite, c.inventory(t, out.suite), c.sections[sectionInventory] == ""
	out.plan, out.planned = plan.Build(in)
	if (out.plan == nil) != out.planned.HasErrors() {
		t.Errorf("a plan: %t, with errors: %t", out.plan != nil, out.planned.HasErrors())
	}
	return out
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// variable reads a line of the section vars as the command line or the environment would have it.
func (c *testcase) variable(t *testing.T, dir, line string, o *lang.Options) {
	t.Helper()
	switch {
	case strings.HasPrefix(line, "-var-file "):
		file := filepath.Join(dir, strings.TrimPrefix(line, "-var-file "))
		o.Variables = append(o.Variables, lang.VariableValue{File: file, Source: "-var-file"})
	case strings.HasPrefix(line, "-var "):
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "-var "), "=")
		o.Variables = append(o.Variables, lang.VariableValue{Name: name, Text: value, Source: "-var"})
	case strings.HasPrefix(line, "NETP_VAR_"):
		name, value, _ := strings.Cut(strings.TrimPrefix(line, "NETP_VAR_"), "=")
		o.EnvVariables = append(o.EnvVariables, lang.VariableValue{Name: name, Text: value, Source: "NETP_VAR_" + name})
	default:
		t.Fatalf("the section vars has a line %q", line)
	}
}

func (c *testcase) environ() func(string) (string, bool) {
	values := map[string]string{}
	for _, line := range c.lines(sectionEnviron) {
		name, value, _ := strings.Cut(line, "=")
		values[name] = value
	}
	return func(name string) (string, bool) { v, ok := values[name]; return v, ok }
}

// inventory is what the case brings, or the declared agents on one host.
func (c *testcase) inventory(t *testing.T, s *lang.Suite) []netp.Agent {
	t.Helper()
	var out []netp.Agent
	if text := c.sections[sectionInventory]; text != "" {
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("inventory.json: %v", err)
		}
		return out
	}
	for _, declared := range s.Agents {
		a := declared.Agent
		a.Host, a.Version = "this host", "0.5.0"
		a.Clock = netp.ClockState{Known: true, Synchronised: true, Source: "same host"}
		for _, k := range agent.Catalogue() {
			a.Kinds = append(a.Kinds, k.Kind)
		}
		out = append(out, a)
	}
	return out
}

// expected is one diagnostic that a case announces.
type expected struct {
	place   string // "suite.hcl:7", "-" for none
	summary string // "error: Unknown block"
	says    string // part of the detail, "" for any
}

func (e expected) key() string { return e.place + ": " + e.summary }

// marker is an expectation in a comment at the end of the faulty line:
//
//	# error: Summary | part of the detail
var marker = regexp.MustCompile(`# (error|warning): ([^|#]+)(?:\| ([^#]+))?`)

// place is an expectation of the section expect:
//
//	suite.netp.json:7: error: Summary | part of the detail
//	-: error: Summary
var place = regexp.MustCompile(`^(-|[^:]+:\d+): (error|warning): ([^|]+)(?:\| (.+))?$`)

// expectations are all diagnostics that a case announces.
func (c *testcase) expectations(t *testing.T) []expected {
	t.Helper()
	var out []expected
	for _, f := range c.archive.Files {
		if reserved(f.Name) || strings.HasSuffix(f.Name, ".json") {
			continue
		}
		number := 0
		for line := range strings.Lines(string(f.Data)) {
			number++
			for _, m := range marker.FindAllStringSubmatch(line, -1) {
				out = append(out, expected{f.Name + ":" + strconv.Itoa(number), m[1] + ": " + strings.TrimSpace(m[2]), strings.TrimSpace(m[3])})
			}
		}
	}
	for _, line := range c.lines(sectionExpect) {
		m := place.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("the section expect has a line %q", line)
		}
		out = append(out, expected{m[1], m[2] + ": " + strings.TrimSpace(m[3]), strings.TrimSpace(m[4])})
	}
	return out
}

// placed writes a diagnostic as an expectation does.
func placed(d diag.Diagnostic, dir string) string {
	at := "-"
	if d.Range != nil {
		name := strings.TrimPrefix(d.Range.Filename, filepath.ToSlash(dir)+"/")
		at = fmt.Sprintf("%s:%d", name, d.Range.Start.Line)
	}
	return fmt.Sprintf("%s: %s: %s", at, d.Severity, d.Summary)
}
