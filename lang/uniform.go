package lang

import (
	"iter"
	"maps"
	"slices"

	"github.com/zclconf/go-cty/cty"
)

// Every literal list is a tuple and every literal map an object for HCL, and cty
// takes quadratic time to find out that all elements of a long one have the same
// type. Found out in linear time here, before a conversion has to.

const (
	// longTuple is where the difference begins to matter.
	longTuple = 64
	// maxMixed is how many elements of different types are still converted.
	maxMixed = 10_000
)

// uniform turns a long tuple or object whose elements have one type into a list
// or map.
func (m *meter) uniform(v cty.Value) cty.Value {
	if v == cty.NilVal || v.IsMarked() || !v.IsKnown() || v.IsNull() {
		return v
	}
	ty := v.Type()
	if !ty.IsTupleType() && !ty.IsObjectType() || v.LengthInt() < longTuple {
		return v
	}
	if !sameTypes(ty) {
		if v.LengthInt() > maxMixed {
			m.refuse("A collection of more than %d elements has elements of different types. Give them all the same type.", maxMixed)
		}
		return v
	}
	if ty.IsTupleType() {
		return cty.ListVal(v.AsValueSlice())
	}
	return cty.MapVal(v.AsValueMap())
}

// sameTypes reports whether all elements of a tuple or object have one type.
func sameTypes(ty cty.Type) bool {
	var types iter.Seq[cty.Type]
	if ty.IsTupleType() {
		types = slices.Values(ty.TupleElementTypes())
	} else {
		types = maps.Values(ty.AttributeTypes())
	}
	first := cty.NilType
	for t := range types {
		if first == cty.NilType {
			first = t
		}
		if first.HasDynamicTypes() || !t.Equals(first) {
			return false
		}
	}
	return true
}

// uniformDeep does the same for everything in a value.
func (m *meter) uniformDeep(v cty.Value) cty.Value {
	out, err := cty.Transform(v, func(_ cty.Path, e cty.Value) (cty.Value, error) { return m.uniform(e), nil })
	if err != nil {
		return v
	}
	return out
}
