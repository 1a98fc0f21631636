package lang

import (
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp/lang/diag"
)

// instance is one expansion of a block by for_each, or the block itself.
type instance struct {
	*item
	env  *env
	addr string
	key  string // each.key
	many bool   // the block has for_each
}

// instances decodes a block once, or once per element of for_each. It returns
// what a reference to the block stands for: a value, or one per key.
func (it *item) instances(decode func(*instance) cty.Value) cty.Value {
	var one cty.Value
	all := map[string]cty.Value{}
	many, ok := it.each(func(in *instance) {
		if one = decode(in); in.many {
			all[in.key] = one
		}
	})
	switch {
	case !ok:
		return cty.DynamicVal
	case many:
		return mapOf(all)
	}
	return one
}

// each visits the instances of a block, one when it has no for_each; false when for_each has a fault.
func (it *item) each(visit func(*instance)) (many, ok bool) {
	elements, many, ok := it.elements()
	shared := it.shared(many)
	for _, e := range elements {
		visit(it.instance(shared, e))
	}
	return many, ok
}

// elements are those of for_each, or one without a key; false when for_each has a fault.
func (it *item) elements() (list []element, many, ok bool) {
	attr := it.block.Body.Attributes["for_each"]
	if attr == nil {
		return []element{{}}, false, true
	}
	list, ok = it.forEach(it.scope.env(), attr)
	if ok && len(list) == 0 && it.kind != "module" { // what a module refers to may not be declared yet: load looks at it
		it.shared(true).dormant(it.block.Body)
	}
	return list, true, ok
}

// dormant finds unknown names in a body that is not evaluated, because for_each is empty.
func (e *env) dormant(body *hclsyntax.Body) {
	for _, name := range attributeNames(body) {
		e.dormantNames(name, body.Attributes[name].Expr)
	}
	for _, b := range body.Blocks {
		if b.Type == "dynamic" && len(b.Labels) == 1 {
			iterator := b.Labels[0]
			if a := b.Body.Attributes["iterator"]; a != nil {
				iterator = hcl.ExprAsKeyword(a.Expr)
			}
			e.dormantContent(iterator, b.Body)
		} else {
			e.dormant(b.Body)
		}
	}
}

// dormantContent is dormant for the body of a dynamic block.
func (e *env) dormantContent(iterator string, body *hclsyntax.Body) {
	inner := *e
	inner.names = append(slices.Clone(e.names), iterator)
	inner.dormant(body)
}

// dormant finds unknown names in the call of a module that is called for no element, or in a declaration of such a module.
func (it *item) dormant() {
	switch it.kind {
	case "local":
		it.scope.env().dormantNames("", it.attr.Expr)
	case "variable": // refers to nothing but itself
	default:
		it.shared(it.block.Body.Attributes["for_each"] != nil).dormant(it.block.Body)
	}
}

// dormantNames looks at an argument. Which metrics a condition or message may name is known only where the test has a profile.
func (e *env) dormantNames(argument string, x hclsyntax.Expression) {
	own := *e
	if argument == "where" {
		own.names = slices.Concat(e.names, whereNames)
	}
	for _, t := range hclsyntax.Variables(x) {
		if _, ok := referable[t.RootName()]; ok || argument != "condition" && argument != "message" {
			own.refer(t, rootValues{}, map[string]cty.Value{})
		}
	}
	_ = hclsyntax.Walk(x, visitor(func(n hclsyntax.Node) { // which makes no diagnostics
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if l := e.scope.loader; ok && !slices.Contains(l.callable, call.Name) {
			l.fail(call.NameRange, sumUnknownFunction, "%s", l.noFunction(call.Name))
		}
	}))
}

// shared is the environment of the instances of a block, which share its contexts.
func (it *item) shared(many bool) *env {
	e := it.scope.env()
	e.names = []string{"self"}
	if many {
		e.names = append(e.names, "each")
	}
	return e
}

