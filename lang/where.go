package lang

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
)

// whereNames are what `where` says of an agent.
var whereNames = []string{"address", "interfaces", "kinds", "name", "netns", "tags", "version"}

// Bounds of evaluating `where` once for one agent.
const (
	whereSteps = 1_000_000
	whereTime  = time.Second
)

// agentSet decodes an agents block.
func (in *instance) agentSet() cty.Value {
	l, a := in.scope.loader, in.arguments()
	value := cty.ObjectVal(map[string]cty.Value{"addr": cty.StringVal(in.addr), "name": cty.StringVal(in.name)})
	attr := a.body.Attributes["where"]
	if attr == nil {
		return value
	}
	text, rng := l.textOf(attr.Expr)
	w := &where{vars: in.constants(attr.Expr, whereNames)}
	if !w.compile(text, l.limits) {
		return value // the file's own parser has said why
	}
	if ds := w.check(); ds.HasErrors() {
		for _, d := range ds {
			if d.Subject != nil {
				*d.Subject = l.offsets(rng, text, d.Subject.Start.Byte, d.Subject.End.Byte)
			}
			d.Expression = nil
		}
		l.hcl(ds)
		return value
	}
	l.suite.AgentSets = append(l.suite.AgentSets, AgentSet{Addr: in.addr, Matches: w.matches, Where: text, Range: addressOf(in.rng)})
	return value
}

// constants resolves what an expression refers to besides the given names.
func (in *instance) constants(x hclsyntax.Expression, local []string) map[string]cty.Value {
	values, other := rootValues{}, map[string]cty.Value{}
	e := *in.env
	e.names = slices.Concat(e.names, local)
	for _, t := range hclsyntax.Variables(x) {
		e.refer(t, values, other)
	}
	vars := values.variables()
	maps.Copy(vars, other)
	in.env.addExtra(x, vars)
	return vars
}

// where is a condition over agents. It has a tree and a meter of its own, since
// it is evaluated long after the suite is loaded.
type where struct {
	vars      map[string]cty.Value
	functions map[string]function.Function
	tags      []string // that the condition names

	mu    sync.Mutex // guards meter
	meter *meter
	expr  hclsyntax.Expression
}

func (w *where) compile(text string, limits Limits) bool {
	e, fault, ds := parseExpression(text, "", hcl.Pos{Line: 1, Column: 1}, false, limits)
	if fault != nil || ds.HasErrors() {
		return false
	}
	for _, t := range hclsyntax.Variables(e) {
		if name, ok := stepName(t, 1); ok && t.RootName() == "tags" {
			w.tags = append(w.tags, name)
		}
	}
	limits.Steps, limits.Time = whereSteps, whereTime
	w.meter = newMeter(limits)
	w.functions = pureFunctions(w.meter)
	compareTags(e)
	w.meter.instrument(e)
	w.expr = e
	return true
}

// check evaluates the condition over an agent of which nothing is known.
func (w *where) check() hcl.Diagnostics {
	v, ds := w.eval(map[string]cty.Value{
		"name": cty.UnknownVal(cty.String), "address": cty.UnknownVal(cty.String), "netns": cty.UnknownVal(cty.String),
		"version": cty.UnknownVal(cty.String), "tags": cty.UnknownVal(cty.Map(cty.String)),
		"interfaces": cty.UnknownVal(cty.List(cty.String)), "kinds": cty.UnknownVal(cty.List(cty.String)),
	})
	if ds.HasErrors() {
		return ds
	}
	rng := w.expr.Range()
	if v.ContainsMarked() {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: sumSensitive, Subject: &rng,
			Detail: "where is shown in plans, and this condition depends on a sensitive value."}}
	}
	if ty := v.Type(); ty != cty.Bool && ty != cty.DynamicPseudoType {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: sumInvalidType, Subject: &rng,
			Detail: fmt.Sprintf("where must be true or false; this is %s. Compare it with something: tags.role == \"edge\".", article(typeWord(ty)))}}
	}
	return nil
}

func (w *where) eval(agent map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx := &hcl.EvalContext{Variables: unitConstants(), Functions: w.functions}
	ctx = ctx.NewChild()
	ctx.Variables = w.vars
	ctx = ctx.NewChild()
	ctx.Variables = agent
	*w.meter = meter{limits: w.meter.limits}
	w.meter.begin()
	return w.expr.Value(ctx)
}

