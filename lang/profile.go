package lang

import (
	"math"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/suggest"
)

// profile decodes a profile block by the parameters its kind declares.
func (in *instance) profile() cty.Value {
	l, a := in.scope.loader, in.arguments()
	kind := netp.Kind(in.block.Labels[0])
	spec, ok := l.options.Catalogue.Find(kind)
	if !ok {
		var kinds []string
		for _, k := range l.options.Catalogue {
			kinds = append(kinds, string(k.Kind))
		}
		hint := suggest.Sentence(string(kind), kinds)
		if hint == "" {
			hint = " There is: " + listed(kinds) + "."
		}
		l.fail(in.block.LabelRanges[0], sumUnknownKind, "There is no kind of traffic %q.%s", kind, hint)
		return in.profileValue(netp.KindSpec{Kind: kind}, nil)
	}
	p := &Profile{Addr: in.addr, Kind: kind, Params: netp.Params{}, Range: addressOf(in.rng)}
	sound := in.checkParamNames(a, spec)
	for _, ps := range spec.Params {
		if !a.param(p.Params, ps) {
			sound = false
		}
	}
	if sound && spec.Check != nil {
		for _, f := range spec.Check(p.Params) {
			a.fail(f.Param, sumInvalidParams, "%s", f.Detail)
			sound = false
		}
	}
	if sound {
		l.profiles[in.addr] = p
	}
	return in.profileValue(spec, p.Params)
}

// profileValue is what a reference to a profile stands for: its parameters, null
// where a kind has one that is not set.
func (in *instance) profileValue(spec netp.KindSpec, p netp.Params) cty.Value {
	attrs := map[string]cty.Value{}
	for _, ps := range spec.Params {
		ty := cty.Number
		switch ps.Type {
		case netp.StringParam, netp.RateParam:
			ty = cty.String
		case netp.BoolParam:
			ty = cty.Bool
		case netp.MixParam:
			continue
		}
		switch v := p[ps.Name].(type) {
		case float64:
			attrs[ps.Name] = cty.NumberFloatVal(v)
		case string:
			attrs[ps.Name] = cty.StringVal(v)
		case bool:
			attrs[ps.Name] = cty.BoolVal(v)
		default:
			attrs[ps.Name] = cty.NullVal(ty)
		}
	}
	attrs["addr"], attrs["name"], attrs["kind"] = cty.StringVal(in.addr), cty.StringVal(in.name), cty.StringVal(string(spec.Kind))
	return cty.ObjectVal(attrs)
}

// checkParamNames finds arguments that the kind does not have.
func (in *instance) checkParamNames(a *arguments, spec netp.KindSpec) bool {
	ok := true
	for _, name := range attributeNames(a.body) {
		if name == "for_each" || slices.ContainsFunc(spec.Params, func(p netp.ParamSpec) bool { return p.Name == name }) {
			continue
		}
		ok = false
		var known []string
		for _, p := range spec.Params {
			known = append(known, p.Name)
		}
		hint := suggest.Sentence(name, known)
		if hint == "" {
			hint = " It has: " + listed(known) + "."
		}
		in.scope.loader.fail(a.body.Attributes[name].NameRange, sumUnknownArgument, "A profile of kind %q has no parameter %q.%s", spec.Kind, name, hint)
	}
	return ok
}

// param reads one parameter into the profile's; false after a fault.
func (a *arguments) param(params netp.Params, ps netp.ParamSpec) bool {
	attr := a.body.Attributes[ps.Name]
	if attr == nil {
		if ps.Required {
			a.fail(ps.Name, sumMissingArgument, "This profile needs the parameter %q: %s", ps.Name, ps.Doc)
			return false
		}
		if ps.Default != nil {
			params[ps.Name] = ps.Default
		}
		return true
	}
	before := a.loader().errors
	v, ok := a.value(ps.Name)
	if !ok { // null is the default; anything else was a fault
		if a.loader().errors > before || !a.isNull(attr) {
			return false
		}
		if ps.Default != nil {
			params[ps.Name] = ps.Default
		}
		return !ps.Required
	}
	value, fault := paramValue(ps, v)
	if fault == nil {
		fault = inRange(ps, value)
	}
	if fault != nil {
		a.fail(ps.Name, fault.summary, "%s", fault.detail)
		return false
	}
	params[ps.Name] = value
	return true
}

