package lang

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/netpupper/netp/suggest"
)

// givenVariable is a value from outside, not yet converted: an expression of a
// file of variables, or a text.
type givenVariable struct {
	expr   hclsyntax.Expression
	text   string
	source string
	rng    hcl.Range
	lax    bool // from the environment or a file: may be unknown
}

// gatherVariables collects the values from outside by precedence; later ones win.
func (l *loader) gatherVariables(root *scope) {
	for _, v := range l.options.EnvVariables {
		l.give(root, v.Name, givenVariable{text: v.Text, source: sourceName(v), lax: true})
	}
	names, _ := l.reader.list(".", isAutoVars)
	for _, name := range names {
		if f := l.open1(name); f != nil {
			l.giveFile(root, f)
		}
	}
	for _, v := range l.options.Variables {
		if v.Name == "" && v.File != "" {
			if f := l.outsideFile(v.File); f != nil {
				l.giveFile(root, f)
			}
			continue
		}
		l.give(root, v.Name, givenVariable{text: v.Text, source: sourceName(v)})
	}
}

func sourceName(v VariableValue) string {
	if v.Source == "" {
		return "the value given for " + v.Name
	}
	return v.Source
}

// outsideFile reads a file that was named on the command line.
func (l *loader) outsideFile(name string) *source {
	info, err := os.Stat(name)
	if err != nil {
		f := unreadable(name, err)
		l.fail(hcl.Range{}, f.summary, "%s", f.detail)
		return nil
	}
	if f := l.reader.admit(name, info); f != nil {
		l.fail(hcl.Range{}, f.summary, "%s", f.detail)
		return nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		f := unreadable(name, err)
		l.fail(hcl.Range{}, f.summary, "%s", f.detail)
		return nil
	}
	text, fault := toUTF8(name, data)
	if fault != nil {
		l.fail(hcl.Range{}, fault.summary, "%s", fault.detail)
		return nil
	}
	f := &source{name: filepath.ToSlash(name), bytes: text}
	l.sources[f.name] = f
	return f
}

// giveFile takes every argument of a file as the value of a variable.
func (l *loader) giveFile(root *scope, f *source) {
	for _, f := range l.parseFiles([]*source{f}) {
		l.check(f.body, &blockSchema{free: true}, "a file of variables", fileRange(f))
		for _, name := range attributeNames(f.body) {
			a := f.body.Attributes[name]
			l.give(root, name, givenVariable{expr: a.Expr, source: f.name, rng: a.NameRange, lax: true})
		}
	}
}

// give notes a value; one for a variable that is not declared is reported unless
// it comes from the environment, which may hold those of other suites.
func (l *loader) give(root *scope, name string, g givenVariable) {
	if root.items["var."+name] != nil {
		l.given[name] = g
		return
	}
	var known []string
	for ref := range root.items {
		if rest, ok := strings.CutPrefix(ref, "var."); ok {
			known = append(known, rest)
		}
	}
	detail := fmt.Sprintf("The suite declares no variable %q, for which %s has a value.%s", name, g.source, suggest.Sentence(name, known))
	switch {
	case g.expr != nil:
		l.warn(g.rng, sumUnknownVariable, "%s", detail)
	case !g.lax:
		l.fail(hcl.Range{}, sumUnknownVariable, "%s", detail)
	}
}

// variable gives the value of a variable: from outside or the module call, else
// its default, converted to its type and validated.
func (it *item) variable() cty.Value {
	s, l := it.scope, it.scope.loader
	a := &arguments{s.env(), it.block.Body, it.rng}
	ty, defaults, ok := it.typeConstraint()
	if !ok {
		return cty.DynamicVal
	}
	if g, ok := l.given[it.name]; ok && s.addr == "" && a.flag("sensitive") {
		l.secrets.remember(cty.StringVal(l.written(g))) // before anything can quote it
	}
	a.text("description")
	def, hasDefault := it.defaultValue(a, ty, defaults)
	v, rng, given := it.outsideValue(ty)
	if given && a.flag("sensitive") {
		l.secrets.remember(v)
	}
	switch {
	case given:
		v = it.converted(v, ty, defaults, rng)
	case hasDefault:
		v, rng = def, a.rng("default")
	case s.addr != "":
		l.fail(s.call, sumMissingArgument, "The module needs a value for its variable %q.", it.name)
		return cty.DynamicVal
	default:
		l.fail(it.rng, sumNoVariableValue, "The variable %q has no default and was given no value. Give one with -var '%s=…', in a file of variables, or in the environment as NETP_VAR_%s.", it.name, it.name, it.name)
		return cty.DynamicVal
	}
	if v.IsNull() && a.has("nullable") && !a.flag("nullable") {
		if !hasDefault || def.IsNull() {
			l.fail(rng, sumInvalidVariable, "The variable %q must not be null.", it.name)
			return cty.DynamicVal
		}
		v = def
	}
	if a.flag("sensitive") {
		l.secrets.remember(v)
		v = v.Mark(sensitive)
	}
	it.validate(v, rng)
	return v
}

