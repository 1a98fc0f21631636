package lang

import (
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// sink decodes a sink block. Its arguments are the plugin's business; they are
// kept as JSON, without the sensitive ones.
func (in *instance) sink() cty.Value {
	l, a := in.scope.loader, in.arguments()
	s := Sink{Addr: in.addr, Type: in.block.Labels[0], Range: addressOf(in.rng)}
	s.Arguments, s.Secrets = a.divided(in.addr)
	l.suite.Sinks = append(l.suite.Sinks, s)
	return cty.ObjectVal(map[string]cty.Value{"addr": cty.StringVal(in.addr), "name": cty.StringVal(in.name), "type": cty.StringVal(s.Type)})
}

// divided gives the arguments of a body as JSON without the sensitive ones, and
// those apart; see divide.
func (a *arguments) divided(addr string) (text []byte, secrets map[string]string) {
	open := map[string]cty.Value{}
	for _, name := range attributeNames(a.body) {
		if name == "for_each" {
			continue
		}
		v := a.env.eval(a.body.Attributes[name].Expr)
		if !v.ContainsMarked() && !v.IsWhollyKnown() {
			continue // reported
		}
		found := map[string]string{}
		open[name] = divide(v, name, found)
		for path, text := range found {
			if secrets == nil {
				secrets = map[string]string{}
			}
			secrets[path] = text
		}
		if _, whole := found[name]; whole {
			delete(open, name)
		}
	}
	text, err := ctyjson.Marshal(cty.ObjectVal(open), cty.ObjectVal(open).Type())
	if err != nil {
		a.loader().failAt(addr, a.at, sumInvalidValue, "The arguments of this sink cannot be written as JSON: %v.", err)
	}
	return text, secrets
}

// divide takes the sensitive parts out of a value and puts them under their paths
// ("headers.Authorization"); what is left of an object is an object without them.
// A sensitive part that is no string is kept as JSON.
func divide(v cty.Value, path string, secrets map[string]string) cty.Value {
	if v.IsMarked() {
		deep, _ := v.UnmarkDeep()
		if s, ok := toText(deep); ok {
			secrets[path] = s
		} else if text, err := ctyjson.Marshal(deep, deep.Type()); err == nil {
			secrets[path] = string(text)
		}
		return cty.NullVal(cty.DynamicPseudoType)
	}
	if !v.ContainsMarked() {
		return v
	}
	ty := v.Type()
	if ty.IsObjectType() || ty.IsMapType() {
		attrs := map[string]cty.Value{}
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			inner := path + "." + k.AsString()
			left := divide(e, inner, secrets)
			if _, whole := secrets[inner]; !whole {
				attrs[k.AsString()] = left
			}
		}
		return cty.ObjectVal(attrs)
	}
	// A list keeps its length only as a whole, so it is secret as a whole.
	deep, _ := v.UnmarkDeep()
	if text, err := ctyjson.Marshal(deep, deep.Type()); err == nil {
		secrets[path] = string(text)
	}
	return cty.NullVal(cty.DynamicPseudoType)
}
