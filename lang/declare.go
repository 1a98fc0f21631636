package lang

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp/suggest"
)

// newScope indexes the declarations of a module's files.
func (l *loader) newScope(addr string, files []*source) *scope {
	s := &scope{loader: l, addr: addr, items: map[string]*item{}}
	s.base = &hcl.EvalContext{Variables: unitConstants(), Functions: l.functions}
	l.scopes = append(l.scopes, s)
	for _, f := range files {
		l.check(f.body, &blockSchema{blocks: l.schema.blocks, args: map[string]bool{}}, "a suite's file", hcl.Range{})
		for _, b := range f.body.Blocks {
			s.declare(b)
		}
	}
	s.sorted()
	return s
}

// kindOf is the first word of references to a block.
var kindOf = map[string]string{
	"variable": "var", "agent": "agent", "agents": "agents", "link": "link", "path": "path",
	"profile": "profile", "test": "test", "sink": "sink", "module": "module",
}

// declare adds the names that a block declares.
func (s *scope) declare(b *hclsyntax.Block) {
	schema := s.loader.schema.blocks[b.Type]
	switch {
	case schema == nil || len(b.Labels) != len(schema.labels):
		return // reported by check
	case b.Type == "locals":
		for name, attr := range b.Body.Attributes {
			s.add(&item{kind: "local", ref: "local." + name, name: name, attr: attr, rng: attr.NameRange})
		}
		return
	case b.Type == "suite" || b.Type == "netp":
		if s.addr != "" {
			s.loader.fail(b.DefRange(), sumMisplaced, "A module has no %s block of its own; it belongs into the suite that calls it.", b.Type)
		}
		return
	}
	name := b.Labels[len(b.Labels)-1]
	for i, label := range b.Labels {
		if !isIdentifier(label) || len(label) > 100 {
			s.loader.fail(b.LabelRanges[i], sumInvalidName, "%q is not a name. A name begins with a letter or _ and goes on with letters, digits, _ and -; at most 100 of them.", label)
			return
		}
	}
	s.add(&item{kind: b.Type, ref: kindOf[b.Type] + "." + strings.Join(b.Labels, "."), name: name, block: b, rng: b.DefRange()})
}

// isIdentifier says whether a text is letters, digits, _ and -, and does not begin with a digit or -.
func isIdentifier(text string) bool {
	for i, r := range text {
		if r == '_' || unicode.IsLetter(r) || i > 0 && (r == '-' || unicode.Is(unicode.N, r)) {
			continue
		}
		return false
	}
	return text != ""
}

// add keeps a declaration unless its name is taken.
func (s *scope) add(it *item) {
	it.scope = s
	if old := s.items[it.ref]; old != nil {
		s.loader.fail(it.rng, sumDuplicate, "%s was already declared in %s, line %d. Names are unique in a suite; rename one of them.",
			it.ref, old.rng.Filename, old.rng.Start.Line)
		return
	}
	s.items[it.ref] = it
	s.order = append(s.order, it)
}

// sorted restores the order of the source, which the maps of HCL lose.
func (s *scope) sorted() {
	slices.SortStableFunc(s.order, func(a, b *item) int {
		if c := strings.Compare(a.rng.Filename, b.rng.Filename); c != 0 {
			return c
		}
		return a.rng.Start.Byte - b.rng.Start.Byte
	})
}

