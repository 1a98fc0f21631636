package lang

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp/lang/diag"
)

// sensitive marks values that must not be shown or stored.
type mark string

const sensitive mark = "sensitive"

// containsMarked reports whether a value or something in it is marked.
func containsMarked(v cty.Value) bool {
	if v.IsMarked() {
		return true
	}
	ty := v.Type()
	switch {
	case !v.IsKnown():
		return v.ContainsMarked()
	case ty.IsPrimitiveType() || v.IsNull() || !v.CanIterateElements():
		return false
	}
	if ty.IsObjectType() {
		for name := range ty.AttributeTypes() {
			if containsMarked(v.GetAttr(name)) {
				return true
			}
		}
		return false
	}
	for it := v.ElementIterator(); it.Next(); {
		if _, e := it.Element(); containsMarked(e) {
			return true
		}
	}
	return false
}

// valuesOf says what the references of a failing expression stood for.
func valuesOf(e hcl.Expression, ctx *hcl.EvalContext) []diag.Value {
	out := []diag.Value{}
	seen := map[string]bool{}
	for _, t := range e.Variables() {
		name := traversalString(t)
		if seen[name] || len(out) == 10 {
			continue
		}
		seen[name] = true
		v, ds := t.TraverseAbs(ctx)
		if ds.HasErrors() {
			continue
		}
		if s := statement(v); s != "" {
			out = append(out, diag.Value{Traversal: name, Statement: s})
		}
	}
	return out
}

// statement describes a value in a few words; "" when there is nothing to say.
func statement(v cty.Value) string {
	switch {
	case v.HasMark(sensitive):
		return "has a sensitive value"
	case !v.IsKnown():
		return ""
	case v.IsNull():
		return "is null"
	}
	v, _ = v.Unmark()
	ty := v.Type()
	switch {
	case ty == cty.String:
		s := []rune(v.AsString())
		if len(s) > 60 {
			s = append(s[:60], '…')
		}
		return "is " + strconv.Quote(string(s))
	case ty == cty.Number:
		return "is " + numberText(v)
	case ty == cty.Bool:
		return "is " + strconv.FormatBool(v.True())
	case ty.IsObjectType():
		return fmt.Sprintf("is an object with %s", counted(len(ty.AttributeTypes()), "attribute"))
	case ty.IsCollectionType() || ty.IsTupleType():
		return fmt.Sprintf("is a %s with %s", typeWord(ty), counted(v.LengthInt(), "element"))
	}
	return "is " + article(ty.FriendlyName())
}

func typeWord(ty cty.Type) string {
	switch {
	case ty.IsTupleType():
		return "tuple"
	case ty.IsListType():
		return "list"
	case ty.IsSetType():
		return "set"
	case ty.IsMapType():
		return "map"
	case ty.IsObjectType():
		return "object"
	}
	return ty.FriendlyName()
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// numberText writes a number as people do, short of 25 digits.
func numberText(v cty.Value) string {
	f := v.AsBigFloat()
	if i, acc := f.Int64(); acc == 0 {
		return strconv.FormatInt(i, 10)
	}
	return f.Text('g', 12)
}

// traversalString writes a reference as in the source: profile.udp.voice["a"].
func traversalString(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			b.WriteByte('[')
			key, _ := s.Key.Unmark()
			if key.Type() == cty.String {
				b.WriteString(strconv.Quote(key.AsString()))
			} else if key.Type() == cty.Number {
				b.WriteString(numberText(key))
			}
			b.WriteByte(']')
		case hcl.TraverseSplat:
			b.WriteString("[*]")
		}
	}
	return b.String()
}

// literal returns the value of an expression that refers to nothing: the usual
// case of attributes, and the fast one.
func literal(e hclsyntax.Expression) (cty.Value, bool) {
	switch t := e.(type) {
	case *hclsyntax.LiteralValueExpr:
		return t.Val, true
	case *hclsyntax.TemplateExpr:
		if len(t.Parts) == 1 {
			if l, ok := t.Parts[0].(*hclsyntax.LiteralValueExpr); ok && l.Val.Type() == cty.String {
				return l.Val, true
			}
		}
		if len(t.Parts) == 0 {
			return cty.StringVal(""), true
		}
	}
	return cty.NilVal, false
}
