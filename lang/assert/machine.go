package assert

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/netpupper/netp/lang/diag"
)

// value is what an expression may be, as far as it is known: a number between two
// bounds, a truth, or anything else, which is then a known constant or not known.
type value struct {
	kind  valueKind
	num   interval
	truth truth
	other cty.Value // of kind otherValue; cty.NilVal when not known
}

type valueKind int8

const (
	otherValue valueKind = iota
	numberValue
	truthValue
)

func number(i interval) value { return value{kind: numberValue, num: i} }
func verdict(t truth) value   { return value{kind: truthValue, truth: t} }

// null says that a value is known to be none.
func (v value) null() bool { return v.kind == otherValue && v.other != cty.NilVal && v.other.IsNull() }

// nothing is the value of an expression that could not be evaluated.
func nothing() value { return value{other: cty.NilVal} }

// machine evaluates one expression. The same machine checks a suite (metrics stand
// for any number, every fault is collected) and judges a session.
type machine struct {
	src     string
	metrics map[string]interval // by name as written
	roots   map[string]bool     // first parts of metric names
	context *hcl.EvalContext    // constants, units and functions
	calls   map[string]cty.Value
	depth   int
	// check takes note of constants when a suite is loaded; nil when judging.
	check *compiler
	// filler stands in a template for what is not known; "" makes the whole not known.
	filler string
	// problems is what is wrong with the expression itself.
	problems []Problem
	// undefined says in a sentence why a value has no bounds (a division by zero).
	undefined string
}

const maxDepth = 100

func (m *machine) report(summary string, at hcl.Range, format string, args ...any) value {
	m.problems = append(m.problems, Problem{
		Summary: summary, Detail: fmt.Sprintf(format, args...), Start: at.Start.Byte, End: at.End.Byte,
	})
	return nothing()
}

// eval gives what is known of an expression.
func (m *machine) eval(e hclsyntax.Expression) value {
	if m.depth++; m.depth > maxDepth {
		m.depth--
		return m.report(sumInvalid, e.Range(), "The expression is nested deeper than %d levels. Split it into several assertions.", maxDepth)
	}
	defer func() { m.depth-- }()
	if !m.usesMetric(e) {
		return m.constant(e)
	}
	switch e := e.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		return m.metric(e)
	case *hclsyntax.ParenthesesExpr:
		return m.eval(e.Expression)
	case *hclsyntax.BinaryOpExpr:
		return m.binary(e)
	case *hclsyntax.UnaryOpExpr:
		return m.unary(e)
	case *hclsyntax.ConditionalExpr:
		return m.conditional(e)
	case *hclsyntax.FunctionCallExpr:
		return m.call(e)
	case *hclsyntax.TemplateWrapExpr:
		return m.eval(e.Wrapped)
	case *hclsyntax.TemplateExpr:
		return m.template(e)
	}
	return m.report(sumInvalid, e.Range(), "A metric cannot be used in this kind of expression. Use metrics in arithmetic, comparisons, logic and function calls only.")
}

// usesMetric reports whether any part of the expression refers to a metric.
func (m *machine) usesMetric(e hclsyntax.Expression) bool {
	for _, t := range e.Variables() {
		if m.roots[t.RootName()] {
			return true
		}
	}
	return false
}

func (m *machine) metric(e *hclsyntax.ScopeTraversalExpr) value {
	if i, ok := m.metrics[dotted(e.Traversal)]; ok {
		return number(i)
	}
	// Compile has reported the name already.
	return number(anyNumber)
}

// constant evaluates what needs no metric. Calls were made at load time.
func (m *machine) constant(e hclsyntax.Expression) value {
	if v, ok := m.calls[m.text(e)]; ok {
		return known(v)
	}
	v, diags := e.Value(m.context)
	m.reportHCL(diags)
	if diags.HasErrors() || m.check != nil && !m.check.constant(m, e, v) {
		return nothing()
	}
	return known(v)
}