// mapOf makes a map of values of one type, an object when they differ.
func mapOf(values map[string]cty.Value) cty.Value {
	var first cty.Type
	for _, v := range values {
		if first == cty.NilType {
			first = v.Type()
		}
		if !first.IsObjectType() || !v.Type().Equals(first) {
			return cty.ObjectVal(values)
		}
	}
	if len(values) == 0 {
		return cty.EmptyObjectVal
	}
	return cty.MapVal(values)
}

// instance makes an instance with its environment.
func (it *item) instance(shared *env, e element) *instance {
	in := &instance{item: it, key: e.key, addr: it.scope.prefix(it.ref)}
	if in.many = slices.Contains(shared.names, "each"); in.many {
		in.addr += "[" + strconv.Quote(in.key) + "]"
	}
	own := *shared
	own.addr = in.addr
	own.extra = func(name string) cty.Value {
		if name == "each" {
			return cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(in.key), "value": e.value})
		}
		key := cty.NullVal(cty.String)
		if in.many {
			key = cty.StringVal(in.key)
		}
		return cty.ObjectVal(map[string]cty.Value{"addr": cty.StringVal(in.addr), "name": cty.StringVal(in.name), "key": key})
	}
	in.env = &own
	return in
}

// element is one key and value of for_each.
type element struct {
	key   string
	value cty.Value
}

// forEach evaluates for_each: a map, an object or a set of strings.
func (it *item) forEach(e *env, attr *hclsyntax.Attribute) ([]element, bool) {
	l := it.scope.loader
	v := e.eval(attr.Expr)
	if !v.IsKnown() {
		return nil, false
	}
	elements, ok := l.elements(v, attr.Expr.Range(), "for_each")
	if !ok {
		return nil, false
	}
	l.instances += len(elements)
	if l.instances > l.limits.Instances {
		l.fail(attr.Expr.Range(), sumTooManyInstances, "With this block for_each makes more than %d instances in all. Make its collection smaller.", l.limits.Instances)
		return nil, false
	}
	return elements, true
}

// elements takes a collection apart for for_each.
func (l *loader) elements(v cty.Value, rng hcl.Range, what string) ([]element, bool) {
	if containsMarked(v) {
		l.fail(rng, sumSensitive, "%s must not depend on a sensitive value, because its keys are shown in addresses. Use nonsensitive() if it is none.", what)
		return nil, false
	}
	ty := v.Type()
	switch {
	case v.IsNull():
		l.fail(rng, sumInvalidForEach, "%s is null. Write a map, an object or a set of strings; an empty one makes no instances.", what)
		return nil, false
	case ty.IsMapType(), ty.IsObjectType():
	case ty.IsSetType() && (ty.ElementType() == cty.String || v.LengthInt() == 0):
	case ty.IsTupleType() || ty.IsListType():
		l.fail(rng, sumInvalidForEach, "%s must be a map or a set of strings, and this is %s, whose elements have no lasting names. Write toset(…) around it.", what, article(typeWord(ty)))
		return nil, false
	default:
		l.fail(rng, sumInvalidForEach, "%s must be a map, an object or a set of strings; this is %s.", what, article(ty.FriendlyName()))
		return nil, false
	}
	if ty.IsSetType() && !v.IsWhollyKnown() {
		return nil, false
	}
	var out []element
	for iter := v.ElementIterator(); iter.Next(); {
		k, val := iter.Element()
		if ty.IsSetType() {
			k = val
		}
		if k.IsNull() {
			l.fail(rng, sumInvalidForEach, "%s has a null element.", what)
			return nil, false
		}
		if !goodKey(k.AsString()) {
			l.fail(rng, sumInvalidForEach, "The key %q of %s is empty, longer than 200 bytes or has control characters; it becomes part of addresses.", k.AsString(), what)
			return nil, false
		}
		out = append(out, element{k.AsString(), val})
	}
	return out, true
}

func goodKey(k string) bool {
	if k == "" || len(k) > 200 {
		return false
	}
	for _, r := range k {
		if r < ' ' || r == 0x7f {
			return false
		}
	}
	return true
}

