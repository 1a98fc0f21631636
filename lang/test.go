package lang

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/cron"
	"github.com/netpupper/netp/quantity"
)

// test decodes a test block.
func (in *instance) test() cty.Value {
	l, a := in.scope.loader, in.arguments()
	t := Test{Addr: in.addr, Tags: a.tags("tags"), Range: addressOf(in.rng)}
	in.schedule(a, &t)
	if attr := a.body.Attributes["path"]; attr != nil {
		sound := true
		t.Paths = in.pathRefs(attr.Expr, &sound)
		if len(t.Paths) == 0 && sound {
			a.fail("path", sumEmptyPath, "The list of paths is empty, so that the test would never run.")
		}
	}
	if p := in.profileRef(a); p != nil {
		t.Profile = *p
		spec, _ := l.options.Catalogue.Find(p.Kind)
		in.checkMeasurable(spec, p, t.Paths)
		t.Asserts = in.asserts(a, &t, spec)
	}
	l.suite.Tests = append(l.suite.Tests, t)
	return cty.ObjectVal(map[string]cty.Value{"addr": cty.StringVal(in.addr), "name": cty.StringVal(in.name)})
}

// A standing test repeats at least once in a leap year and at most once a second.
const (
	minEvery = time.Second
	maxEvery = 366 * 24 * time.Hour
)

// schedule reads every, or cron and time_zone, and slip.
func (in *instance) schedule(a *arguments, t *Test) {
	var every, byCron, zone, slip bool
	t.Every, every = a.duration("every")
	t.Cron, byCron = a.text("cron")
	t.TimeZone, zone = a.text("time_zone")
	t.Slip, slip = a.duration("slip")
	switch {
	case every && byCron:
		a.fail("cron", sumConflict, "A test repeats either every so often or by cron. Remove one of them.")
	case zone && !a.has("cron"):
		a.fail("time_zone", sumConflict, "time_zone says in which zone the hours of cron are meant, and there is no cron here. Remove it.")
	case slip && !a.has("every") && !a.has("cron"):
		a.fail("slip", sumConflict, "slip says how late a session of a standing test may begin, and this test runs once. Remove it, or add every or cron.")
	}
	period := t.Every
	if every && (t.Every < minEvery || t.Every > maxEvery) {
		period = 0
		a.fail("every", sumOutOfRange, "every must be at least %s and at most 366 days.", quantity.Duration(minEvery))
	}
	if byCron {
		period = a.cron(t)
	}
	if zone {
		if _, err := cron.Zone(t.TimeZone); err != nil {
			a.fail("time_zone", sumInvalidSchedule, "%s", err)
		}
	}
	if slip {
		a.slip(t.Slip, period)
	}
}

// cron checks the expression; it gives the shortest time between two turns, 0
// when there is a fault.
func (a *arguments) cron(t *Test) time.Duration {
	s, err := cron.Parse(t.Cron, "")
	if err != nil {
		a.fail("cron", sumInvalidSchedule, "%s", err)
		return 0
	}
	return s.Gap()
}

// slip checks that a session of one turn begins before its next turn is due, so
// that none ever meets itself. The period is 0 when it is not known.
func (a *arguments) slip(slip, period time.Duration) {
	switch {
	case slip < minEvery:
		a.fail("slip", sumOutOfRange, "slip must be at least %s: no session begins to the moment.", quantity.Duration(minEvery))
	case period > 0 && slip > period:
		a.fail("slip", sumOutOfRange, "slip must be at most %s, the time between two turns of this test: a session that is later than that is missed, for its next turn has come.", quantity.Duration(period))
	}
}

// profileRef resolves the profile of a test; nil when it has a fault.
func (in *instance) profileRef(a *arguments) *Profile {
	v, ok := a.value("profile")
	if !ok {
		return nil
	}
	if v.Type().IsMapType() || v.Type().IsTupleType() {
		a.fail("profile", sumInvalidReference, "A test has one profile, and this is %s. Choose one by its key, as in profile.udp.voice[each.key].", article(typeWord(v.Type())))
		return nil
	}
	addrs, _ := in.addresses(v, a.rng("profile"), "profile")
	if len(addrs) != 1 {
		return nil
	}
	return in.scope.loader.profiles[addrs[0]] // nil: it has a fault of its own
}

// pathRefs reads the paths of a test. A path may be followed by the key of one of
// its pairs, which is no element of its value, so references are read step by step.
// It clears sound after a fault.
func (in *instance) pathRefs(x hclsyntax.Expression, sound *bool) []PathRef {
	var out []PathRef
	for _, item := range listItems(x) {
		out = append(out, in.pathRef(item, sound)...)
	}
	return out
}