func (m *machine) text(e hclsyntax.Expression) string {
	r := e.Range()
	if r.Start.Byte < 0 || r.End.Byte > len(m.src) || r.Start.Byte > r.End.Byte {
		return ""
	}
	return m.src[r.Start.Byte:r.End.Byte]
}

// known classifies a constant.
func known(v cty.Value) value {
	v, _ = v.UnmarkDeep()
	if !v.IsWhollyKnown() || v.IsNull() {
		if v.IsKnown() {
			return value{other: v}
		}
		return nothing()
	}
	switch v.Type() {
	case cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return number(exactly(f))
	case cty.Bool:
		return verdict(truthOf(v.True()))
	}
	return value{other: v}
}

// asNumber converts as the language does: "5" is 5.
func (m *machine) asNumber(v value, at hclsyntax.Expression) interval {
	switch {
	case v.kind == numberValue:
		return v.num
	case v.kind == otherValue && v.other == cty.NilVal:
		return anyNumber
	case v.kind == otherValue:
		if n, err := convert.Convert(v.other, cty.Number); err == nil && !n.IsNull() {
			return known(n).num
		}
	}
	m.report(sumInvalid, at.Range(), "%s is not a number. In a condition a limit is a number times its unit: 5 * ms, 1 * percent, 10 * Mbps.", m.text(at))
	return anyNumber
}

func (m *machine) asTruth(v value, at hclsyntax.Expression) truth {
	switch {
	case v.kind == truthValue:
		return v.truth
	case v.kind == otherValue && v.other == cty.NilVal:
		return unknown
	case v.kind == otherValue:
		if b, err := convert.Convert(v.other, cty.Bool); err == nil && !b.IsNull() {
			return known(b).truth
		}
	}
	m.report(sumInvalid, at.Range(), "%s is neither true nor false. Compare it with something.", m.text(at))
	return unknown
}

// asText writes a value as people read it; false when it is not known.
func (m *machine) asText(v value, at hclsyntax.Expression) (string, bool) {
	text, ok := v.text()
	switch {
	case ok || v.kind != otherValue || v.other == cty.NilVal:
	case v.null():
		m.report(sumInvalid, at.Range(), "%s is null, which cannot stand in a text. Write coalesce() with what is to stand there instead.", m.text(at))
	default:
		m.report(sumInvalid, at.Range(), "%s is neither text nor number, true nor false, and nothing else can stand in a text. Write join() or jsonencode() around it.", m.text(at))
	}
	return text, ok
}

// operators names the operators by their operation.
func operator(op *hclsyntax.Operation) string {
	switch op {
	case hclsyntax.OpLogicalOr:
		return "||"
	case hclsyntax.OpLogicalAnd:
		return "&&"
	case hclsyntax.OpLogicalNot:
		return "!"
	case hclsyntax.OpEqual:
		return "=="
	case hclsyntax.OpNotEqual:
		return "!="
	case hclsyntax.OpGreaterThan:
		return ">"
	case hclsyntax.OpGreaterThanOrEqual:
		return ">="
	case hclsyntax.OpLessThan:
		return "<"
	case hclsyntax.OpLessThanOrEqual:
		return "<="
	case hclsyntax.OpAdd:
		return "+"
	case hclsyntax.OpSubtract, hclsyntax.OpNegate:
		return "-"
	case hclsyntax.OpMultiply:
		return "*"
	case hclsyntax.OpDivide:
		return "/"
	case hclsyntax.OpModulo:
		return "%"
	}
	return ""
}

func (m *machine) binary(e *hclsyntax.BinaryOpExpr) value {
	left, right := m.eval(e.LHS), m.eval(e.RHS)
	op := operator(e.Op)
	switch op {
	case "&&":
		return verdict(m.asTruth(left, e.LHS).and(m.asTruth(right, e.RHS)))
	case "||":
		return verdict(m.asTruth(left, e.LHS).or(m.asTruth(right, e.RHS)))
	case "==":
		return verdict(m.same(e, left, right))
	case "!=":
		return verdict(m.same(e, left, right).not())
	}
	a, b := m.asNumber(left, e.LHS), m.asNumber(right, e.RHS)
	switch op {
	case "+":
		return number(a.add(b))
	case "-":
		return number(a.sub(b))
	case "*":
		return number(a.mul(b))
	case "/":
		m.checkDivisor(b, e.RHS)
		return number(a.div(b))
	case "%":
		m.checkDivisor(b, e.RHS)
		return number(a.mod(b))
	}
	return verdict(compare(op, a, b))
}

