package lang

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp/suggest"
)

// scope is one module as called: its declarations by the way they are referred
// to. Declarations are decoded when something first refers to them, so blocks
// and locals may stand in any order.
type scope struct {
	loader *loader
	addr   string // module.branch["mel"], "" for the suite itself
	items  map[string]*item
	order  []*item
	base   *hcl.EvalContext
	// inputs are the arguments of the module call, evaluated where it stands.
	inputs map[string]*hclsyntax.Attribute
	caller *env
	call   hcl.Range
	// dormant says that the module is called for no element: its names are checked, and nothing is decoded.
	dormant bool
}

// item is a declaration: a block, or one argument of locals.
type item struct {
	scope *scope
	kind  string // "agent"; "local" for an argument of locals
	ref   string // agent.syd, profile.udp.voice
	name  string // the last label
	block *hclsyntax.Block
	attr  *hclsyntax.Attribute
	rng   hcl.Range
	used  bool
	state itemState
	value cty.Value
	later func() cty.Value // makes the value when it is first asked for
	paths []*pathFacts     // of a path, sorted by key; nil when it has a fault
	calls []*scope         // of a module
}

type itemState int

const (
	untouched itemState = iota
	inProgress
	done
)

// prefix puts a module's address before the address of one of its blocks.
func (s *scope) prefix(ref string) string {
	if s.addr == "" {
		return ref
	}
	return s.addr + "." + ref
}

// referable are the first words of references, with the number of names that follow.
var referable = map[string]int{
	"var": 1, "local": 1, "agent": 1, "agents": 1, "path": 1, "link": 1, "module": 1, "profile": 2, "sink": 2,
}

// maxChain bounds how many declarations may refer to each other in a row.
const maxChain = 500

// resolve gives the value of a declaration, decoding it when it is the first to ask.
func (s *scope) resolve(it *item, from hcl.Range) cty.Value {
	if !s.settle(it, from) {
		return cty.DynamicVal
	}
	if it.later != nil {
		it.value, it.later = it.later(), nil
	}
	return it.value
}

// settle decodes a declaration unless that was done; false where it has no value: it leads back to itself, which has then been
// reported, or is dormant.
func (s *scope) settle(it *item, from hcl.Range) bool {
	l := s.loader
	if s.dormant {
		return false
	}
	switch it.state {
	case done:
		return true
	case inProgress:
		l.fail(from, sumCycle, "%s refers to itself: %s. Break the circle by writing one of these values out.",
			it.ref, l.cycle(it))
		return false
	}
	if len(l.stack) >= maxChain {
		l.fail(from, sumTooComplex, "More than %d declarations refer to each other in a row here.", maxChain)
		return false
	}
	it.state = inProgress
	l.stack = append(l.stack, it)
	it.value = it.decode()
	l.stack = l.stack[:len(l.stack)-1]
	it.state = done
	return true
}

// cycle writes out the references that lead from an item back to it.
func (l *loader) cycle(it *item) string {
	var names []string
	for i := slices.Index(l.stack, it); i < len(l.stack); i++ {
		names = append(names, l.stack[i].ref)
	}
	if len(names) > 10 {
		names = append(names[:9], "…")
	}
	return strings.Join(append(names, it.ref), " → ")
}

// lookup finds what a reference names. The key is as long as the root demands.
func (s *scope) lookup(t hcl.Traversal) (*item, bool) {
	root := t.RootName()
	names := referable[root]
	key := root
	for i := 1; i <= names; i++ {
		name, ok := stepName(t, i)
		if !ok {
			s.loader.fail(t.SourceRange(), sumInvalidReference, "%s alone is not a value. Write %s.%s.", traversalString(t), root, pattern(root))
			return nil, false
		}
		key += "." + name
	}
	if it := s.items[key]; it != nil {
		if !it.used || it.state != done || it.later != nil {
			s.loader.alone()
			it.used = true
		}
		return it, true
	}
	s.unknown(t, key)
	return nil, false
}

