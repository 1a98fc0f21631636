package assert

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/netpupper/netp"
)

// Problem is a fault in an assertion's text.
type Problem struct {
	Summary string // fixed, without names: "Unknown metric"
	Detail  string // full sentences: what is wrong and how to mend it
	// Message is true when the fault is in the message, false when in the condition.
	Message bool
	// Start and End are byte offsets into that text.
	Start, End int
}

// The summaries of problems.
const (
	sumUnknownMetric    = "Unknown metric"
	sumNeedsMember      = "Metric needs a member"
	sumDirection        = "Ambiguous direction"
	sumUnknownFunction  = "Unknown function"
	sumUnknownReference = "Unknown reference"
	sumNotBool          = "Condition is not true or false"
	sumNoMetric         = "Condition uses no metric"
	sumSensitive        = "Sensitive value in an assertion"
	sumInvalid          = "Invalid expression"
)

// Source is an assertion as written, with what its expressions may refer to.
type Source struct {
	Name     string
	Severity netp.Severity
	// Condition and Message are the texts of the expressions; Message may be "".
	Condition, Message string
	// Constants are the roots in scope besides metrics and units: var, local, each, ...
	Constants map[string]cty.Value
	// Kind and Metrics say what the sessions measure; Metrics as netp.Directed gives them.
	Kind    netp.Kind
	Metrics []netp.MetricSpec
	// Functions are those of the language; calls without metrics are made here, once.
	Functions  map[string]function.Function
	Confidence float64
	Location   netp.Location
}

// Compile checks an assertion and makes it plain data. It collects all problems;
// the assertion is of use only when there are none.
func Compile(in Source) (Assertion, []Problem) {
	c := compiler{in: in, metrics: map[string]bool{}, keep: map[string]cty.Value{}, calls: map[string]cty.Value{}}
	problems := c.expression(in.Condition, false)
	if len(problems) == 0 {
		problems = c.checkCondition()
	}
	metrics := slices.Sorted(maps.Keys(c.metrics))
	if in.Message != "" {
		problems = append(problems, c.expression(in.Message, true)...)
		if c.checked.null() { // as if it were not there
			in.Message = ""
		}
	}
	out := Assertion{
		Name: in.Name, Severity: in.Severity, Condition: in.Condition, Message: in.Message,
		Confidence: in.Confidence, Location: in.Location,
		Metrics: metrics,
	}
	if out.Severity == "" {
		out.Severity = netp.SeverityError
	}
	constants, err := c.constants()
	if err != nil {
		problems = append(problems, Problem{Summary: sumInvalid, Detail: fmt.Sprintf("A value cannot be kept: %s.", err), End: len(in.Condition)})
	}
	out.Constants = constants
	return out, problems
}

// compiler gathers what the expressions of one assertion refer to.
type compiler struct {
	in      Source
	metrics map[string]bool
	keep    map[string]cty.Value // constants by root
	calls   map[string]cty.Value // by text
	checked value                // of the expression last checked
}

// expression parses and checks one text.
func (c *compiler) expression(text string, message bool) []Problem {
	e, problems := parse(text)
	if len(problems) == 0 {
		m := c.machine(text, message)
		c.resolve(m, e)
		c.checked = m.eval(e)
		if wrap, ok := e.(*hclsyntax.TemplateWrapExpr); ok && message {
			m.asText(c.checked, wrap.Wrapped)
		} else if message && !c.checked.null() {
			m.asText(c.checked, e)
		}
		problems = m.problems
	}
	for i := range problems {
		problems[i].Message = message
	}
	return problems
}

// machine makes one in which metrics stand for any number.
func (c *compiler) machine(text string, message bool) *machine {
	m := &machine{
		src: text, metrics: map[string]interval{}, roots: map[string]bool{},
		context: &hcl.EvalContext{Variables: Units(), Functions: c.in.Functions},
		check:   c,
	}
	if message {
		m.filler = "unknown"
	}
	maps.Copy(m.context.Variables, c.in.Constants)
	for _, s := range c.in.Metrics {
		root, _, _ := strings.Cut(s.Name, ".")
		m.roots[root] = true
	}
	return m
}

// checkCondition checks the condition as a whole, whose parts are sound.
func (c *compiler) checkCondition() []Problem {
	p := Problem{Start: 0, End: len(c.in.Condition)}
	switch {
	case c.checked.kind != truthValue:
		p.Summary = sumNotBool
		p.Detail = "A condition must be true or false. Compare the value with a limit: loss.ratio <= 1 * percent."
	case len(c.metrics) == 0:
		p.Summary = sumNoMetric
		p.Detail = "This condition says the same whatever is measured. " + c.offered()
	default:
		return nil
	}
	return []Problem{p}
}

