package lang

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
	"github.com/netpupper/netp/lang/diag"
)

// asserts decodes the assert blocks of a test. What a condition means is the
// business of lang/assert; here are its surroundings and its place in the file.
func (in *instance) asserts(a *arguments, t *Test, spec netp.KindSpec) []assert.Assertion {
	l := in.scope.loader
	metrics := spec.Metrics(t.Profile.Params)
	seen := map[string]bool{}
	var out []assert.Assertion
	for _, b := range l.blocks(in.env, a.body, "assert") {
		if len(b.labels) != 1 {
			continue
		}
		name := b.labels[0]
		if name == "" || len(name) > 100 || strings.ContainsAny(name, "\n\r\t\x00") {
			l.failAt(in.addr, b.rng, sumInvalidName, "%q is not a name for an assertion: it has from 1 to 100 characters in one line.", name)
		}
		if seen[name] {
			l.failAt(in.addr, b.rng, sumDuplicate, "The test already has an assertion %q. Rename one of them.", name)
			continue
		}
		seen[name] = true
		if one, ok := in.assertion(b, t, metrics); ok {
			out = append(out, one)
		}
	}
	return out
}

func (in *instance) assertion(b nested, t *Test, metrics []netp.MetricSpec) (assert.Assertion, bool) {
	l := in.scope.loader
	a := &arguments{in.withTags(b.env, t.Tags), b.body, b.rng}
	src := assert.Source{
		Name: b.labels[0], Kind: t.Profile.Kind, Metrics: metrics, Functions: l.functions,
		Severity:  netp.Severity(a.oneOf("severity", string(netp.SeverityError), string(netp.SeverityError), string(netp.SeverityWarning))),
		Constants: map[string]cty.Value{},
	}
	if c, ok := a.confidence("confidence"); ok {
		src.Confidence = c
	}
	condition := a.body.Attributes["condition"]
	if condition == nil {
		return assert.Assertion{}, false
	}
	place := condition.SrcRange
	src.Location = netp.Location{File: place.Filename, Line: place.Start.Line}
	parts := assertParts{}
	parts.condition, parts.conditionRange = l.textOf(condition.Expr)
	ok := a.prepare(condition.Expr, metrics, src.Constants)
	if message := a.body.Attributes["message"]; message != nil {
		parts.message, parts.messageRange = l.textOf(message.Expr)
		ok = a.prepare(message.Expr, metrics, src.Constants) && ok
	}
	if !ok || l.meter.over {
		return assert.Assertion{}, false
	}
	src.Condition, src.Message = parts.condition, parts.message
	out, problems := assert.Compile(src)
	for _, p := range problems {
		l.problem(in.addr, parts, p)
	}
	return out, len(problems) == 0
}

// withTags lets conditions and messages see the test's tags as self.tags.
func (in *instance) withTags(e *env, tags map[string]string) *env {
	self := map[string]cty.Value{"addr": cty.StringVal(in.addr), "name": cty.StringVal(in.name),
		"key": cty.NullVal(cty.String), "tags": tagsValue(tags)}
	if in.many {
		self["key"] = cty.StringVal(in.key)
	}
	return e.with(map[string]cty.Value{"self": cty.ObjectVal(self)})
}

// assertParts are the texts of an assertion with their places.
type assertParts struct {
	condition, message           string
	conditionRange, messageRange hcl.Range
}

// problem places what lang/assert found into the file.
func (l *loader) problem(addr string, parts assertParts, p assert.Problem) {
	text, rng := parts.condition, parts.conditionRange
	if p.Message {
		text, rng = parts.message, parts.messageRange
	}
	l.add(diag.Diagnostic{Severity: diag.Error, Summary: p.Summary, Detail: p.Detail, Address: addr},
		l.offsets(rng, text, p.Start, p.End))
}

// prepare resolves the constants of a condition or message into a map, and runs
// everything in it that does not depend on metrics once under the meter, because
// lang/assert evaluates without one. It is false when a reference is unknown.
func (a *arguments) prepare(x hclsyntax.Expression, metrics []netp.MetricSpec, constants map[string]cty.Value) bool {
	l := a.loader()
	roots := map[string]bool{}
	for _, m := range metrics {
		root, _, _ := strings.Cut(m.Name, ".")
		roots[root] = true
	}
	values, vars := rootValues{}, map[string]cty.Value{}
	sound := true
	for _, t := range hclsyntax.Variables(x) {
		root := t.RootName()
		_, known := referable[root]
		switch {
		case roots[root]:
			vars[root] = cty.DynamicVal
		case known || root == "each" || root == "self":
			a.env.refer(t, values, vars)
			_, failed := vars[root]
			sound = sound && !failed
		case slices.Contains(a.env.names, root):
		default: // a unit, or for lang/assert to explain
			if _, unit := a.env.scope.base.Variables[root]; !unit {
				vars[root] = cty.DynamicVal
			}
		}
	}
	maps.Copy(vars, values.variables())
	a.env.addExtra(x, vars)
	a.rehearse(x, vars)
	for name, v := range vars {
		if v.IsKnown() && !roots[name] {
			mergeConstant(constants, name, v)
		}
	}
	return sound && values.known() && !l.meter.over
}

// mergeConstant joins what condition and message need of one root.
func mergeConstant(constants map[string]cty.Value, name string, v cty.Value) {
	old, ok := constants[name]
	if !ok || !old.Type().IsObjectType() || !v.Type().IsObjectType() {
		constants[name] = v
		return
	}
	attrs := old.AsValueMap()
	if attrs == nil {
		attrs = map[string]cty.Value{}
	}
	for k, inner := range v.AsValueMap() {
		if have, ok := attrs[k]; ok && have.Type().IsObjectType() && inner.Type().IsObjectType() && referable[name] == 2 {
			nested := have.AsValueMap()
			maps.Copy(nested, inner.AsValueMap())
			inner = cty.ObjectVal(nested)
		}
		attrs[k] = inner
	}
	constants[name] = cty.ObjectVal(attrs)
}

// rehearse evaluates an expression for its cost alone; its faults are reported
// by who explains conditions.
func (a *arguments) rehearse(x hclsyntax.Expression, vars map[string]cty.Value) {
	if !costly(x) {
		return
	}
	l := a.loader()
	if l.meter.over {
		return
	}
	ctx := a.env.scope.base.NewChild()
	ctx.Variables = vars
	l.meter.begin()
	v, _ := x.Value(ctx)
	if l.meter.charge(v); l.meter.over {
		l.fail(x.Range(), sumTooMuch, "%s", l.meter.reason)
	}
}

// costly reports whether an expression can do more work than its length.
func costly(x hclsyntax.Expression) bool {
	found := false
	_ = hclsyntax.Walk(x, visitor(func(n hclsyntax.Node) {
		switch n := n.(type) {
		case *hclsyntax.ForExpr, *hclsyntax.SplatExpr, *hclsyntax.FunctionCallExpr:
			found = true
		case *hclsyntax.BinaryOpExpr: // makes numbers of strings
			found = found || n.Op.Type == cty.Number
		}
	}))
	return found
}