// check compares a body with what may stand in it, and so do all bodies in it.
func (l *loader) check(body *hclsyntax.Body, schema *blockSchema, what string, at hcl.Range) {
	var unknown, missing []string
	for name := range body.Attributes {
		if _, known := schema.args[name]; !known && !schema.free {
			unknown = append(unknown, name)
		}
	}
	for name, required := range schema.args {
		if required && body.Attributes[name] == nil {
			missing = append(missing, name)
		}
	}
	for _, name := range slices.Sorted(slices.Values(unknown)) {
		l.unknownArgument(body.Attributes[name], schema, what)
	}
	for _, name := range slices.Sorted(slices.Values(missing)) {
		l.fail(at, sumMissingArgument, "%s needs the argument %q.", capital(what), name)
	}
	for _, b := range body.Blocks {
		l.checkBlock(b, schema, what)
	}
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func attributeNames(body *hclsyntax.Body) []string {
	names := make([]string, 0, len(body.Attributes))
	for name := range body.Attributes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (l *loader) unknownArgument(a *hclsyntax.Attribute, schema *blockSchema, what string) {
	if _, ok := schema.blocks[a.Name]; ok {
		l.fail(a.NameRange, sumUnknownArgument, "%q is a block here, not an argument. Write it without the equals sign: %s … { … }.", a.Name, a.Name)
		return
	}
	var known []string
	for name := range schema.args {
		known = append(known, name)
	}
	if isJSON(a.NameRange.Filename) { // which does not tell blocks from arguments
		known = slices.AppendSeq(known, maps.Keys(schema.blocks))
	}
	hint := suggest.Sentence(a.Name, known)
	if hint == "" && len(known) > 0 {
		hint = " It may have: " + listed(known) + "."
	}
	l.fail(a.NameRange, sumUnknownArgument, "%s has no argument %q.%s", capital(what), a.Name, hint)
}

func (l *loader) checkBlock(b *hclsyntax.Block, schema *blockSchema, what string) {
	inner := schema.blocks[b.Type]
	if b.Type == "dynamic" && len(b.Labels) == 1 && schema.blocks[b.Labels[0]] != nil && what != "a suite's file" {
		l.checkDynamic(b, schema.blocks[b.Labels[0]])
		return
	}
	if inner == nil {
		var known []string
		for name := range schema.blocks {
			known = append(known, name)
		}
		hint := suggest.Sentence(b.Type, known)
		_, isArg := schema.args[b.Type]
		switch {
		case isArg || schema.free:
			hint = " It is an argument: write " + b.Type + " = { … }."
		case hint == "" && len(known) > 0:
			hint = " There is: " + listed(known) + "."
		}
		l.fail(b.DefRange(), sumUnknownBlock, "%s has no block %q.%s", capital(what), b.Type, hint)
		return
	}
	if len(b.Labels) != len(inner.labels) {
		l.fail(b.DefRange(), sumInvalidLabels, "%s block has %s: %s.", capital(article(b.Type)), counted(len(inner.labels), "label"), shape(b.Type, inner.labels))
		return
	}
	l.check(b.Body, inner, article(b.Type)+" block", b.DefRange())
}

func article(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}

// shape shows how a block's first line looks.
func shape(kind string, labels []string) string {
	for _, l := range labels {
		kind += ` "` + strings.ToUpper(l) + `"`
	}
	return kind + " { … }"
}

func (l *loader) checkDynamic(b *hclsyntax.Block, inner *blockSchema) {
	l.check(b.Body, &blockSchema{args: map[string]bool{"for_each": true, "iterator": false, "labels": len(inner.labels) > 0},
		blocks: map[string]*blockSchema{"content": inner.unlabelled()}}, "a dynamic block", b.DefRange())
}

// unlabelled is the schema of a dynamic block's content.
func (s *blockSchema) unlabelled() *blockSchema {
	c := *s
	c.labels = nil
	return &c
}

// decode gives what references to a declaration stand for.
func (it *item) decode() cty.Value {
	switch it.kind {
	case "local":
		// Long collections become lists and maps once, not at each use.
		return it.scope.loader.meter.uniform(it.scope.env().eval(it.attr.Expr))
	case "variable":
		return it.variable()
	case "agent":
		return it.instances((*instance).agent)
	case "agents":
		return it.instances((*instance).agentSet)
	case "link":
		return it.instances((*instance).link)
	case "path":
		return it.decodePaths()
	case "profile":
		return it.instances((*instance).profile)
	case "test":
		return it.instances((*instance).test)
	case "sink":
		return it.instances((*instance).sink)
	case "module":
		return it.module()
	}
	return cty.DynamicVal
}

// mayBeUnused lists what is worth a warning when nothing refers to it.
var mayBeUnused = map[string]string{
	"variable": "variable", "local": "local", "agent": "agent", "agents": "agents", "link": "link", "path": "path", "profile": "profile",
}

// reportUnused warns of declarations that nothing refers to, unless there are
// errors: then the references may be what is wrong.
func (l *loader) reportUnused() {
	if l.errors > 0 || l.broken {
		return
	}
	for _, s := range l.scopes {
		for _, it := range s.order {
			if word := mayBeUnused[it.kind]; word != "" && !it.used && !s.dormant {
				l.warn(it.rng, sumUnused, "Nothing refers to %s. Remove it, or use it.", it.ref)
			}
		}
	}
}