func (in *instance) pathRef(x hclsyntax.Expression, sound *bool) []PathRef {
	rng := x.Range()
	if it, _ := in.env.declared(x); it != nil && in.scope.settle(it, rng) && it.paths != nil {
		out := make([]PathRef, len(it.paths))
		for i, p := range it.paths {
			out[i] = PathRef{Path: p.Addr, Range: addressOf(rng)}
		}
		return out
	}
	base, key := in.splitPair(x)
	var out []PathRef
	addrs, ok := in.addresses(base, rng, "path")
	*sound = *sound && ok
	for _, addr := range addrs {
		facts := in.scope.loader.paths[addr]
		if facts == nil {
			*sound = false
			continue
		}
		if key != "" {
			if why := facts.misses(key); why != "" {
				*sound = false
				in.scope.loader.failAt(in.addr, rng, sumUnknownPair, "%s", why)
				continue
			}
			if slices.Contains(facts.Except, key) {
				*sound = false
				in.scope.loader.failAt(in.addr, rng, sumUnknownPair, "%s leaves out the pair %q by except.", addr, key)
				continue
			}
		}
		out = append(out, PathRef{Path: addr, Key: key, Range: addressOf(rng)})
	}
	return out
}

// splitPair gives the value of a reference to a path and the key of a pair after
// it, "" when there is none.
func (in *instance) splitPair(x hclsyntax.Expression) (cty.Value, string) {
	switch t := unwrap(x).(type) {
	case *hclsyntax.ScopeTraversalExpr:
		last, isIndex := t.Traversal[len(t.Traversal)-1].(hcl.TraverseIndex)
		if !isIndex || last.Key.Type() != cty.String {
			break
		}
		short := &hclsyntax.ScopeTraversalExpr{Traversal: t.Traversal[:len(t.Traversal)-1], SrcRange: t.SrcRange}
		v := in.env.eval(short)
		if isOnePath(v) {
			return v, last.Key.AsString()
		}
		if !v.IsKnown() {
			return v, ""
		}
	case *hclsyntax.IndexExpr:
		v := in.env.eval(t.Collection)
		if !v.IsKnown() {
			return v, ""
		}
		if !isOnePath(v) {
			break
		}
		if key, ok := toText(in.env.eval(t.Key)); ok {
			return v, key
		}
		return cty.DynamicVal, ""
	}
	return in.env.eval(x), ""
}

// isOnePath tells a path from a map of the instances of one.
func isOnePath(v cty.Value) bool {
	return v.IsKnown() && !v.IsMarked() && !v.IsNull() && v.Type().IsObjectType() && v.Type().HasAttribute("addr")
}

// unwrap takes meters and parentheses off.
func unwrap(x hclsyntax.Expression) hclsyntax.Expression {
	for {
		switch t := x.(type) {
		case metered:
			x = t.Expression
		case *hclsyntax.ParenthesesExpr:
			x = t.Expression
		case *hclsyntax.TemplateWrapExpr:
			x = t.Wrapped
		default:
			return x
		}
	}
}

// checkMeasurable finds destinations that the kind cannot measure.
func (in *instance) checkMeasurable(spec netp.KindSpec, p *Profile, refs []PathRef) {
	var forms []netp.EndpointForm
	if spec.Endpoints != nil {
		forms = spec.Endpoints(p.Params)
	}
	for _, ref := range refs {
		f := in.scope.loader.paths[ref.Path]
		rng := fromRange(ref.Range)
		if f.agents && !spec.Agents && ref.Key == "" {
			in.scope.loader.failAt(in.addr, rng, sumNotMeasurable, "The kind %q measures endpoints, and %s leads to agents. Give it a path to an endpoint in quotes.", p.Kind, ref.Path)
		}
		for _, e := range f.endpoints {
			if ref.Key != "" && !strings.HasSuffix(ref.Key, "->"+e) {
				continue
			}
			form, err := endpointForm(e)
			if err != nil || slices.Contains(forms, form) {
				continue
			}
			in.scope.loader.failAt(in.addr, rng, sumNotMeasurable, "%s leads to the endpoint %q, a %s, and %s %s", ref.Path, e, formWord(form), p.Addr, measures(forms))
			break
		}
	}
}

func formWord(f netp.EndpointForm) string {
	switch f {
	case netp.EndpointURL:
		return "URL"
	case netp.EndpointHostPort:
		return "host with port"
	}
	return "host without port"
}

func measures(forms []netp.EndpointForm) string {
	if len(forms) == 0 {
		return "measures between agents only. Use a path between agents, or a kind for endpoints."
	}
	var words []string
	for _, f := range forms {
		words = append(words, formWord(f))
	}
	return "takes as endpoint: " + strings.Join(words, ", ") + "."
}