func (a *arguments) isNull(attr *hclsyntax.Attribute) bool {
	v := a.env.eval(attr.Expr)
	return v.IsKnown() && v.IsNull()
}

// paramValue brings a value into the form that Params keep for its type.
func paramValue(ps netp.ParamSpec, v cty.Value) (any, *valueFault) {
	switch ps.Type {
	case netp.DurationParam:
		return boxed(quantityOf(ps.Name, v, parseDuration))
	case netp.BitRateParam:
		return boxed(quantityOf(ps.Name, v, parseBitRate))
	case netp.SizeParam:
		f, fault := quantityOf(ps.Name, v, parseSize)
		if fault == nil && f != math.Trunc(f) {
			fault = &valueFault{sumInvalidValue, ps.Name + " must be a whole number of bytes."}
		}
		return boxed(f, fault)
	case netp.RateParam:
		return rateValue(ps, v)
	case netp.IntegerParam, netp.NumberParam:
		f, ok := toNumber(v)
		if !ok {
			return nil, &valueFault{sumInvalidType, ps.Name + " must be a number; this is " + article(typeWord(v.Type())) + "."}
		}
		if ps.Type == netp.IntegerParam && f != math.Trunc(f) {
			return nil, &valueFault{sumInvalidValue, ps.Name + " must be a whole number."}
		}
		return f, nil
	case netp.BoolParam:
		if v.Type() != cty.Bool {
			return nil, &valueFault{sumInvalidType, ps.Name + " must be true or false; this is " + article(typeWord(v.Type())) + "."}
		}
		return v.True(), nil
	case netp.DSCPParam:
		return dscpValue(ps, v)
	case netp.MixParam:
		return mixValue(ps, v)
	}
	if v.Type() != cty.String {
		return nil, &valueFault{sumInvalidType, ps.Name + " must be a string; this is " + article(typeWord(v.Type())) + "."}
	}
	return v.AsString(), nil
}

func boxed(f float64, fault *valueFault) (any, *valueFault) {
	if fault != nil {
		return nil, fault
	}
	return f, nil
}

func rateValue(ps netp.ParamSpec, v cty.Value) (any, *valueFault) {
	if v.Type() != cty.String {
		f, fault := quantityOf(ps.Name, v, parseBitRate)
		return netp.Rate{BitsPerSecond: f}.String(), fault
	}
	r, err := parseRate(v.AsString())
	switch {
	case err != nil:
		return nil, &valueFault{sumInvalidUnit, err.Error()}
	case r.BitsPerSecond < 0 || r.PacketsPerSecond < 0:
		return nil, &valueFault{sumOutOfRange, ps.Name + " must not be negative."}
	}
	return r.String(), nil
}

func dscpValue(ps netp.ParamSpec, v cty.Value) (any, *valueFault) {
	if f, ok := toNumber(v); ok {
		if f != math.Trunc(f) || f < 0 || f > 63 {
			return nil, &valueFault{sumOutOfRange, ps.Name + " is a code point from 0 to 63. The byte of old tools (TOS) is four times that."}
		}
		return f, nil
	}
	if v.Type() == cty.String {
		if f, ok := dscpNames[v.AsString()]; ok {
			return f, nil
		}
		var known []string
		for n := range dscpNames {
			known = append(known, n)
		}
		return nil, &valueFault{sumInvalidValue, strconv.Quote(v.AsString()) + " is not the name of a code point." + suggest.Sentence(v.AsString(), known) + ` Write for example "ef", "af41", "cs1" or a number from 0 to 63.`}
	}
	return nil, &valueFault{sumInvalidType, ps.Name + " is the name or the number of a code point; this is " + article(typeWord(v.Type())) + "."}
}

