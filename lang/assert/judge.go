package assert

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/netpupper/netp"
)

// Judge evaluates the condition with every metric replaced by its interval: true
// for all values the intervals allow is a pass, false for all a fail, anything
// else inconclusive. lookup estimates a metric at the assertion's confidence, and
// gives its unit in any case; when it has no data the assertion can still fail on
// the others, and never passes. An assertion that cannot be evaluated at all (a
// damaged plan) is in error. Judge does not panic.
func (a Assertion) Judge(lookup func(metric string) (netp.Estimate, error)) (j netp.Judgement) {
	j = netp.Judgement{
		Assertion: a.Name, Severity: a.Severity, Condition: a.Condition, Location: a.Location,
	}
	defer func() {
		if r := recover(); r != nil {
			j.Status, j.Reason = netp.Errored, fmt.Sprintf("The condition could not be evaluated, a fault in netp: %v.", r)
		}
	}()
	e, m, err := a.prepare(a.Condition)
	if err != nil {
		j.Status, j.Reason = netp.Errored, fmt.Sprintf("The assertion cannot be judged: %s.", err)
		return j
	}
	g := gather(m.namesIn(e), lookup)
	maps.Copy(m.metrics, g.intervals())
	result := m.eval(e)
	if len(m.problems) > 0 || result.kind != truthValue {
		j.Status, j.Reason = netp.Errored, "The condition could not be evaluated."
		if len(m.problems) > 0 {
			j.Reason = "The condition could not be evaluated: " + m.problems[0].Detail
		}
		return j
	}
	comparisons := m.comparisons(e, false)
	j.Estimates = g.estimates
	for _, c := range comparisons {
		c.limit.Unit = g.unit(c.limit.Metric)
		j.Limits = append(j.Limits, c.limit)
	}
	j.Status = status(result.truth, g)
	j.Reason, j.Settle = explain(j.Status, comparisons, g, m.undefined)
	if j.Status != netp.Pass {
		j.Message = a.message(lookup)
	}
	return j
}

// status turns an answer into a verdict. A pass needs data on every metric, a fail
// on one at least.
func status(t truth, g gathered) netp.Status {
	switch {
	case t == yes && len(g.missing) == 0 && len(g.estimates) > 0:
		return netp.Pass
	case t == no && len(g.estimates) > 0:
		return netp.Fail
	}
	return netp.Inconclusive
}

// Comparisons lists the parts of the condition that compare a metric with a
// constant, as they must hold: under "!" the operator is turned round. Units are
// left empty, they are those of the metrics.
func (a Assertion) Comparisons() []netp.Limit {
	e, m, err := a.prepare(a.Condition)
	if err != nil {
		return nil
	}
	var out []netp.Limit
	for _, c := range m.comparisons(e, false) {
		out = append(out, c.limit)
	}
	return out
}

// prepare parses a text and makes the machine for it.
func (a Assertion) prepare(text string) (hclsyntax.Expression, *machine, error) {
	e, problems := parse(text)
	if len(problems) > 0 {
		return nil, nil, fmt.Errorf("read the expression: %s", strings.TrimSuffix(problems[0].Detail, "."))
	}
	m := &machine{
		src: text, metrics: map[string]interval{}, roots: map[string]bool{},
		context: &hcl.EvalContext{Variables: Units(), Functions: metricFunctions()},
	}
	var constants map[string]json.RawMessage
	if len(a.Constants) > 0 {
		if err := json.Unmarshal(a.Constants, &constants); err != nil {
			return nil, nil, fmt.Errorf("read the constants: %w", err)
		}
	}
	for root, text := range constants {
		v, err := ctyjson.Unmarshal(text, cty.DynamicPseudoType)
		if err != nil {
			return nil, nil, fmt.Errorf("read the constant %s: %w", root, err)
		}
		if root == callsRoot && v.CanIterateElements() && v.Type().IsObjectType() {
			m.calls = v.AsValueMap()
		} else {
			m.context.Variables[root] = v
		}
	}
	// Compile has checked every name: what is no constant, and not in a call made
	// then, is a metric.
	made := m.madeCalls(e)
	for _, t := range e.Variables() {
		at := t.SourceRange().Start.Byte
		inCall := slices.ContainsFunc(made, func(r hcl.Range) bool { return r.ContainsOffset(at) })
		if _, constant := m.context.Variables[t.RootName()]; !constant && !inCall {
			m.roots[t.RootName()] = true
		}
	}
	return e, m, nil
}

// madeCalls are the parts of an expression whose values Compile has kept.
func (m *machine) madeCalls(e hclsyntax.Expression) []hcl.Range {
	var out []hcl.Range
	if len(m.calls) == 0 {
		return nil
	}
	hclsyntax.VisitAll(e, func(n hclsyntax.Node) hcl.Diagnostics {
		if part, ok := n.(hclsyntax.Expression); ok {
			if _, kept := m.calls[m.text(part)]; kept {
				out = append(out, part.Range())
			}
		}
		return nil
	})
	return out
}

