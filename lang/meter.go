package lang

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp/quantity"
)

// meter bounds the work of evaluating. Nothing can stop HCL's evaluator from
// outside, so the syntax tree is instrumented: every place where work or values
// multiply (elements of a for, parts of a template, items, operands, arguments)
// reports to the meter what it made and stops being evaluated once the meter is
// over a bound. Loops that are still running then fail at each element, so what
// remains is the sum of their lengths and not the product.
type meter struct {
	limits   Limits
	steps    int64
	ticks    int
	deadline time.Time
	text     int  // bytes of strings made in the expression being evaluated
	over     bool // and stays so: the suite is refused
	reason   string
	secrets  secrets           // nil when nobody shows diagnostics
	fraction map[string]string // the texts of numbers that are not whole, see written
}

// maxTextPerValue bounds the strings in one value, in units of Limits.StringBytes.
const maxTextPerValue = 8

// extent is what a value may still have.
type extent struct{ elements, text int }

// maxTextPerExpression bounds the strings one expression may hold at a time, in
// units of Limits.StringBytes.
const maxTextPerExpression = 32

// ticksPerLook is how many charges go by between two looks at the time.
const ticksPerLook = 4

// longText is a string whose handling alone takes long enough to look at once.
const longText = 64 << 10

// maxOperandText is the longest string that may stand where a number is needed [B].
const maxOperandText = 512

func newMeter(l Limits) *meter { return &meter{limits: l} }

// begin starts an expression; the time starts with the first.
func (m *meter) begin() {
	m.text = 0
	if m.deadline.IsZero() {
		m.deadline = time.Now().Add(m.limits.Time)
	}
}

// refuse puts the meter over its bounds for good.
func (m *meter) refuse(format string, args ...any) {
	if !m.over {
		m.over, m.reason = true, fmt.Sprintf(format, args...)
	}
}

// spent reports whether evaluation must stop.
func (m *meter) spent() bool {
	m.ticks++
	m.steps++
	if m.ticks%ticksPerLook == 0 && !m.deadline.IsZero() && time.Now().After(m.deadline) {
		m.refuse("Evaluating the suite takes longer than %s. Make its collections and loops smaller.", quantity.Duration(m.limits.Time))
	}
	if m.steps > m.limits.Steps {
		m.refuse("Evaluating the suite makes more than %d values. Make its collections and loops smaller.", m.limits.Steps)
	}
	return m.over
}

// charge counts a value that was made; false when it is over a bound.
func (m *meter) charge(v cty.Value) bool {
	if m.spent() {
		return false
	}
	size := m.allowance()
	m.measure(v, &size, m.limits.Nesting)
	m.steps += int64(m.limits.Elements - size.elements)
	return !m.over
}

// allowance is what a whole value may have.
func (m *meter) allowance() extent {
	return extent{elements: m.limits.Elements, text: maxTextPerValue * m.limits.StringBytes}
}

// made counts strings that were newly made, not merely referred to.
func (m *meter) made(v cty.Value) {
	v, _ = v.Unmark()
	if v == cty.NilVal || v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
		return
	}
	m.text += len(v.AsString())
	if m.text > maxTextPerExpression*m.limits.StringBytes {
		m.refuse("The strings of one expression have more than %d bytes in all.", maxTextPerExpression*m.limits.StringBytes)
	}
}

// measure walks a value until it is done or over a bound.
func (m *meter) measure(v cty.Value, left *extent, depth int) {
	if v.IsMarked() {
		v, _ = v.Unmark()
	}
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() {
		return
	}
	switch ty := v.Type(); {
	case ty == cty.String:
		n := len(v.AsString())
		left.text -= n
		if n > longText {
			m.ticks = -1
		}
		if manyDigits(v.AsString()) {
			m.refuse("A string begins with more than %d digits; to make a number of it would take too long.", longText)
		}
		if left.text < 0 {
			m.refuse("The strings of one value have more than %d bytes in all.", maxTextPerValue*m.limits.StringBytes)
		}
		if n > m.limits.StringBytes {
			m.refuse("A string has %d bytes; at most %d are allowed.", n, m.limits.StringBytes)
		}
	case ty == cty.Number:
		if f := v.AsBigFloat(); !f.IsInf() && (f.MantExp(nil) > 4*maxExponent || f.MantExp(nil) < -4*maxExponent) {
			m.refuse("A number is beyond 1e%d or below 1e-%d.", maxExponent, maxExponent)
		}
	case ty.IsPrimitiveType() || ty.IsCapsuleType():
	default:
		m.measureElements(v, left, depth)
	}
}

// manyDigits reports whether a string takes long where a number is made of it, or tried to, as many functions and types do unasked:
// the time grows with the square of the digits.
func manyDigits(s string) bool {
	if len(s) <= longText {
		return false
	}
	s = strings.TrimLeft(s, "+-0.")
	return len(s)-len(strings.TrimLeft(s, "0123456789.")) > longText
}

func (m *meter) measureElements(v cty.Value, left *extent, depth int) {
	if depth == 0 {
		m.refuse("A value is nested more than %d deep.", m.limits.Nesting)
		return
	}
	for it := v.ElementIterator(); it.Next(); {
		if left.elements--; left.elements < 0 {
			m.refuse("A value has more than %d elements in all.", m.limits.Elements)
		}
		if m.over {
			return
		}
		_, e := it.Element()
		m.measure(e, left, depth-1)
	}
}

// metered evaluates an expression under a meter. It looks like parentheses to
// everything that walks the tree.
type metered struct {
	*hclsyntax.ParenthesesExpr
	meter *meter
	role  role
}