// imix is the simple internet mix, IPv4 packets of 64, 576 and 1500 bytes as 7 to 4
// to 1, in UDP payloads: 28 bytes less.
func imix() []any { return []any{[]any{36.0, 7.0}, []any{548.0, 4.0}, []any{1472.0, 1.0}} }

// mixValue reads "imix", or an object of size = weight.
func mixValue(ps netp.ParamSpec, v cty.Value) (any, *valueFault) {
	if v.Type() == cty.String {
		if v.AsString() == "imix" {
			return imix(), nil
		}
		return nil, &valueFault{sumInvalidValue, ps.Name + ` must be "imix" or an object of size = weight, as in { "64" = 7, "1500" = 1 }.`}
	}
	if ty := v.Type(); !ty.IsObjectType() && !ty.IsMapType() {
		return nil, &valueFault{sumInvalidType, ps.Name + ` must be "imix" or an object of size = weight; this is a ` + typeWord(ty) + "."}
	}
	var out []any
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		size, err := strconv.ParseUint(k.AsString(), 10, 16)
		weight, ok := toNumber(e)
		if err != nil || size == 0 || !ok || weight < 1 || weight != math.Trunc(weight) || weight > 1e6 {
			return nil, &valueFault{sumInvalidValue, "The sizes of " + ps.Name + " are whole numbers of bytes and the weights whole numbers from 1; " + strconv.Quote(k.AsString()) + " is none such pair."}
		}
		out = append(out, []any{float64(size), weight})
	}
	if len(out) == 0 || len(out) > 64 {
		return nil, &valueFault{sumInvalidValue, ps.Name + " needs from 1 to 64 sizes."}
	}
	slices.SortFunc(out, func(a, b any) int { return int(a.([]any)[0].(float64) - b.([]any)[0].(float64)) })
	return out, nil
}

// inRange checks a value against the bounds its parameter declares.
func inRange(ps netp.ParamSpec, value any) *valueFault {
	switch v := value.(type) {
	case float64:
		if ps.Max > ps.Min && (v < ps.Min || v > ps.Max) {
			return &valueFault{sumOutOfRange, ps.Name + " is " + amount(v, ps.Type) + ", and must be from " + amount(ps.Min, ps.Type) + " to " + amount(ps.Max, ps.Type) + "."}
		}
	case string:
		if len(ps.OneOf) > 0 && !slices.Contains(ps.OneOf, v) {
			return &valueFault{sumInvalidValue, ps.Name + " is " + strconv.Quote(v) + ", and must be one of " + quotedList(ps.OneOf) + "." + suggest.Sentence(v, ps.OneOf)}
		}
		if ps.Type == netp.RateParam && ps.Max > ps.Min {
			r, _ := netp.ParseRate(v)
			if f := r.BitsPerSecond; f > 0 && (f < ps.Min || f > ps.Max) {
				return &valueFault{sumOutOfRange, ps.Name + " is " + amount(f, netp.BitRateParam) + ", and must be from " + amount(ps.Min, netp.BitRateParam) + " to " + amount(ps.Max, netp.BitRateParam) + "."}
			}
		}
	}
	return nil
}

// amount writes a number with the unit of its parameter's type.
func amount(v float64, t netp.ParamType) string {
	s := strconv.FormatFloat(v, 'g', 10, 64)
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		s = strconv.FormatFloat(v, 'f', -1, 64)
	}
	switch t {
	case netp.DurationParam:
		return s + " s"
	case netp.BitRateParam:
		return s + " bit/s"
	case netp.SizeParam:
		return s + " B"
	}
	return s
}
