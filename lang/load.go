// Package lang turns a directory of HCL into a typed suite and diagnostics. It is
// the only home of HCL and cty besides lang/assert: no type of theirs leaves it.
//
// It knows files and the language, and nothing of which agents are registered,
// what runs when, or what traffic looks like: the kinds come as a catalogue.
// Whatever the files hold, Load returns; hostile input meets a bound and becomes
// a diagnostic.
//
// Start with Load, then scope.go (references are resolved when first met) and the
// files named after blocks (agent.go, path.go, test.go, …), which decode them.
package lang

import (
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
)

// Options say with what a suite is loaded. The zero value loads a suite that
// uses no kinds.
type Options struct {
	// Catalogue holds the kinds that profiles may name.
	Catalogue netp.Catalogue
	// EnvVariables are those of the environment (NETP_VAR_name), weakest of all;
	// those that the suite does not declare are ignored.
	EnvVariables []VariableValue
	// Variables come after the suite's *.auto.vars files and win over them, in
	// order: -var and -var-file as given. A VariableValue without Name and with
	// File set reads that whole file at its place.
	Variables []VariableValue
	// Environ looks up an environment variable for env(); nil makes env() a fault.
	Environ func(name string) (string, bool)
	// Version is the running netp's, checked against required_version; "" is not checked.
	Version string
	// Limits bound the suite; the zero value means DefaultLimits.
	Limits Limits
}

// VariableValue sets a variable from outside the suite, or names a file that does.
type VariableValue struct {
	// Name of the variable; "" when File is a file of variables.
	Name string
	// Text is the value: taken as it is for a variable of type string, otherwise
	// read as an expression.
	Text string
	// Source says where it comes from, for diagnostics: "-var", "NETP_VAR_site".
	Source string
	// File is the path of a file of variables (-var-file).
	File string
}

// loader is the state of one Load.
type loader struct {
	*collector
	document  bool // this is no suite, see Document
	beside    bool // a worker, see inParts
	options   Options
	limits    Limits
	meter     *meter
	reader    *reader
	functions map[string]function.Function
	schema    *blockSchema
	parsed    map[string][]*source            // by directory
	templates map[string]hclsyntax.Expression // by file
	tokens    int
	instances int
	scopes    []*scope
	stack     []*item // declarations being decoded
	given     map[string]givenVariable
	suite     *Suite
	declared  map[string]hcl.Range // agent names
	// agentItems are the declarations of agents by address.
	agentItems map[string]*item
	agentNames map[string]netp.AgentID
	interfaces map[string][]netp.Interface
	paths      map[string]*pathFacts
	profiles   map[string]*Profile
}

// Load reads a suite's directory and checks everything that can be checked
// without knowing the registered agents. It collects all faults; the suite is nil
// when there is an error among them. File names in it and in the diagnostics are
// relative to dir. Load never panics and keeps no file open.
func Load(dir string, o Options) (suite *Suite, diags diag.List) {
	return newLoader(dir, o).result()
}

func newLoader(dir string, o Options) *loader {
	l := &loader{
		collector: newCollector(o.Limits.complete().Diagnostics),
		options:   o, limits: o.Limits.complete(), schema: rootSchema(),
		templates: map[string]hclsyntax.Expression{},
		parsed:    map[string][]*source{}, declared: map[string]hcl.Range{},
		agentItems: map[string]*item{}, agentNames: map[string]netp.AgentID{}, interfaces: map[string][]netp.Interface{},
		paths: map[string]*pathFacts{}, profiles: map[string]*Profile{},
		given: map[string]givenVariable{},
		suite: &Suite{Dir: dir, Confidence: defaultConfidence},
	}
	l.meter = newMeter(l.limits)
	l.meter.secrets = l.secrets
	return l
}

// result is that of Load.
func (l *loader) result() (suite *Suite, diags diag.List) {
	defer func() {
		if r := recover(); r != nil {
			l.fail(hcl.Range{}, sumInternal, "The suite makes netp itself fail: %v. Please report it with the files.", r)
			suite, diags = nil, l.list.Sorted()
		}
	}()
	root, ok := l.open(l.suite.Dir)
	if !ok {
		return nil, l.list
	}
	defer root.Close()
	l.reader = &reader{root: root, limits: l.limits, read: map[string][]byte{}}
	l.load()
	if l.errors > 0 {
		return nil, l.list.Sorted()
	}
	return l.suite, l.list.Sorted()
}

// open opens the suite's directory.
func (l *loader) open(dir string) (*os.Root, bool) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		l.fail(hcl.Range{}, sumNoDirectory, "There is no directory %s. Name the directory that holds the suite's *.hcl files.", dir)
		return nil, false
	case !info.IsDir():
		l.fail(hcl.Range{}, sumNoDirectory, "%s is not a directory. A suite is a directory: name %s instead.", dir, filepath.Dir(dir))
		return nil, false
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		l.fail(hcl.Range{}, sumUnreadable, "Cannot open the directory %s: %v.", dir, err)
		return nil, false
	}
	return root, true
}