// namesIn lists the metrics an expression refers to, in its order, once each.
func (m *machine) namesIn(e hclsyntax.Expression) []string {
	var out []string
	for _, t := range e.Variables() {
		if name := dotted(t); m.roots[t.RootName()] && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// gathered is what is known of the metrics of one expression.
type gathered struct {
	estimates []netp.Estimate
	missing   []missing
}

type missing struct {
	metric, unit string
	err          error
}

func gather(names []string, lookup func(string) (netp.Estimate, error)) gathered {
	var g gathered
	for _, name := range names {
		e, err := lookup(name)
		if err == nil && (math.IsNaN(e.Point) || math.IsNaN(e.Low) || math.IsNaN(e.High)) {
			err = errors.New("the estimate is not a number")
		}
		if err != nil {
			g.missing = append(g.missing, missing{name, e.Unit, err})
			continue
		}
		e.Metric = name
		g.estimates = append(g.estimates, e)
	}
	return g
}

func (g gathered) intervals() map[string]interval {
	out := map[string]interval{}
	for _, e := range g.estimates {
		out[e.Metric] = boundsOf(e)
	}
	return out
}

func (g gathered) find(metric string) (netp.Estimate, bool) {
	for _, e := range g.estimates {
		if e.Metric == metric {
			return e, true
		}
	}
	return netp.Estimate{}, false
}

func (g gathered) unit(metric string) string {
	if at := slices.IndexFunc(g.missing, func(m missing) bool { return m.metric == metric }); at >= 0 {
		return g.missing[at].unit
	}
	e, _ := g.find(metric)
	return e.Unit
}

// boundsOf is the interval of an estimate; an open side has no bound.
func boundsOf(e netp.Estimate) interval {
	out := interval{e.Low, e.High}
	if e.OpenLow {
		out.low = math.Inf(-1)
	}
	if e.OpenHigh {
		out.high = math.Inf(1)
	}
	if out.low > out.high {
		return anyNumber
	}
	return out
}

// maxMessage bounds a message [bytes].
const maxMessage = 1 << 10

// message fills in the author's message with point figures; "unknown" stands for
// what has no data.
func (a Assertion) message(lookup func(string) (netp.Estimate, error)) string {
	if a.Message == "" {
		return ""
	}
	e, m, err := a.prepare(a.Message)
	if err != nil {
		return ""
	}
	m.filler = "unknown"
	for _, est := range gather(m.namesIn(e), lookup).estimates {
		m.metrics[est.Metric] = exactly(est.Point)
	}
	text, ok := m.eval(e).text()
	if !ok {
		return m.filler
	}
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage-len("…")], "") + "…"
	}
	return text
}

// comparison is a metric against a constant, and what the session says of it.
type comparison struct {
	limit netp.Limit
	truth truth
}

// comparisons finds them along the logic of a condition, but not in a branch that is not taken; negated turns them round.
func (m *machine) comparisons(e hclsyntax.Expression, negated bool) []comparison {
	switch e := e.(type) {
	case *hclsyntax.ParenthesesExpr:
		return m.comparisons(e.Expression, negated)
	case *hclsyntax.UnaryOpExpr:
		if e.Op == hclsyntax.OpLogicalNot {
			return m.comparisons(e.Val, !negated)
		}
	case *hclsyntax.ConditionalExpr:
		switch m.asTruth(m.eval(e.Condition), e.Condition) {
		case yes:
			return m.comparisons(e.TrueResult, negated)
		case no:
			return m.comparisons(e.FalseResult, negated)
		}
		return append(m.comparisons(e.TrueResult, negated), m.comparisons(e.FalseResult, negated)...)
	case *hclsyntax.BinaryOpExpr:
		if op := operator(e.Op); op == "&&" || op == "||" {
			return append(m.comparisons(e.LHS, negated), m.comparisons(e.RHS, negated)...)
		}
		if c, ok := m.comparison(e, negated); ok {
			return []comparison{c}
		}
	}
	return nil
}

func (m *machine) comparison(e *hclsyntax.BinaryOpExpr, negated bool) (comparison, bool) {
	op, metric, constant := operator(e.Op), e.LHS, e.RHS
	if !m.usesMetric(metric) {
		op, metric, constant = flipped(op), constant, metric
	}
	if negated {
		op = opposite(op)
	}
	t, ok := unwrap(metric).(*hclsyntax.ScopeTraversalExpr)
	if opposite(op) == "" || !ok || !m.usesMetric(metric) || m.usesMetric(constant) {
		return comparison{}, false
	}
	v := m.eval(constant)
	if v.kind != numberValue || !v.num.point() {
		return comparison{}, false
	}
	name := dotted(t.Traversal)
	i, ok := m.metrics[name]
	if !ok {
		i = anyNumber
	}
	return comparison{netp.Limit{Metric: name, Op: op, Value: v.num.low}, compare(op, i, v.num)}, true
}

func unwrap(e hclsyntax.Expression) hclsyntax.Expression {
	for {
		p, ok := e.(*hclsyntax.ParenthesesExpr)
		if !ok {
			return e
		}
		e = p.Expression
	}
}

// flipped is the operator with its sides exchanged.
func flipped(op string) string {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

// opposite is the operator of the negation; "" when op is no comparison.
func opposite(op string) string {
	switch op {
	case "<":
		return ">="
	case "<=":
		return ">"
	case ">":
		return "<="
	case ">=":
		return "<"
	case "==":
		return "!="
	case "!=":
		return "=="
	}
	return ""
}