func pattern(root string) string {
	switch root {
	case "profile":
		return "KIND.NAME"
	case "sink":
		return "TYPE.NAME"
	}
	return "NAME"
}

// stepName is the i-th step of a reference when it is a name.
func stepName(t hcl.Traversal, i int) (string, bool) {
	if i >= len(t) {
		return "", false
	}
	switch step := t[i].(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

// named reports whether the first n steps of a reference are names.
func named(t hcl.Traversal, n int) bool {
	for i := 1; i <= n; i++ {
		if _, ok := stepName(t, i); !ok {
			return false
		}
	}
	return true
}

// unknown reports a reference to nothing.
func (s *scope) unknown(t hcl.Traversal, key string) {
	root := t.RootName()
	var have, elsewhere []string
	name := key[strings.LastIndexByte(key, '.')+1:]
	for ref, it := range s.items {
		if strings.HasPrefix(ref, root+".") {
			have = append(have, ref)
		} else if it.name == name {
			elsewhere = append(elsewhere, ref)
		}
	}
	hint := suggest.Sentence(key, have)
	switch {
	case len(elsewhere) > 0:
		hint = " Did you mean " + strconv.Quote(slices.Min(elsewhere)) + "?"
	case hint != "":
	case len(have) > 0:
		hint = " There is: " + listed(have) + "."
	}
	s.loader.fail(t.SourceRange(), sumUnknownReference, "Nothing is declared as %s.%s", key, hint)
}

// rootValues collects the values that references lead to, per root.
type rootValues map[string]map[string]map[string]cty.Value // root → kind or "" → name

func (r rootValues) set(t hcl.Traversal, v cty.Value) {
	root := t.RootName()
	group, at := "", 1
	if referable[root] == 2 {
		group, _ = stepName(t, 1)
		at = 2
	}
	name, _ := stepName(t, at)
	if r[root] == nil {
		r[root] = map[string]map[string]cty.Value{}
	}
	if r[root][group] == nil {
		r[root][group] = map[string]cty.Value{}
	}
	r[root][group][name] = v
}

// known reports whether all references lead to values; those that do not have been
// reported.
func (r rootValues) known() bool {
	for _, groups := range r {
		for _, names := range groups {
			for _, v := range names {
				if !v.IsKnown() {
					return false
				}
			}
		}
	}
	return true
}

func (r rootValues) variables() map[string]cty.Value {
	vars := make(map[string]cty.Value, len(r))
	for root, groups := range r {
		if referable[root] == 1 {
			vars[root] = cty.ObjectVal(groups[""])
			continue
		}
		kinds := map[string]cty.Value{}
		for kind, names := range groups {
			kinds[kind] = cty.ObjectVal(names)
		}
		vars[root] = cty.ObjectVal(kinds)
	}
	return vars
}

// env is where an expression is evaluated: a scope with the names that the block
// around it adds. The instances of one block share the contexts.
type env struct {
	scope *scope
	cache map[hclsyntax.Expression]*binding
	names []string // each, self and iterators
	// extra makes the value of one of the names.
	extra func(name string) cty.Value
	vars  map[string]cty.Value           // by name, as far as it was needed
	ends  map[hclsyntax.Expression][]End // those that are the same for all instances
	addr  string                         // of the block, for diagnostics
}

// binding is what an expression refers to.
type binding struct {
	ctx *hcl.EvalContext
	// extra are those of env.names among it; without any, value is the same for all instances of the block, once there is one.
	extra []string
	value cty.Value
}

func (s *scope) env() *env {
	return &env{scope: s, cache: map[hclsyntax.Expression]*binding{}, ends: map[hclsyntax.Expression][]End{}}
}

// with adds names to an environment.
func (e *env) with(add map[string]cty.Value) *env {
	n := *e
	n.cache = map[hclsyntax.Expression]*binding{}
	n.vars = nil
	outer := e.extra
	n.names = slices.Clone(e.names)
	for name := range add {
		n.names = append(n.names, name)
	}
	n.extra = func(name string) cty.Value {
		if v, ok := add[name]; ok {
			return v
		}
		return outer(name)
	}
	return &n
}

// eval gives an expression's value; unknown when it has a fault, which has then
// been reported.
func (e *env) eval(x hclsyntax.Expression) cty.Value {
	if v, ok := literal(unwrap(x)); ok && (v.Type() != cty.String || len(v.AsString()) <= longText) {
		return v
	}
	if it, name := e.declared(x); it != nil {
		return e.scope.resolve(it, x.Range())
	} else if name {
		return cty.DynamicVal
	}
	if v, ok := e.element(x); ok {
		return v
	}
	bound := e.bind(x)
	if bound.value == cty.NilVal || len(bound.extra) > 0 {
		bound.value = e.evaluate(x, bound)
	}
	return bound.value
}

// declared finds the declaration whose name is the whole of an expression, the usual case of references: its value needs no
// evaluation. There is none after a fault, which has then been reported.
func (e *env) declared(x hclsyntax.Expression) (it *item, name bool) {
	ref, ok := unwrap(x).(*hclsyntax.ScopeTraversalExpr)
	l := e.scope.loader
	if !ok || l.document {
		return nil, false
	}
	t := ref.Traversal
	names, ok := referable[t.RootName()]
	if !ok || len(t) != 1+names || !named(t, names) || slices.Contains(e.names, t.RootName()) {
		return nil, false
	}
	if it, ok = e.scope.lookup(t); !ok || l.meter.over || e.over(x, l.meter.spent()) {
		return nil, true
	}
	return it, true
}

// element gives the value of a plain reference to a name of the block, such as each.value.site.
func (e *env) element(x hclsyntax.Expression) (cty.Value, bool) {
	ref, ok := unwrap(x).(*hclsyntax.ScopeTraversalExpr)
	if !ok || !slices.Contains(e.names, ref.Traversal.RootName()) {
		return cty.NilVal, false
	}
	v, ds := ref.Traversal[1:].TraverseRel(e.own(ref.Traversal.RootName()))
	if len(ds) > 0 || e.scope.loader.meter.over {
		return cty.NilVal, false // evaluate says what is wrong
	}
	if e.over(x, e.scope.loader.meter.spent()) {
		return cty.DynamicVal, true
	}
	return v, true
}

// own is the value of one of the names of the block.
func (e *env) own(name string) cty.Value {
	v, made := e.vars[name]
	if !made {
		if e.vars == nil {
			e.vars = map[string]cty.Value{}
		}
		v = e.extra(name)
		e.vars[name] = v
	}
	return v
}

// over reports that an expression went over a bound of the meter.
func (e *env) over(x hclsyntax.Expression, over bool) bool {
	if over {
		e.scope.loader.fail(x.Range(), sumTooMuch, "%s", e.scope.loader.meter.reason)
	}
	return over
}

// evaluate gives the value of an expression in full.
func (e *env) evaluate(x hclsyntax.Expression, bound *binding) cty.Value {
	l := e.scope.loader
	if l.meter.over {
		return cty.DynamicVal
	}
	l.meter.begin()
	v, ds := e.value(x, bound)
	if _, ref := unwrap(x).(*hclsyntax.ScopeTraversalExpr); !ref {
		l.meter.charge(v) // what a reference names was measured when it was made
	}
	if e.over(x, l.meter.over) {
		return cty.DynamicVal
	}
	l.hcl(ds)
	if ds.HasErrors() {
		return cty.DynamicVal
	}
	return v
}

// same reports whether an expression, which has been evaluated, has one value for all instances of a block.
func (e *env) same(x hclsyntax.Expression) bool {
	ref, ok := unwrap(x).(*hclsyntax.ScopeTraversalExpr)
	if ok {
		return !slices.Contains(e.names, ref.Traversal.RootName())
	}
	bound := e.cache[x]
	return bound == nil || len(bound.extra) == 0 // literals are bound to nothing
}

// bind finds what an expression refers to, once for all instances of a block.
func (e *env) bind(x hclsyntax.Expression) *binding {
	bound := e.cache[x]
	if bound != nil {
		return bound
	}
	bound = new(binding)
	values, other := rootValues{}, map[string]cty.Value{}
	for _, t := range hclsyntax.Variables(x) {
		if slices.Contains(e.names, t.RootName()) {
			bound.extra = append(bound.extra, t.RootName())
			continue
		}
		e.refer(t, values, other)
	}
	bound.ctx = e.scope.base
	if len(values)+len(other) > 0 {
		bound.ctx = bound.ctx.NewChild()
		bound.ctx.Variables = values.variables()
		maps.Copy(bound.ctx.Variables, other)
	}
	e.cache[x] = bound
	return bound
}

// context holds everything an expression refers to.
func (e *env) context(bound *binding) *hcl.EvalContext {
	if len(bound.extra) == 0 {
		return bound.ctx
	}
	for _, name := range bound.extra {
		e.own(name)
	}
	child := bound.ctx.NewChild()
	child.Variables = e.vars
	return child
}

// addExtra adds the values of those names of the block that an expression refers to.
func (e *env) addExtra(x hclsyntax.Expression, vars map[string]cty.Value) {
	for _, t := range hclsyntax.Variables(x) {
		if name := t.RootName(); slices.Contains(e.names, name) {
			vars[name] = e.extra(name)
		}
	}
}

// refer resolves one reference of an expression. What has no meaning is reported
// and gets an unknown value, so that nothing else is said about it.
func (e *env) refer(t hcl.Traversal, values rootValues, other map[string]cty.Value) {
	root := t.RootName()
	if slices.Contains(e.names, root) {
		return
	}
	if _, ok := referable[root]; ok && !e.scope.loader.document {
		if it, ok := e.scope.lookup(t); ok {
			values.set(t, e.scope.resolve(it, t.SourceRange()))
		} else if named(t, referable[root]) {
			values.set(t, cty.DynamicVal)
		} else {
			other[root] = cty.DynamicVal
		}
		return
	}
	if _, ok := e.scope.base.Variables[root]; ok {
		return
	}
	other[root] = cty.DynamicVal
	e.unknownRoot(t)
}

func (e *env) unknownRoot(t hcl.Traversal) {
	root := t.RootName()
	l := e.scope.loader
	if l.document {
		l.fail(t.SourceRange(), sumUnknownReference, "There is no %q here. A configuration file has no references: write the value, a text in quotes, or env(\"NAME\") for a variable of the environment.", root)
		return
	}
	switch root {
	case "each":
		l.fail(t.SourceRange(), sumInvalidReference, "each is there only in a block that has for_each.")
		return
	case "self":
		l.fail(t.SourceRange(), sumInvalidReference, "self is there only inside an agent, agents, link, path, profile, test or sink block.")
		return
	}
	known := slices.Concat(e.names, []string{"each", "self"})
	tag := len(t) == 1 && slices.Contains(e.names, "tags") // in where, and no reference is one word
	for name := range referable {
		if !tag {
			known = append(known, name)
		}
	}
	for name := range e.scope.base.Variables {
		known = append(known, name)
	}
	hint := suggest.Sentence(root, known)
	if hint == "" && e.scope.items["var."+root] != nil {
		hint = ` Did you mean "var.` + root + `"?`
	} else if hint == "" && e.scope.items["local."+root] != nil {
		hint = ` Did you mean "local.` + root + `"?`
	} else if hint == "" && tag {
		hint = " where sees " + strings.Join(whereNames, ", ") + "; a tag is written tags." + root + "."
	} else if hint == "" {
		hint = " References begin with var, local, agent, agents, path, profile, link, sink, module, each or self; a text stands in quotes. Metrics are known in condition and message only."
	}
	l.fail(t.SourceRange(), sumUnknownReference, "There is no %q here.%s", root, hint)
}
