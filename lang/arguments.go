package lang

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/netpupper/netp/suggest"
)

// arguments reads the arguments of one body in one environment. Every getter
// reports what is wrong and then says ok = false; an absent or null argument
// gives the default without a fault.
type arguments struct {
	env  *env
	body *hclsyntax.Body
	at   hcl.Range // of the block, for what is missing
}

func (in *instance) arguments() *arguments {
	return &arguments{in.env, in.block.Body, in.block.DefRange()}
}

func (a *arguments) loader() *loader { return a.env.scope.loader }

// has reports whether an argument is written.
func (a *arguments) has(name string) bool { return a.body.Attributes[name] != nil }

// rng is where an argument's value stands, or the block.
func (a *arguments) rng(name string) hcl.Range {
	if attr := a.body.Attributes[name]; attr != nil {
		return attr.Expr.Range()
	}
	return a.at
}

func (a *arguments) fail(name, summary, format string, args ...any) {
	a.loader().failAt(a.env.addr, a.rng(name), summary, format, args...)
}

// value evaluates an argument; false when it is absent, null or faulty. Marked
// values are refused: everything but sinks and variables is shown in plans. Those
// of a document are shown nowhere.
func (a *arguments) value(name string) (cty.Value, bool) {
	attr := a.body.Attributes[name]
	if attr == nil {
		return cty.NilVal, false
	}
	v := a.env.eval(attr.Expr)
	if !v.IsKnown() || v.IsNull() && !v.IsMarked() {
		return cty.NilVal, false
	}
	marked := containsMarked(v)
	if marked && a.loader().document {
		v, _ = v.UnmarkDeep()
		return v, true
	}
	if marked {
		a.fail(name, sumSensitive, "%s is shown in plans and records, and this value is sensitive. Use another value, or nonsensitive() if it is no secret.", name)
		return cty.NilVal, false
	}
	return v, true
}

// text reads a string; numbers and bools are converted.
func (a *arguments) text(name string) (string, bool) {
	v, ok := a.value(name)
	if !ok {
		return "", false
	}
	s, ok := toText(v)
	if !ok {
		a.fail(name, sumInvalidType, "%s must be a string; this is %s.", name, article(typeWord(v.Type())))
	}
	return s, ok
}

// toText converts a known, unmarked primitive to text.
func toText(v cty.Value) (string, bool) {
	if v.IsMarked() || !v.IsKnown() || v.IsNull() || !v.Type().IsPrimitiveType() {
		return "", false
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), true
	case cty.Number: // whole numbers as convert writes them, and a hundred times faster
		if s, ok := whole(v.AsBigFloat()); ok {
			return s, true
		}
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", false
	}
	return s.AsString(), true
}

// flag reads a bool.
func (a *arguments) flag(name string) bool {
	v, ok := a.value(name)
	if !ok {
		return false
	}
	b, err := convert.Convert(v, cty.Bool)
	if err != nil {
		a.fail(name, sumInvalidType, "%s must be true or false; this is %s.", name, article(typeWord(v.Type())))
		return false
	}
	return b.True()
}

// number reads a number.
func (a *arguments) number(name string) (float64, bool) {
	v, ok := a.value(name)
	if !ok {
		return 0, false
	}
	f, ok := toNumber(v)
	if !ok {
		a.fail(name, sumInvalidType, "%s must be a number; this is %s.", name, article(typeWord(v.Type())))
	}
	return f, ok
}

// toNumber converts a number to a finite float64.
func toNumber(v cty.Value) (float64, bool) {
	if v.Type() != cty.Number {
		return 0, false
	}
	f, _ := v.AsBigFloat().Float64()
	return f, !math.IsInf(f, 0)
}

// quantity reads a number in SI units, or a text that parse understands.
func (a *arguments) quantity(name string, parse func(string) (float64, error)) (float64, bool) {
	v, ok := a.value(name)
	if !ok {
		return 0, false
	}
	f, fault := quantityOf(name, v, parse)
	if fault != nil {
		a.fail(name, fault.summary, "%s", fault.detail)
	}
	return f, fault == nil
}

// valueFault is what is wrong with a value.
type valueFault struct{ summary, detail string }

func quantityOf(name string, v cty.Value, parse func(string) (float64, error)) (float64, *valueFault) {
	var f float64
	switch v.Type() {
	case cty.Number:
		n, ok := toNumber(v)
		if !ok {
			return 0, &valueFault{sumOutOfRange, name + " is too large a number."}
		}
		f = n
	case cty.String:
		n, err := parse(v.AsString())
		var unit unitError
		switch {
		case errors.As(err, &unit):
			return 0, &valueFault{sumInvalidUnit, unit.detail}
		case err != nil || math.IsInf(n, 0):
			return 0, &valueFault{sumOutOfRange, name + " is too large a number."}
		}
		f = n
	default:
		return 0, &valueFault{sumInvalidType, name + " must be a number or a string with its unit; this is " + article(typeWord(v.Type())) + "."}
	}
	if f < 0 {
		return 0, &valueFault{sumOutOfRange, name + " must not be negative."}
	}
	return f, nil
}

