package netp_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/netpupper/netp"

// may lists, per package tree, the project packages its files may import (its
// own tree is always allowed). The longest matching key decides; "" is the root
// package. It is docs/ARCHITECTURE.md as data: change both together.
var may = map[string][]string{
	"":              {},
	"estimate":      {"", "quantity"},
	"hold":          {},
	"lang":          {"", "lang", "quantity", "suggest"},
	"lang/assert":   {"", "lang/diag", "estimate", "quantity", "suggest"},
	"lang/config":   {"", "lang", "quantity"},
	"lang/cron":     {},
	"lang/diag":     {},
	"lang/labfile":  {"lang", "testsuites/lab/emulator"}, // what a line can do to packets, as data
	"plan":          {"", "lang", "estimate", "quantity"},
	"plan/planfile": {"", "plan", "lang", "durable"},
	"plan/schedule": {},
	"durable":       {},
	"packed":        {},
	"agent":         {"", "agent", "durable", "hold", "quantity"},
	"agent/wire":    {"", "packed", "quantity"},
	"agent/join":    {"", "agent/wire", "durable"},
	"agent/port":    {"agent/clock", "quantity"},
	"agent/clock":   {"quantity"},
	"agent/pace":    {"agent/clock"},
	"agent/engine":  {"", "agent/clock", "agent/pace", "agent/port", "quantity"},
	"runner":        {"", "plan", "lang", "durable", "estimate", "quantity", "agent/wire"},
	"runner/bus":    {"hold", "quantity"},
	"runner/enrol":  {"", "agent/wire", "durable", "quantity"},
	"runner/gitops": {"", "lang", "quantity", "testsuites/freeport"},
	"runner/store":  {"", "packed", "plan", "quantity", "testsuites/pgtest"},
	"plugins":       {"", "hold", "plugins/sdk", "suggest"},
	"plugins/sdk":   {"", "suggest"},
	"suggest":       {},
	"cmd":           {"", "agent", "durable", "estimate", "hold", "lang", "plan", "plugins", "quantity", "runner", "testsuites/lab"},
	"testsuites":    {"", "agent", "cmd", "durable", "estimate", "lang", "plan", "plugins", "runner"},

	"plugins/influxdb":    {"", "plugins/sdk", "testsuites/freeport"},
	"plugins/postgres":    {"", "plugins/sdk", "testsuites/pgtest"},
	"testsuites/freeport": {}, // for tests that start a server
	"testsuites/lab":      {},
	"testsuites/pgtest":   {"testsuites/freeport"}, // for tests that need a server
}

// homes says where each heavy dependency may be imported; tests too.
var homes = map[string][]string{
	"github.com/hashicorp/hcl/":         {"lang"},
	"github.com/zclconf/go-cty":         {"lang"},
	"github.com/hashicorp/go-cty-funcs": {"lang"},
	"github.com/agext/levenshtein":      {"suggest"},
	"github.com/nats-io/nats-server/":   {"runner/bus"},
	"github.com/nats-io/nats.go":        {"agent/wire", "runner/bus"},
	"github.com/hashicorp/go-plugin":    {"plugins"},
	"google.golang.org/grpc":            {"plugins"},
	"modernc.org/sqlite":                {"runner/store"},
	"github.com/jackc/pgx":              {"runner/store", "plugins/postgres"},
	"database/sql":                      {"runner/store", "plugins/postgres"},
	"github.com/fsnotify/fsnotify":      {"runner/gitops"},
	"github.com/spf13/":                 {"cmd/netp"},
	"github.com/olekukonko/tablewriter": {"cmd/netp"},
	"golang.org/x/term":                 {"cmd/netp"},
	"gonum.org/":                        {"estimate"},
	"github.com/netresearch/go-cron":    {"lang/cron"},
	"github.com/prometheus/":            {"runner/metrics"},
	"gopkg.in/yaml.v3":                  {"testsuites/e2e"},                           // tests read the CI templates
	"github.com/vishvananda/":           {"testsuites", "agent/port", "agent/engine"}, // tests build namespaces
	"github.com/google/nftables":        {"testsuites/lab"},
}

func TestImportsPointOneWay(t *testing.T) {
	seen := 0
	for _, f := range sources(t) {
		seen++
		for _, path := range f.imports {
			if inner, ok := strings.CutPrefix(path, module); ok {
				checkInner(t, f, strings.TrimPrefix(inner, "/"))
			} else {
				checkHome(t, f, path)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("only %d source files found: the test does not see the tree", seen)
	}
}

func checkInner(t *testing.T, f source, target string) {
	tree, allowed := rule(f.dir)
	if f.dir == target || tree != "" && under(target, tree) {
		return
	}
	if f.test && f.dir == "" {
		return
	}
	for _, a := range allowed {
		if target == a || a != "" && under(target, a) {
			return
		}
	}
	t.Errorf("%s imports %q: %q may import only %q", f.name, target, tree, allowed)
}

func checkHome(t *testing.T, f source, path string) {
	for dep, dirs := range homes {
		if !strings.HasPrefix(path, dep) {
			continue
		}
		if !slices.ContainsFunc(dirs, func(d string) bool { return under(f.dir, d) }) {
			t.Errorf("%s imports %s: its home is %q", f.name, path, dirs)
		}
	}
	first, _, _ := strings.Cut(path, "/")
	if f.dir == "" && !f.test && strings.Contains(first, ".") {
		t.Errorf("%s imports %s: the root package uses the standard library only", f.name, path)
	}
}

func TestOnlyCommandPrintsAndExits(t *testing.T) {
	for _, f := range sources(t) {
		if f.test || under(f.dir, "cmd") || under(f.dir, "testsuites") || under(f.dir, "plugins") {
			continue
		}
		for _, word := range []string{"os.Exit(", "os.Getenv(", "os.LookupEnv(", "fmt.Print", "os.Stdout", "os.Stderr", "log.Print", "log.Fatal", "func init()"} {
			if strings.Contains(f.text, word) {
				t.Errorf("%s uses %s: only cmd/netp prints, reads the environment and exits, and nothing registers in init", f.name, word)
			}
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	root := 0
	for _, f := range sources(t) {
		lines := strings.Count(f.text, "\n")
		if lines > 600 {
			t.Errorf("%s has %d lines, more than 600", f.name, lines)
		}
		if f.dir == "" && !f.test {
			root += lines
		}
	}
	if root > 1200 {
		t.Errorf("the root package has %d lines, more than 1200", root)
	}
}

type source struct {
	name, dir, text string
	imports         []string
	test            bool
}

// sources reads every Go file of the repository, whatever its build tags.
func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ImportsOnly)
		if err != nil {
			return err
		}
		s := source{name: filepath.ToSlash(path), text: string(text), test: strings.HasSuffix(path, "_test.go")}
		if s.dir = filepath.ToSlash(filepath.Dir(path)); s.dir == "." {
			s.dir = ""
		}
		for _, i := range file.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, p)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// rule finds the row of may for a directory: the longest key it lies under.
func rule(dir string) (tree string, allowed []string) {
	allowed = may[""]
	for key, list := range may {
		if key != "" && under(dir, key) && len(key) > len(tree) {
			tree, allowed = key, list
		}
	}
	return tree, allowed
}

func under(dir, tree string) bool { return dir == tree || strings.HasPrefix(dir, tree+"/") }