// constant takes note of a part that needs no metric: the value of one with a call
// is kept itself, of others the constants they refer to.
func (c *compiler) constant(m *machine, e hclsyntax.Expression, v cty.Value) bool {
	if v.ContainsMarked() {
		m.report(sumSensitive, e.Range(), "%s is sensitive, and an assertion is shown in plans, records and logs. Use a value that is not sensitive.", m.text(e))
		return false
	}
	if !v.IsWhollyKnown() {
		m.report(sumInvalid, e.Range(), "The value of %s is not known when the suite is loaded.", m.text(e))
		return false
	}
	if hasCall(e) {
		c.calls[m.text(e)] = v
		return true
	}
	for _, t := range e.Variables() {
		c.keepPart(t)
	}
	return true
}

// keepPart keeps root.attribute of a constant, or the whole root where the
// reference does not name an attribute.
func (c *compiler) keepPart(t hcl.Traversal) {
	root := t.RootName()
	v, ok := c.in.Constants[root]
	if !ok {
		return
	}
	attr := ""
	if len(t) > 1 {
		if step, ok := t[1].(hcl.TraverseAttr); ok && v.Type().IsObjectType() && v.Type().HasAttribute(step.Name) {
			attr = step.Name
		}
	}
	if attr == "" {
		c.keep[root] = v
		return
	}
	part := map[string]cty.Value{}
	if old, ok := c.keep[root]; ok {
		if old.Type().HasAttribute(attr) {
			return
		}
		part = old.AsValueMap()
		if part == nil {
			part = map[string]cty.Value{}
		}
	}
	part[attr] = v.GetAttr(attr)
	c.keep[root] = cty.ObjectVal(part)
}

// callsRoot is the root in Assertion.Constants that holds the values of calls.
const callsRoot = "()"

func (c *compiler) constants() (json.RawMessage, error) {
	if len(c.calls) > 0 {
		c.keep[callsRoot] = cty.ObjectVal(c.calls)
	}
	if len(c.keep) == 0 {
		return nil, nil
	}
	out := map[string]json.RawMessage{}
	for root, v := range c.keep {
		v, _ = v.UnmarkDeep()
		text, err := ctyjson.Marshal(v, cty.DynamicPseudoType)
		if err != nil {
			return nil, err
		}
		out[root] = text
	}
	return json.Marshal(out)
}

func hasCall(e hclsyntax.Expression) bool {
	found := false
	hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		_, call := n.(*hclsyntax.FunctionCallExpr)
		found = found || call
		return nil
	})
	return found
}

// maxLength bounds the text of a condition or message [bytes].
const maxLength = 16 << 10

// parse reads an expression within bounds that keep the parser's recursion small.
func parse(text string) (hclsyntax.Expression, []Problem) {
	whole := Problem{Summary: sumInvalid, End: len(text)}
	if len(text) > maxLength {
		whole.Detail = fmt.Sprintf("The expression has %d bytes, more than %d. Split it into several assertions.", len(text), maxLength)
		return nil, []Problem{whole}
	}
	// A heredoc at the end of the text ends with the line after it.
	src := []byte(text + "\n")
	tokens, _ := hclsyntax.LexExpression(src, "", hcl.InitialPos)
	depth := 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenOBrace, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenCBrace, hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
		if depth > maxDepth {
			whole.Detail = fmt.Sprintf("The expression is nested deeper than %d levels. Split it into several assertions.", maxDepth)
			return nil, []Problem{whole}
		}
	}
	e, diags := hclsyntax.ParseExpression(src, "", hcl.InitialPos)
	if !diags.HasErrors() {
		return e, nil
	}
	var problems []Problem
	for _, d := range diags {
		p := whole
		p.Detail = d.Detail
		if d.Subject != nil {
			p.Start, p.End = min(d.Subject.Start.Byte, len(text)), min(d.Subject.End.Byte, len(text))
		}
		problems = append(problems, p)
	}
	return nil, problems
}

// reportHCL turns the language's own findings into problems.
func (m *machine) reportHCL(diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		summary := sumInvalid
		switch d.Summary {
		case "Call to unknown function":
			summary = sumUnknownFunction
		case "Unknown variable", "Unsupported attribute", "Missing map element":
			summary = sumUnknownReference
		}
		at := hcl.Range{}
		if d.Subject != nil {
			at = *d.Subject
		}
		m.report(summary, at, "%s", d.Detail)
	}
}
