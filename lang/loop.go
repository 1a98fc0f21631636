package lang

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// value is what HCL makes of an expression.
func (e *env) value(x hclsyntax.Expression, bound *binding) (cty.Value, hcl.Diagnostics) {
	loop, ok := unwrap(x).(*hclsyntax.ForExpr)
	if !ok || len(bound.extra) > 0 || loop.CondExpr != nil || loop.Group {
		return x.Value(e.context(bound))
	}
	over, ds := loop.CollExpr.Value(bound.ctx)
	if len(ds) > 0 || over.IsNull() {
		return loop.Value(bound.ctx) // says what is wrong
	}
	if v, ok := e.loop(loop, bound.ctx, over); ok {
		return v, nil
	}
	whole := *loop
	whole.CollExpr = &hclsyntax.LiteralValueExpr{Val: over, SrcRange: loop.CollExpr.Range()}
	return whole.Value(bound.ctx)
}

// loop evaluates a for expression over a collection in parts; false where that does not go.
func (e *env) loop(loop *hclsyntax.ForExpr, ctx *hcl.EvalContext, over cty.Value) (cty.Value, bool) {
	if over.IsMarked() || !over.IsKnown() || !over.CanIterateElements() {
		return cty.NilVal, false
	}
	var elements [][2]cty.Value
	for it := over.ElementIterator(); it.Next(); {
		k, v := it.Element()
		elements = append(elements, [2]cty.Value{k, v})
	}
	keys, values := make([]string, len(elements)), make([]cty.Value, len(elements))
	l := e.scope.loader
	before := *l.meter
	if !l.inParts(len(elements), func(w *loader) func(i int) bool {
		x, _ := hclsyntax.ParseExpression(w.native(loop.SrcRange), loop.SrcRange.Filename, loop.SrcRange.Start)
		w.meter.instrument(x)
		own := x.(*hclsyntax.ForExpr)
		base := (&hcl.EvalContext{Variables: e.scope.base.Variables, Functions: w.functions}).NewChild()
		base.Variables = ctx.Variables
		return func(i int) (ok bool) {
			keys[i], values[i], ok = turn(own, base, elements[i])
			return ok
		}
	}) {
		return cty.NilVal, false
	}
	if loop.KeyExpr == nil {
		return cty.TupleVal(values), true
	}
	all := make(map[string]cty.Value, len(keys))
	for i, key := range keys {
		all[key] = values[i]
	}
	if len(all) < len(keys) { // two have the same key
		*l.meter = before
		return cty.NilVal, false
	}
	return cty.ObjectVal(all), true
}

// turn evaluates a for expression for one element; false when anything is wrong.
func turn(loop *hclsyntax.ForExpr, ctx *hcl.EvalContext, element [2]cty.Value) (key string, v cty.Value, ok bool) {
	ctx = ctx.NewChild()
	ctx.Variables = map[string]cty.Value{loop.KeyVar: element[0], loop.ValVar: element[1]}
	if loop.KeyExpr != nil {
		k, ds := loop.KeyExpr.Value(ctx)
		if key, ok = toText(k); !ok || len(ds) > 0 {
			return "", v, false
		}
	}
	v, ds := loop.ValExpr.Value(ctx)
	return key, v, len(ds) == 0
}