func (m *machine) checkDivisor(b interval, at hclsyntax.Expression) {
	if b != exactly(0) {
		return
	}
	if !m.usesMetric(at) {
		m.report(sumInvalid, at.Range(), "This divides by zero.")
		return
	}
	m.undefined = fmt.Sprintf("%s is zero and something is divided by it.", m.text(at))
}

// same answers ==: beside a number the other side must be one, too, and beside a truth a truth.
func (m *machine) same(e *hclsyntax.BinaryOpExpr, left, right value) truth {
	switch {
	case left.kind == numberValue || right.kind == numberValue:
		left, right = number(m.asNumber(left, e.LHS)), number(m.asNumber(right, e.RHS))
	case left.kind == truthValue || right.kind == truthValue:
		left, right = verdict(m.asTruth(left, e.LHS)), verdict(m.asTruth(right, e.RHS))
	}
	return equal(left, right)
}

// equal compares values of any kind; those of different kinds differ.
func equal(a, b value) truth {
	switch {
	case a.kind == numberValue && b.kind == numberValue:
		return compare("==", a.num, b.num)
	case a.kind == truthValue && b.kind == truthValue:
		if a.truth == unknown || b.truth == unknown {
			return unknown
		}
		return truthOf(a.truth == b.truth)
	case a.kind == otherValue && a.other == cty.NilVal, b.kind == otherValue && b.other == cty.NilVal:
		return unknown
	case a.kind != b.kind:
		return no
	}
	if r := a.other.Equals(b.other); r.IsKnown() {
		return truthOf(r.True())
	}
	return unknown
}

func (m *machine) unary(e *hclsyntax.UnaryOpExpr) value {
	v := m.eval(e.Val)
	if e.Op == hclsyntax.OpLogicalNot {
		return verdict(m.asTruth(v, e.Val).not())
	}
	return number(m.asNumber(v, e.Val).neg())
}

func (m *machine) conditional(e *hclsyntax.ConditionalExpr) value {
	which := m.asTruth(m.eval(e.Condition), e.Condition)
	a, b := m.eval(e.TrueResult), m.eval(e.FalseResult)
	switch {
	case which == yes:
		return a
	case which == no:
		return b
	case a.kind == numberValue && b.kind == numberValue:
		return number(hull(a.num, b.num))
	case a.kind == truthValue && b.kind == truthValue:
		if a.truth == b.truth {
			return a
		}
		return verdict(unknown)
	case equal(a, b) == yes:
		return a
	}
	return nothing()
}

// call applies a function to arguments of which some are metrics.
func (m *machine) call(e *hclsyntax.FunctionCallExpr) value {
	if _, declared := m.context.Functions[e.Name]; !declared && !intervalFunction(e.Name) {
		return m.unknownFunction(e)
	}
	if e.ExpandFinal {
		return m.report(sumInvalid, e.Range(), "Arguments with metrics cannot be expanded with \"...\".")
	}
	f, ok := metricFunctions()[e.Name]
	if !ok {
		return m.report(sumInvalid, e.NameRange, "The function %q cannot take metrics: they are known only after the session. It can be used on constants.", e.Name)
	}
	args := make([]value, len(e.Args))
	for i, a := range e.Args {
		args[i] = m.eval(a)
	}
	switch {
	case intervalFunction(e.Name):
		return m.arithmetic(e, args)
	case (e.Name == "pow" || e.Name == "log") && len(args) == 2:
		a, b := m.asNumber(args[0], e.Args[0]), m.asNumber(args[1], e.Args[1])
		if a.point() && b.point() {
			break // the language says where there is no result
		}
		if e.Name == "pow" {
			return number(a.pow(b))
		}
		return number(a.log(b))
	}
	return m.apply(e, f, args)
}