// written is the text of a value from outside.
func (l *loader) written(g givenVariable) string {
	if g.expr == nil {
		return g.text
	}
	rng := g.expr.Range()
	return strings.Trim(string(rng.SliceBytes(l.sources[rng.Filename].bytes)), `"`)
}

// typeWords are the words that types are made of.
var typeWords = []string{"string", "number", "bool", "any", "list", "set", "map", "object", "tuple"}

// typeConstraint reads the type of a variable; any when it has none.
func (it *item) typeConstraint() (cty.Type, *typeexpr.Defaults, bool) {
	attr := it.block.Body.Attributes["type"]
	if attr == nil {
		return cty.DynamicPseudoType, nil, true
	}
	ty, defaults, ds := typeexpr.TypeConstraintWithDefaults(attr.Expr)
	if ds.HasErrors() {
		l := it.scope.loader
		for _, d := range ds {
			d.Summary = sumInvalidTypeConstraint
			if word := string(d.Subject.SliceBytes(l.sources[d.Subject.Filename].bytes)); hclsyntax.ValidIdentifier(word) && !slices.Contains(typeWords, word) {
				d.Detail += suggest.Sentence(word, typeWords) + " The types are " + strings.Join(typeWords, ", ") + "."
			}
		}
		l.hcl(ds)
		return cty.DynamicPseudoType, nil, false
	}
	return ty, defaults, true
}

func (it *item) defaultValue(a *arguments, ty cty.Type, defaults *typeexpr.Defaults) (cty.Value, bool) {
	attr := a.body.Attributes["default"]
	if attr == nil {
		return cty.NilVal, false
	}
	return it.converted(a.env.eval(attr.Expr), ty, defaults, attr.Expr.Range()), true
}

// outsideValue is the value given for a variable, before conversion.
func (it *item) outsideValue(ty cty.Type) (cty.Value, hcl.Range, bool) {
	s, l := it.scope, it.scope.loader
	if s.addr != "" {
		attr := s.inputs[it.name]
		if attr == nil {
			return cty.NilVal, hcl.Range{}, false
		}
		return s.caller.eval(attr.Expr), attr.Expr.Range(), true
	}
	g, ok := l.given[it.name]
	if !ok {
		return cty.NilVal, hcl.Range{}, false
	}
	if g.expr != nil {
		// A file of variables sees functions and units, and no declarations.
		empty := &scope{loader: l, items: map[string]*item{}, base: s.base}
		return empty.env().eval(g.expr), g.expr.Range(), true
	}
	if ty == cty.String || ty == cty.DynamicPseudoType && !looksStructured(g.text) {
		return cty.StringVal(g.text), it.rng, true
	}
	e, fault, ds := parseExpression(g.text, g.source, hcl.InitialPos, false, l.limits)
	if fault != nil || ds.HasErrors() {
		detail := "It is not an expression."
		if fault != nil {
			detail = fault.detail
		} else if ds[0].Detail != "" {
			detail = ds[0].Detail
		}
		l.fail(it.rng, sumInvalidVariable, "%s is to set the variable %q to %q, and its type is %s. %s%s", g.source, it.name, clip(g.text), typeexpr.TypeString(ty), detail, exampleOf(ty))
		return cty.DynamicVal, it.rng, true
	}
	l.meter.instrument(e)
	empty := &scope{loader: l, items: map[string]*item{}, base: s.base}
	for _, t := range hclsyntax.Variables(e) {
		if _, unit := s.base.Variables[t.RootName()]; !unit {
			l.fail(it.rng, sumInvalidVariable, "%s is to set the variable %q to %q, and its type is %s. A value from outside refers to nothing; a text in it stands in quotes.%s", g.source, it.name, clip(g.text), typeexpr.TypeString(ty), exampleOf(ty))
			return cty.DynamicVal, it.rng, true
		}
	}
	return empty.env().eval(e), it.rng, true
}