// matches evaluates the condition for one agent.
func (w *where) matches(a netp.Agent) (bool, error) {
	tags := map[string]cty.Value{}
	for _, name := range w.tags {
		tags[name] = cty.NullVal(cty.String)
	}
	for k, v := range a.Tags {
		tags[k] = cty.StringVal(v)
	}
	var interfaces, kinds []string
	for _, i := range a.Interfaces {
		interfaces = append(interfaces, i.Name)
	}
	for _, k := range a.Kinds {
		kinds = append(kinds, string(k))
	}
	v, ds := w.eval(map[string]cty.Value{
		"name": cty.StringVal(string(a.Name)), "address": cty.StringVal(a.Address), "netns": cty.StringVal(a.Netns),
		"version": cty.StringVal(a.Version), "tags": cty.ObjectVal(tags),
		"interfaces": textList(interfaces), "kinds": textList(kinds),
	})
	if ds.HasErrors() {
		return false, errors.New(ds[0].Summary + ": " + strings.TrimSuffix(diag.Plain(ds[0].Detail), "."))
	}
	ok, known := truth(v)
	if !known || !v.IsKnown() {
		return false, errors.New("it is neither true nor false")
	}
	return ok, nil
}

func textList(list []string) cty.Value {
	if len(list) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	out := make([]cty.Value, len(list))
	for i, s := range list {
		out[i] = cty.StringVal(s)
	}
	return cty.ListVal(out)
}

// compareTags gives the comparisons of a condition the meaning that tags need:
// they are strings, so a number or bool on the other side converts them, and an
// absent one is null, which is equal to nothing and neither more nor less.
func compareTags(e hclsyntax.Expression) {
	walker := visitor(func(n hclsyntax.Node) {
		op, ok := n.(*hclsyntax.BinaryOpExpr)
		if !ok {
			return
		}
		switch op.Op {
		case hclsyntax.OpEqual:
			op.Op = tagOperation(func(a, b cty.Value) bool { return sameTag(a, b) })
		case hclsyntax.OpNotEqual:
			op.Op = tagOperation(func(a, b cty.Value) bool { return !sameTag(a, b) })
		case hclsyntax.OpLessThan:
			op.Op = tagOperation(func(a, b cty.Value) bool { c, ok := tagOrder(a, b); return ok && c < 0 })
		case hclsyntax.OpLessThanOrEqual:
			op.Op = tagOperation(func(a, b cty.Value) bool { c, ok := tagOrder(a, b); return ok && c <= 0 })
		case hclsyntax.OpGreaterThan:
			op.Op = tagOperation(func(a, b cty.Value) bool { c, ok := tagOrder(a, b); return ok && c > 0 })
		case hclsyntax.OpGreaterThanOrEqual:
			op.Op = tagOperation(func(a, b cty.Value) bool { c, ok := tagOrder(a, b); return ok && c >= 0 })
		}
	})
	_ = hclsyntax.Walk(e, walker) // the visitor makes no diagnostics
}

type visitor func(hclsyntax.Node)

// Enter calls the visitor.
func (v visitor) Enter(n hclsyntax.Node) hcl.Diagnostics { v(n); return nil }

// Exit does nothing.
func (v visitor) Exit(hclsyntax.Node) hcl.Diagnostics { return nil }

// tagOperation is a comparison that takes null and any type.
func tagOperation(test func(a, b cty.Value) bool) *hclsyntax.Operation {
	param := function.Parameter{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true}
	return &hclsyntax.Operation{Type: cty.Bool, Impl: function.New(&function.Spec{
		Params: []function.Parameter{param, param},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0], args[1])), nil
		},
	})}
}

// sameTag compares for equality: by number when one side is a number, else by text.
func sameTag(a, b cty.Value) bool {
	if a.IsNull() || b.IsNull() {
		return a.IsNull() && b.IsNull()
	}
	if a.Type() == cty.Number || b.Type() == cty.Number {
		c, ok := tagOrder(a, b)
		return ok && c == 0
	}
	s, okS := toText(a)
	t, okT := toText(b)
	if okS && okT {
		return s == t
	}
	return a.Type().Equals(b.Type()) && a.RawEquals(b)
}

// tagOrder compares as numbers; false when one of the two is none.
func tagOrder(a, b cty.Value) (int, bool) {
	if a.IsNull() || b.IsNull() {
		return 0, false
	}
	x, errX := convert.Convert(a, cty.Number)
	y, errY := convert.Convert(b, cty.Number)
	if errX != nil || errY != nil || !x.IsKnown() || !y.IsKnown() {
		return 0, false
	}
	return x.AsBigFloat().Cmp(y.AsBigFloat()), true
}

// maxMembershipChecks bounds how often conditions of sets are tried on declared
// agents only to find unused ones.
const maxMembershipChecks = 100_000

// markSetMembers marks the declared agents that a set finds as used.
func (l *loader) markSetMembers() {
	if l.errors > 0 || l.broken {
		return
	}
	checks := 0
	for _, a := range l.suite.Agents {
		it := l.agentItems[a.Addr]
		for _, set := range l.suite.AgentSets {
			if it.used {
				break
			}
			if checks++; checks > maxMembershipChecks {
				it.used = true
				break
			}
			ok, err := set.Matches(a.Agent)
			it.used = ok && err == nil
		}
	}
}