// nested is a block inside a block, written out or made by dynamic.
type nested struct {
	labels []string
	rng    hcl.Range
	body   *hclsyntax.Body
	env    *env
}

// blocks lists the inner blocks of one type, with those of dynamic expanded.
func (l *loader) blocks(e *env, body *hclsyntax.Body, kind string) []nested {
	var out []nested
	for _, b := range body.Blocks {
		switch {
		case b.Type == kind:
			out = append(out, nested{b.Labels, b.DefRange(), b.Body, e})
		case b.Type == "dynamic" && len(b.Labels) == 1 && b.Labels[0] == kind:
			out = append(out, l.dynamic(e, b)...)
		}
	}
	return out
}

// dynamic expands a dynamic block: for_each, labels, iterator and content.
func (l *loader) dynamic(e *env, b *hclsyntax.Block) []nested {
	kind := b.Labels[0]
	each, content := b.Body.Attributes["for_each"], (*hclsyntax.Block)(nil)
	for _, inner := range b.Body.Blocks {
		if inner.Type == "content" {
			content = inner
		}
	}
	if each == nil || content == nil {
		l.fail(b.DefRange(), sumInvalidDynamic, "A dynamic block needs the argument for_each and one content block.")
		return nil
	}
	iterator := kind
	if a := b.Body.Attributes["iterator"]; a != nil {
		if iterator = hcl.ExprAsKeyword(a.Expr); iterator == "" {
			l.fail(a.Expr.Range(), sumInvalidDynamic, "iterator is the name by which content calls the element, without quotes.")
			return nil
		}
	}
	v := e.eval(each.Expr)
	if !v.IsKnown() {
		return nil
	}
	elements, ok := l.dynamicElements(v, each.Expr.Range())
	if !ok {
		return nil
	}
	if l.instances += len(elements); l.instances > l.limits.Instances {
		l.fail(each.Expr.Range(), sumTooManyInstances, "With this block for_each makes more than %d instances in all. Make its collection smaller.", l.limits.Instances)
		return nil
	}
	if len(elements) == 0 {
		e.dormantContent(iterator, b.Body)
	}
	var out []nested
	for _, el := range elements {
		inner := e.with(map[string]cty.Value{iterator: cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(el.key), "value": el.value})})
		out = append(out, nested{l.dynamicLabels(inner, b, content), content.DefRange(), content.Body, inner})
	}
	return out
}

// dynamicElements also takes lists: nothing refers to the blocks by key.
func (l *loader) dynamicElements(v cty.Value, rng hcl.Range) ([]element, bool) {
	ty := v.Type()
	if v.IsNull() || v.IsMarked() || !ty.IsTupleType() && !ty.IsListType() {
		return l.elements(v, rng, "for_each")
	}
	var out []element
	for iter := v.ElementIterator(); iter.Next(); {
		k, val := iter.Element()
		out = append(out, element{numberText(k), val})
	}
	return out, true
}

func (l *loader) dynamicLabels(e *env, b, content *hclsyntax.Block) []string {
	a := b.Body.Attributes["labels"]
	if a == nil {
		return content.Labels
	}
	v, _ := e.eval(a.Expr).Unmark()
	if !v.IsWhollyKnown() || v.IsNull() || !v.CanIterateElements() {
		return nil
	}
	var labels []string
	for iter := v.ElementIterator(); iter.Next(); {
		_, el := iter.Element()
		if s, ok := toText(el); ok {
			labels = append(labels, s)
		}
	}
	return labels
}

// fromRange is the range in HCL's form.
func fromRange(r diag.Range) hcl.Range {
	return hcl.Range{Filename: r.Filename,
		Start: hcl.Pos{Line: r.Start.Line, Column: r.Start.Column, Byte: r.Start.Byte},
		End:   hcl.Pos{Line: r.End.Line, Column: r.End.Column, Byte: r.End.Byte}}
}
