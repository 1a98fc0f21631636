package assert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/suggest"
)

// dotted is a reference as text: delay.p99; delay["p99"] is the same.
func dotted(t hcl.Traversal) string {
	var b strings.Builder
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(step.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + step.Name)
		case hcl.TraverseIndex:
			switch step.Key.Type() {
			case cty.String:
				b.WriteString("." + step.Key.AsString())
			case cty.Number: // delay.p99.9
				b.WriteString("." + step.Key.AsBigFloat().Text('g', 10))
			default:
				b.WriteString("[…]")
			}
		}
	}
	return b.String()
}

// languageRoots are the first words of references that are never metrics.
var languageRoots = []string{"var", "local", "agent", "agents", "path", "profile", "link", "sink", "module", "each", "self"}

// resolve finds the metrics an expression refers to and reports names that are
// nothing. A root that is unknown counts as a metric from then on, so that it is
// reported once.
func (c *compiler) resolve(m *machine, e hclsyntax.Expression) {
	reported := map[string]bool{}
	for _, t := range e.Variables() {
		root := t.RootName()
		_, constant := m.context.Variables[root]
		switch {
		case reported[root]:
		case m.roots[root]:
			c.resolveMetric(m, t)
		case constant:
		case slices.Contains(languageRoots, root):
			m.report(sumUnknownReference, t.SourceRange(), "There is no %q here.", dotted(t))
			m.roots[root], reported[root] = true, true
		default:
			c.unknownRoot(m, t)
			m.roots[root], reported[root] = true, true
		}
	}
}

func rootRange(t hcl.Traversal) hcl.Range { return t[:1].SourceRange() }

func (c *compiler) resolveMetric(m *machine, t hcl.Traversal) {
	name := dotted(t)
	if _, _, ok := netp.FindMetric(c.in.Metrics, name); ok {
		m.metrics[name] = anyNumber
		c.metrics[name] = true
		return
	}
	if below := c.below(name); len(below) > 0 {
		m.report(sumNeedsMember, t.SourceRange(), "%q has several figures. Write one of them: %s.", name, strings.Join(below, ", "))
		return
	}
	for _, s := range c.in.Metrics {
		if rest, ok := strings.CutPrefix(name, s.Name+"."); ok && s.Shape == netp.DistributionShape {
			m.report(sumUnknownMetric, t.SourceRange(), "%q has no figure %q.%s It has: %s.", s.Name, rest, suggest.Sentence(rest, netp.Members()), strings.Join(netp.Members(), ", "))
			return
		}
	}
	m.report(sumUnknownMetric, t.SourceRange(), "%s", c.unknownMetric(name))
}

// below lists the full names that start with name.
func (c *compiler) below(name string) []string {
	var out []string
	for _, full := range c.names() {
		if strings.HasPrefix(full, name+".") {
			out = append(out, full)
		}
	}
	return out
}

// names lists every metric as it is written in a condition.
func (c *compiler) names() []string {
	var out []string
	for _, s := range c.in.Metrics {
		if s.Shape != netp.DistributionShape {
			out = append(out, s.Name)
			continue
		}
		for _, member := range netp.Members() {
			out = append(out, s.Name+"."+member)
		}
	}
	return out
}

// unknownRoot reports a reference whose first word means nothing here.
func (c *compiler) unknownRoot(m *machine, t hcl.Traversal) {
	name := dotted(t)
	var twice []string
	for _, d := range []netp.Direction{netp.Forward, netp.Reverse} {
		full := string(d) + "." + name
		if _, _, ok := netp.FindMetric(c.in.Metrics, full); ok || len(c.below(full)) > 0 {
			twice = append(twice, full)
		}
	}
	if len(twice) == 2 {
		m.report(sumDirection, t.SourceRange(), "The sessions of this test measure both directions, each for itself. Write %s or %s.", twice[0], twice[1])
		return
	}
	root := t.RootName()
	if _, plain, _ := strings.Cut(name, "."); root == string(netp.Forward) || root == string(netp.Reverse) {
		if _, _, ok := netp.FindMetric(c.in.Metrics, plain); ok {
			m.report(sumUnknownMetric, rootRange(t), "The sessions of this test do not measure two directions, each for itself: %q does not stand before their metrics. Write %s.", root, plain)
			return
		}
	}
	if len(t) > 1 || c.near(root) != "" {
		m.report(sumUnknownMetric, rootRange(t), "%s", c.unknownMetric(root))
		return
	}
	units := slices.Sorted(maps.Keys(Units()))
	m.report(sumUnknownMetric, rootRange(t), "%q is neither a metric of the test nor a unit.%s The units are %s. %s",
		root, suggest.Sentence(root, units), strings.Join(units, ", "), c.offered())
}

func (c *compiler) unknownMetric(name string) string {
	return fmt.Sprintf("%s has no metric %q.%s %s", c.subject(), name, c.near(name), c.offered())
}

// near proposes a metric; "" when none is like the name.
func (c *compiler) near(name string) string {
	words := c.names()
	for _, s := range c.in.Metrics {
		words = append(words, s.Name)
	}
	return suggest.Sentence(name, words)
}

func (c *compiler) subject() string {
	if c.in.Kind == "" {
		return "This test"
	}
	return "A test of kind " + string(c.in.Kind)
}

// offered lists what the kind measures.
func (c *compiler) offered() string {
	var names []string
	for _, s := range c.in.Metrics {
		names = append(names, s.Name)
	}
	if len(names) == 0 {
		return "It has no metrics."
	}
	return "It has: " + strings.Join(names, ", ") + "."
}

func (m *machine) unknownFunction(e *hclsyntax.FunctionCallExpr) value {
	if strings.EqualFold(e.Name, "not") {
		return m.report(sumUnknownFunction, e.NameRange, "There is no function %q. Write ! for it: !(loss.ratio > 0).", e.Name)
	}
	names := slices.Sorted(maps.Keys(m.context.Functions))
	return m.report(sumUnknownFunction, e.NameRange, "There is no function %q.%s", e.Name, suggest.Sentence(e.Name, names))
}