// load does the work of Load with the directory open.
func (l *loader) load() {
	files := l.sourcesOf(".")
	if len(files) == 0 {
		if !l.broken {
			remedy := "Write one, or let netp init make a suite that runs."
			if below := l.reader.suiteBelow(); below != "" {
				remedy = "There is one below it: name the directory " + filepath.Join(l.suite.Dir, below) + "."
			}
			l.fail(hcl.Range{}, sumNoFiles, "%s holds no *.hcl or *.netp.json file. %s", l.suite.Dir, remedy)
		}
		return
	}
	l.functions = l.languageFunctions()
	l.callable = slices.Collect(maps.Keys(l.functions))
	root := l.newScope("", files)
	l.gatherVariables(root)
	l.expandModules(root, []string{"."})
	for _, s := range l.scopes {
		for _, it := range s.order {
			s.settle(it, it.rng)
			if s.dormant || it.kind == "module" && len(it.calls) == 0 {
				it.dormant()
			}
		}
	}
	l.suiteBlocks(root, files)
	l.markSetMembers()
	l.reportUnused()
	l.finish()
}

// finish puts the suite into its final order.
func (l *loader) finish() {
	s := l.suite
	s.Files = slices.Sorted(maps.Keys(l.reader.read))
	byAddr(s.Agents, func(a Agent) string { return a.Addr })
	byAddr(s.AgentSets, func(a AgentSet) string { return a.Addr })
	byAddr(s.Links, func(a netp.Link) string { return a.Addr })
	byAddr(s.Paths, func(a Path) string { return a.Addr })
	byAddr(s.Tests, func(a Test) string { return a.Addr })
	byAddr(s.Sinks, func(a Sink) string { return a.Addr })
	for i := range s.Tests {
		s.Tests[i].Tags = merge(s.Tags, s.Tests[i].Tags)
	}
	for i := range s.Tests {
		for j := range s.Tests[i].Asserts {
			if s.Tests[i].Asserts[j].Confidence == 0 {
				s.Tests[i].Asserts[j].Confidence = s.Confidence
			}
		}
	}
	s.Hash = l.hash()
}

func byAddr[T any](list []T, addr func(T) string) {
	slices.SortFunc(list, func(a, b T) int { return strings.Compare(addr(a), addr(b)) })
}

// sourcesOf reads and parses the suite files of a directory, once.
func (l *loader) sourcesOf(dir string) []*source {
	if files, ok := l.parsed[dir]; ok {
		return files
	}
	names, fault := l.reader.list(dir, isSuiteFile)
	if fault != nil {
		l.broken = true
		l.fail(hcl.Range{}, fault.summary, "%s", fault.detail)
	}
	var files []*source
	for _, name := range names {
		if f := l.open1(name); f != nil {
			files = append(files, f)
		}
	}
	l.parsed[dir] = l.parseFiles(files)
	return l.parsed[dir]
}

// open1 reads one file and makes it known to the diagnostics.
func (l *loader) open1(name string) *source {
	text, fault := l.reader.text(name)
	if fault != nil {
		l.broken = true
		l.fail(hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}, fault.summary, "%s", fault.detail)
		return nil
	}
	f := &source{name: path.Clean(name), bytes: text}
	l.sources[f.name] = f
	return f
}

// parseFiles parses files and keeps those with something to work on.
func (l *loader) parseFiles(files []*source) []*source {
	var out []*source
	for _, p := range parseAll(files, l.limits) {
		l.tokens += p.tokens
		if p.fault != nil {
			l.broken = true
			l.fail(p.fault.rng, p.fault.summary, "%s", p.fault.detail)
			p.src.body = nil
			continue
		}
		l.syntax(p.diags)
		if l.tokens > l.limits.Tokens {
			l.broken = true
			l.fail(fileRange(p.src), sumTooLarge, "With %s the suite has more than %d words and signs. Make its blocks with for_each.", p.src.name, l.limits.Tokens)
			break
		}
		if p.src.body != nil {
			l.meter.instrumentBody(p.src.body)
			out = append(out, p.src)
		}
	}
	return out
}

// textOf is an expression as written, and where its first byte stands.
func (l *loader) textOf(e hclsyntax.Expression) (string, hcl.Range) {
	rng := e.Range()
	src := l.sources[rng.Filename]
	if src == nil {
		return "", rng
	}
	if text, ok := src.texts[e]; ok {
		return text, rng
	}
	if src.texts != nil { // a plain JSON string, number or bool
		if v, ok := literal(e); ok {
			if s, ok := toText(v); ok && v.Type().FriendlyName() == "string" {
				return quoteTemplate(s), rng
			} else if ok {
				return s, rng
			}
		}
	}
	from, to := rng.Start.Byte, rng.End.Byte
	if from < 0 || to > len(src.bytes) || from > to {
		return "", rng
	}
	return string(src.bytes[from:to]), rng
}

// offsets turns a part of an expression's text into a range of its file.
func (l *loader) offsets(rng hcl.Range, text string, from, to int) hcl.Range {
	src := l.sources[rng.Filename]
	if src == nil || src.texts != nil || from < 0 || to < from || to > len(text) {
		return rng
	}
	x := newLineIndex(src.bytes)
	return hcl.Range{Filename: rng.Filename, Start: x.pos(rng.Start.Byte + from), End: x.pos(rng.Start.Byte + to)}
}

// addressOf makes a diag.Range of where a declaration stands.
func addressOf(rng hcl.Range) diag.Range { return *toRange(rng) }