// looksStructured tells an expression from a text for a variable of any type.
func looksStructured(s string) bool {
	s = strings.TrimSpace(s)
	return strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") || strings.HasPrefix(s, `"`)
}

// exampleOf says, with a space in front, how a value of a type is written, "" for any.
func exampleOf(ty cty.Type) string {
	switch {
	case ty == cty.Number:
		return " Write for example 10."
	case ty == cty.Bool:
		return " Write true or false."
	case ty.IsListType() || ty.IsSetType() || ty.IsTupleType():
		return ` Write for example ["a", "b"].`
	case ty.IsMapType() || ty.IsObjectType():
		return ` Write for example { a = "b" }.`
	}
	return ""
}

func clip(s string) string {
	if r := []rune(s); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return s
}

// converted brings a value to the type of its variable.
func (it *item) converted(v cty.Value, ty cty.Type, defaults *typeexpr.Defaults, rng hcl.Range) cty.Value {
	l := it.scope.loader
	if v == cty.NilVal || !v.IsKnown() || l.meter.over {
		return cty.DynamicVal
	}
	if defaults != nil && !v.IsNull() {
		v = defaults.Apply(v)
	}
	out, err := convert.Convert(l.meter.uniformDeep(v), ty)
	if err != nil {
		l.fail(rng, sumInvalidVariable, "The variable %q has the type %s, and this value does not fit: %s.", it.name, typeexpr.TypeString(ty), pathError(err))
		return cty.DynamicVal
	}
	if !l.meter.charge(out) { // a short text can be a number that is long to write out
		l.fail(rng, sumTooLarge, "The variable %q cannot have this value. %s Give it one within the bounds.", it.name, l.meter.reason)
		return cty.DynamicVal
	}
	return out
}

// pathError says where in a value a conversion failed.
func pathError(err error) string {
	p, ok := err.(cty.PathError)
	if !ok || len(p.Path) == 0 {
		return err.Error()
	}
	where := ""
	for _, step := range p.Path {
		switch s := step.(type) {
		case cty.GetAttrStep:
			where += "." + s.Name
		case cty.IndexStep:
			if k, ok := toText(s.Key); ok {
				where += "[" + k + "]"
			}
		}
	}
	return fmt.Sprintf("at %s, %s", strings.TrimPrefix(where, "."), p.Error())
}

// validate checks the validation blocks of a variable against its value.
func (it *item) validate(v cty.Value, rng hcl.Range) {
	l := it.scope.loader
	it.value, it.state = v, done // a condition refers to the variable itself
	if !v.IsKnown() {
		return
	}
	for _, b := range it.block.Body.Blocks {
		if b.Type != "validation" || b.Body.Attributes["condition"] == nil {
			continue
		}
		e := it.scope.env()
		condition := b.Body.Attributes["condition"].Expr
		ok, known := truth(e.eval(condition))
		if !known {
			l.fail(condition.Range(), sumInvalidType, "The condition of a validation must be true or false.")
			continue
		}
		if ok {
			continue
		}
		message := "The value does not satisfy the condition of its validation."
		if a := b.Body.Attributes["error_message"]; a != nil {
			text, _ := e.eval(a.Expr).Unmark()
			if s, ok := toText(text); ok && s != "" {
				message = s
			}
		}
		if v.ContainsMarked() {
			l.fail(it.rng, sumInvalidVariable, "The value of the variable %q: %s", it.name, "it does not satisfy a validation. The value is sensitive and not shown.")
			continue
		}
		l.fail(rng, sumInvalidVariable, "%s (Variable %q, validation in line %d.)", message, it.name, b.DefRange().Start.Line)
	}
}

// truth reads a bool; known is false when the value is none. Unknown values have
// been reported and count as true.
func truth(v cty.Value) (value, known bool) {
	v, _ = v.Unmark()
	if !v.IsKnown() {
		return true, true
	}
	if v.IsNull() {
		return false, false
	}
	b, err := convert.Convert(v, cty.Bool)
	if err != nil {
		return false, false
	}
	return b.True(), true
}