func intervalFunction(name string) bool {
	switch name {
	case "min", "max", "abs", "ceil", "floor", "signum":
		return true
	}
	return false
}

// arithmetic is the functions that keep intervals.
func (m *machine) arithmetic(e *hclsyntax.FunctionCallExpr, args []value) value {
	nums := make([]interval, len(args))
	for i, v := range args {
		nums[i] = m.asNumber(v, e.Args[i])
	}
	if e.Name != "min" && e.Name != "max" && len(nums) != 1 {
		return m.report(sumInvalid, e.Range(), "%s takes one argument.", e.Name)
	}
	out := nums[0]
	for _, n := range nums[1:] {
		if e.Name == "min" {
			out = least(out, n)
		} else {
			out = greatest(out, n)
		}
	}
	switch e.Name {
	case "abs":
		out = out.abs()
	case "ceil":
		out = out.monotone(math.Ceil)
	case "floor":
		out = out.monotone(math.Floor)
	case "signum":
		out = out.monotone(sign)
	}
	return number(out)
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// apply calls a function whose result is known only when its arguments are points.
func (m *machine) apply(e *hclsyntax.FunctionCallExpr, f function.Function, args []value) value {
	vals := make([]cty.Value, len(args))
	for i, a := range args {
		vals[i] = a.cty()
	}
	for i := range vals {
		param := f.VarParam()
		if i < len(f.Params()) {
			param = &f.Params()[i]
		}
		if param == nil || i >= len(vals) {
			return m.report(sumInvalid, e.Range(), "%s takes %d arguments, not %d.", e.Name, len(f.Params()), len(vals))
		}
		v, err := convert.Convert(vals[i], param.Type)
		if err != nil {
			return m.report(sumInvalid, e.Args[i].Range(), "This argument of %s does not fit: %s.", e.Name, err)
		}
		vals[i] = v
	}
	out, err := f.Call(vals)
	if err != nil {
		return m.report(sumInvalid, e.Range(), "%s", diag.Plain(fmt.Sprintf("%s: %s.", e.Name, err)))
	}
	if !out.IsWhollyKnown() {
		return unknownOf(out.Type())
	}
	return known(out)
}

func unknownOf(t cty.Type) value {
	switch t {
	case cty.Number:
		return number(anyNumber)
	case cty.Bool:
		return verdict(unknown)
	}
	return nothing()
}

// cty gives the value to functions; a number that is no point is unknown.
func (v value) cty() cty.Value {
	switch {
	case v.kind == numberValue && v.num.point():
		return cty.NumberFloatVal(v.num.low)
	case v.kind == numberValue:
		return cty.UnknownVal(cty.Number)
	case v.kind == truthValue && v.truth == unknown:
		return cty.UnknownVal(cty.Bool)
	case v.kind == truthValue:
		return cty.BoolVal(v.truth == yes)
	case v.other == cty.NilVal:
		return cty.DynamicVal
	}
	return v.other
}

// template joins the parts of a text.
func (m *machine) template(e *hclsyntax.TemplateExpr) value {
	var b strings.Builder
	whole := true
	for _, part := range e.Parts {
		text, ok := m.asText(m.eval(part), part)
		if !ok {
			whole = false
			text = m.filler
		}
		b.WriteString(text)
	}
	if !whole && m.filler == "" {
		return nothing()
	}
	return value{other: cty.StringVal(b.String())}
}

// text is the value as people read it, if it is known.
func (v value) text() (string, bool) {
	switch {
	case v.kind == numberValue:
		return strconv.FormatFloat(v.num.low, 'g', 12, 64), v.num.point()
	case v.kind == truthValue:
		return strconv.FormatBool(v.truth == yes), v.truth != unknown
	case v.other == cty.NilVal || v.other.IsNull():
		return "", false
	}
	s, err := convert.Convert(v.other, cty.String)
	if err != nil {
		return "", false
	}
	return s.AsString(), true
}