// maxDuration bounds every duration of a suite: ten years.
const maxDuration = 10 * 366 * 24 * time.Hour

// duration reads a duration.
func (a *arguments) duration(name string) (time.Duration, bool) {
	f, ok := a.quantity(name, parseDuration)
	if !ok {
		return 0, false
	}
	if f > maxDuration.Seconds() {
		a.fail(name, sumOutOfRange, "%s must not be longer than ten years.", name)
		return 0, false
	}
	return time.Duration(math.Round(f * 1e9)), true
}

// tags reads a map of strings; numbers and bools are converted, nulls left out.
func (a *arguments) tags(name string) map[string]string {
	if tags, ok := a.plainTags(name); ok {
		return tags
	}
	v, ok := a.value(name)
	if !ok {
		return nil
	}
	if ty := v.Type(); !ty.IsObjectType() && !ty.IsMapType() {
		a.fail(name, sumInvalidType, "%s must be an object: { site = \"syd\" }; this is %s.", name, article(typeWord(ty)))
		return nil
	}
	out := map[string]string{}
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if e.IsNull() || !e.IsKnown() {
			continue
		}
		s, ok := toText(e)
		if !ok {
			a.fail(name, sumInvalidType, "The tag %q must be a string, a number or a bool; this is %s.", k.AsString(), article(typeWord(e.Type())))
			continue
		}
		out[k.AsString()] = s
	}
	return out
}

// plainTags reads tags as most are written, an object whose keys are plain and whose values are texts, numbers, bools or null,
// without making an object of them. It gives up at anything else.
func (a *arguments) plainTags(name string) (map[string]string, bool) {
	attr := a.body.Attributes[name]
	if attr == nil {
		return nil, true
	}
	written, ok := attr.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		return nil, false
	}
	meter := a.loader().meter
	left := meter.allowance()
	out := make(map[string]string, len(written.Items))
	for _, item := range written.Items {
		key, plain := plainKey(item.KeyExpr)
		if !plain || meter.over {
			return nil, false
		}
		v := a.env.eval(item.ValueExpr)
		meter.spent()
		left.elements--
		meter.measure(v, &left, meter.limits.Nesting-1)
		if a.env.over(item.ValueExpr, meter.over) {
			return nil, false
		}
		if s, ok := toText(v); ok {
			out[key] = s
		} else if v.IsMarked() || !v.IsKnown() || !v.IsNull() {
			return nil, false
		}
	}
	return out, true
}

// plainKey is the key of an object's item when it is a name or a text.
func plainKey(x hclsyntax.Expression) (string, bool) {
	key, ok := x.(*hclsyntax.ObjectConsKeyExpr)
	if !ok || key.ForceNonLiteral {
		return "", false
	}
	if v, ok := literal(key.Wrapped); ok {
		return toText(v)
	}
	word := hcl.ExprAsKeyword(key.Wrapped)
	return cty.NormalizeString(word), word != ""
}

// texts reads a list or set of strings.
func (a *arguments) texts(name string) []string {
	v, ok := a.value(name)
	if !ok {
		return nil
	}
	ty := v.Type()
	if !ty.IsTupleType() && !ty.IsListType() && !ty.IsSetType() {
		a.fail(name, sumInvalidType, "%s must be a list of strings; this is %s.", name, article(typeWord(ty)))
		return nil
	}
	var out []string
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		s, ok := toText(e)
		if !ok {
			if e.IsKnown() {
				a.fail(name, sumInvalidType, "%s must be a list of strings, and an element of it is none.", name)
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// oneOf reads a string out of a few.
func (a *arguments) oneOf(name, def string, allowed ...string) string {
	s, ok := a.text(name)
	if !ok {
		return def
	}
	if !slices.Contains(allowed, s) {
		a.fail(name, sumInvalidValue, "%s is %s, and must be one of %s.%s", name, strconv.Quote(s), quotedList(allowed), suggest.Sentence(s, allowed))
		return def
	}
	return s
}

func quotedList(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strconv.Quote(n)
	}
	return listed(quoted)
}

// merge joins tags; later ones win.
func merge(sets ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, s := range sets {
		maps.Copy(out, s)
	}
	return out
}