// role is what is done with the value of a metered expression.
type role int

const (
	anyRole  role = iota
	part          // of a template, which copies it
	operand       // of arithmetic, which makes strings to numbers
	argument      // of a function, or a branch, which may make tuples to lists
	compared      // with another value, element by element
)

// Value evaluates unless the meter is over its bounds.
func (e metered) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if e.meter.spent() {
		return cty.DynamicVal, e.refusal()
	}
	v, ds := e.Expression.Value(ctx)
	v = e.meter.play(e.role, v)
	if _, ref := e.Expression.(*hclsyntax.ScopeTraversalExpr); ref && e.role != compared {
		return v, ds // what it names was measured when it was made
	}
	if !e.meter.charge(v) {
		return cty.DynamicVal, e.refusal()
	}
	return v, ds
}

// play prepares a value for what is done with it.
func (m *meter) play(r role, v cty.Value) cty.Value {
	switch r {
	case part:
		v = m.written(v)
		m.made(v)
	case operand:
		m.numeral(v)
	case argument:
		return m.uniform(v)
	}
	return v
}

// numeral measures what becomes of a string where a number is needed.
func (m *meter) numeral(v cty.Value) {
	v, _ = v.Unmark()
	if v == cty.NilVal || v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
		return
	}
	if len(v.AsString()) > maxOperandText {
		m.refuse("A string of more than %d bytes stands where a number is needed.", maxOperandText)
		return
	}
	if n, err := cty.ParseNumberVal(v.AsString()); err == nil {
		m.measure(n, &extent{}, 0)
	}
}

// UnwrapExpression gives static analysis the expression itself.
func (e metered) UnwrapExpression() hcl.Expression { return e.Expression }

func (e metered) refusal() hcl.Diagnostics {
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: sumTooMuch, Detail: e.meter.reason, Subject: e.Range().Ptr()}}
}

// instrumentBody instruments every expression of a body and of those in it.
func (m *meter) instrumentBody(b *hclsyntax.Body) {
	for _, a := range b.Attributes {
		m.instrument(a.Expr)
	}
	for _, inner := range b.Blocks {
		m.instrumentBody(inner.Body)
	}
}

// wrap instruments an expression and meters its own value.
func (m *meter) wrap(e hclsyntax.Expression) hclsyntax.Expression {
	if e == nil {
		return nil
	}
	if _, ok := e.(*hclsyntax.LiteralValueExpr); ok {
		return e
	}
	m.instrument(e)
	return metered{ParenthesesExpr: &hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}, meter: m}
}

// instrument meters the parts of an expression, in place.
func (m *meter) instrument(e hclsyntax.Expression) {
	switch t := e.(type) {
	case *hclsyntax.TemplateExpr:
		m.wrapAll(t.Parts, part)
	case *hclsyntax.TemplateWrapExpr:
		m.instrument(t.Wrapped)
	case *hclsyntax.TemplateJoinExpr:
		m.instrument(t.Tuple)
	case *hclsyntax.TupleConsExpr:
		m.wrapAll(t.Exprs, anyRole)
	case *hclsyntax.ObjectConsExpr:
		for i := range t.Items {
			m.instrument(t.Items[i].KeyExpr)
			t.Items[i].ValueExpr = m.wrap(t.Items[i].ValueExpr)
		}
	case *hclsyntax.ObjectConsKeyExpr:
		m.instrument(t.Wrapped)
	case *hclsyntax.ForExpr:
		t.CollExpr, t.KeyExpr, t.ValExpr, t.CondExpr = m.wrap(t.CollExpr), m.wrap(t.KeyExpr), m.wrap(t.ValExpr), m.wrap(t.CondExpr)
		t.ValExpr = m.always(t.ValExpr)
	case *hclsyntax.SplatExpr:
		t.Source, t.Each = m.wrap(t.Source), m.wrap(t.Each)
	case *hclsyntax.BinaryOpExpr:
		r := operand
		if t.Op == hclsyntax.OpEqual || t.Op == hclsyntax.OpNotEqual {
			r = compared
		}
		t.LHS, t.RHS = m.as(r, t.LHS), m.as(r, t.RHS)
	case *hclsyntax.UnaryOpExpr:
		t.Val = m.as(operand, t.Val)
	case *hclsyntax.ConditionalExpr:
		m.instrument(t.Condition)
		t.TrueResult, t.FalseResult = m.as(argument, t.TrueResult), m.as(argument, t.FalseResult)
	case *hclsyntax.FunctionCallExpr:
		m.wrapAll(t.Args, argument)
	case *hclsyntax.IndexExpr:
		t.Collection, t.Key = m.wrap(t.Collection), m.wrap(t.Key)
	case *hclsyntax.RelativeTraversalExpr:
		t.Source = m.wrap(t.Source)
	case *hclsyntax.ParenthesesExpr:
		m.instrument(t.Expression)
	}
}

func (m *meter) wrapAll(list []hclsyntax.Expression, r role) {
	for i := range list {
		list[i] = m.as(r, list[i])
	}
}

// as wraps an expression for a role.
func (m *meter) as(r role, e hclsyntax.Expression) hclsyntax.Expression {
	w, ok := m.wrap(e).(metered)
	if !ok {
		return e
	}
	w.role = r
	return w
}

// always meters even a literal: the value of a for is made once per element.
func (m *meter) always(e hclsyntax.Expression) hclsyntax.Expression {
	if _, ok := e.(metered); ok {
		return e
	}
	return metered{ParenthesesExpr: &hclsyntax.ParenthesesExpr{Expression: e, SrcRange: e.Range()}, meter: m}
}
