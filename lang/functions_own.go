package lang

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// The functions here are those of Terraform that cty does not have, or has with
// another meaning.

// textTest is a function of two strings that is true or false.
func textTest(test func(a, b string) bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "part", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.BoolVal(test(args[0].AsString(), args[1].AsString())), nil
		},
	})
}

var (
	startsWithFunc  = textTest(strings.HasPrefix)
	endsWithFunc    = textTest(strings.HasSuffix)
	strContainsFunc = textTest(strings.Contains)
)

// truthOfAll folds a list of bools; the answer for an empty list is empty.
func truthOfAll(empty bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			unknown := false
			for it := args[0].ElementIterator(); it.Next(); {
				_, v := it.Element()
				switch {
				case !v.IsKnown():
					unknown = true
				case v.IsNull() && empty || !v.IsNull() && v.True() != empty:
					return cty.BoolVal(!empty), nil
				}
			}
			if unknown {
				return cty.UnknownVal(cty.Bool), nil
			}
			return cty.BoolVal(empty), nil
		},
	})
}

var (
	allTrueFunc = truthOfAll(true)
	anyTrueFunc = truthOfAll(false)
)

var sumFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !args[0].CanIterateElements() || args[0].LengthInt() == 0 {
			return cty.NilVal, function.NewArgErrorf(0, "a list or set with at least one number is needed")
		}
		total := cty.Zero
		for it := args[0].ElementIterator(); it.Next(); {
			_, v := it.Element()
			n, err := convert.Convert(v, cty.Number)
			if err != nil || n.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "all elements must be numbers")
			}
			total = total.Add(n)
		}
		return total, nil
	},
})

// coalesceFunc gives the first argument that is neither null nor an empty string; cty's own takes the latter.
var coalesceFunc = function.New(&function.Spec{
	VarParam: &function.Parameter{Name: "values", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowDynamicType: true, AllowNull: true},
	Type:     stdlib.CoalesceFunc.ReturnTypeForValues,
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		for _, one := range args {
			v, err := convert.Convert(one, ret)
			switch {
			case err != nil:
				return cty.NilVal, err
			case !v.IsKnown():
				return cty.UnknownVal(ret), nil
			case !v.IsNull() && (ret != cty.String || v.AsString() != ""):
				return v, nil
			}
		}
		return cty.NilVal, errors.New("all arguments are null or an empty string")
	},
})

var oneFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
	Type: func(args []cty.Value) (cty.Type, error) {
		ty := args[0].Type()
		switch {
		case ty.IsListType() || ty.IsSetType():
			return ty.ElementType(), nil
		case ty.IsTupleType() && len(ty.TupleElementTypes()) == 0:
			return cty.DynamicPseudoType, nil
		case ty.IsTupleType() && len(ty.TupleElementTypes()) == 1:
			return ty.TupleElementType(0), nil
		}
		return cty.NilType, function.NewArgErrorf(0, "a list, set or tuple with no or one element is needed")
	},
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		switch args[0].LengthInt() {
		case 0:
			return cty.NullVal(ret), nil
		case 1:
			it := args[0].ElementIterator()
			it.Next()
			_, v := it.Element()
			return v, nil
		}
		return cty.NilVal, function.NewArgErrorf(0, "there is more than one element")
	},
})

// lengthFunc counts the characters of a string and the elements of anything else.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		ty := args[0].Type()
		if ty == cty.String || ty == cty.DynamicPseudoType || ty.IsCollectionType() || ty.IsTupleType() || ty.IsObjectType() {
			return cty.Number, nil
		}
		return cty.NilType, function.NewArgErrorf(0, "a string or a collection is needed")
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch ty := args[0].Type(); {
		case ty == cty.DynamicPseudoType || !args[0].IsKnown():
			return cty.UnknownVal(cty.Number), nil
		case ty == cty.String:
			return stdlib.Strlen(args[0])
		case ty.IsObjectType():
			return cty.NumberIntVal(int64(len(ty.AttributeTypes()))), nil
		}
		return args[0].Length(), nil
	},
})

// indexFunc is where in a list a value stands.
var indexFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if ty := args[0].Type(); !ty.IsListType() && !ty.IsTupleType() {
			return cty.NilVal, function.NewArgErrorf(0, "a list is needed")
		}
		for it := args[0].ElementIterator(); it.Next(); {
			i, v := it.Element()
			eq, err := stdlib.Equal(v, args[1])
			if err != nil {
				return cty.NilVal, err
			}
			if !eq.IsKnown() {
				return cty.UnknownVal(cty.Number), nil
			}
			if eq.True() {
				return i, nil
			}
		}
		return cty.NilVal, errors.New("the value is not in the list")
	},
})

// lookupFunc is an element of a map or object, or a default.
var lookupFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "map", Type: cty.DynamicPseudoType, AllowMarked: true},
		{Name: "key", Type: cty.String}},
	VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowMarked: true},
	Type:     func(args []cty.Value) (cty.Type, error) { return cty.DynamicPseudoType, nil },
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if len(args) > 3 {
			return cty.NilVal, errors.New("there is at most one default")
		}
		m, marks := args[0].Unmark()
		key := args[1].AsString()
		switch ty := m.Type(); {
		case ty.IsObjectType():
			if ty.HasAttribute(key) {
				return m.GetAttr(key).WithMarks(marks), nil
			}
		case ty.IsMapType():
			if m.HasIndex(args[1]).True() {
				return m.Index(args[1]).WithMarks(marks), nil
			}
		default:
			return cty.NilVal, function.NewArgErrorf(0, "a map or an object is needed")
		}
		if len(args) == 3 {
			return args[2].WithMarks(marks), nil
		}
		return cty.NilVal, fmt.Errorf("there is no element %q, and no default", key)
	},
})

// transposeFunc swaps the keys and values of a map of lists of strings.
var transposeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "map", Type: cty.Map(cty.List(cty.String))}},
	Type:   function.StaticReturnType(cty.Map(cty.List(cty.String))),
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(ret), nil
		}
		swapped := map[string][]cty.Value{}
		for it := args[0].ElementIterator(); it.Next(); {
			k, list := it.Element()
			if list.IsNull() {
				continue
			}
			for inner := list.ElementIterator(); inner.Next(); {
				_, v := inner.Element()
				if v.IsNull() {
					return cty.NilVal, function.NewArgErrorf(0, "its lists must not hold null")
				}
				swapped[v.AsString()] = append(swapped[v.AsString()], k)
			}
		}
		if len(swapped) == 0 {
			return cty.MapValEmpty(cty.List(cty.String)), nil
		}
		out := map[string]cty.Value{}
		for k, list := range swapped {
			out[k] = cty.ListVal(list)
		}
		return cty.MapVal(out), nil
	},
})

// matchKeysFunc keeps the values whose key is among those searched for.
var matchKeysFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "values", Type: cty.List(cty.DynamicPseudoType)},
		{Name: "keys", Type: cty.List(cty.DynamicPseudoType)},
		{Name: "searched", Type: cty.List(cty.DynamicPseudoType)}},
	Type: func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		if !args[1].IsWhollyKnown() || !args[2].IsWhollyKnown() {
			return cty.UnknownVal(ret), nil
		}
		if args[0].LengthInt() != args[1].LengthInt() {
			return cty.NilVal, errors.New("values and keys must have the same length")
		}
		var out []cty.Value
		values, searched := args[0].AsValueSlice(), args[2].AsValueSlice()
		for i, key := range args[1].AsValueSlice() {
			for _, s := range searched {
				if eq, err := stdlib.Equal(key, s); err == nil && eq.True() {
					out = append(out, values[i])
					break
				}
			}
		}
		if len(out) == 0 {
			return cty.ListValEmpty(ret.ElementType()), nil
		}
		return cty.ListVal(out), nil
	},
})

// rangeFunc counts from start to limit by step, limit not included.
func rangeFunc(most int) function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "params", Type: cty.Number},
		Type:     function.StaticReturnType(cty.List(cty.Number)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			start, step := cty.Zero, cty.NumberIntVal(1)
			var limit cty.Value
			switch len(args) {
			case 1:
				limit = args[0]
			case 2, 3:
				start, limit = args[0], args[1]
				if len(args) == 3 {
					step = args[2]
				}
			default:
				return cty.NilVal, errors.New("range takes a limit; or a start and a limit; or these and a step")
			}
			down := limit.LessThan(start).True()
			if len(args) < 3 && down {
				step = cty.NumberIntVal(-1)
			}
			if sign := step.AsBigFloat().Sign(); sign == 0 || (sign < 0) != down && !limit.RawEquals(start) {
				return cty.NilVal, errors.New("the step must lead from start to limit")
			}
			return counting(start.AsBigFloat(), limit.AsBigFloat(), step.AsBigFloat(), most)
		},
	})
}

func counting(start, limit, step *big.Float, most int) (cty.Value, error) {
	if start.IsInf() || limit.IsInf() || step.IsInf() {
		return cty.NilVal, errors.New("infinity cannot be counted to")
	}
	var out []cty.Value
	at := new(big.Float).SetPrec(512).Set(start)
	for at.Cmp(limit) == -step.Sign() {
		if len(out) == most {
			return cty.NilVal, tooMany(most)
		}
		out = append(out, cty.NumberVal(new(big.Float).Copy(at)))
		at.Add(at, step)
	}
	if len(out) == 0 {
		return cty.ListValEmpty(cty.Number), nil
	}
	return cty.ListVal(out), nil
}

// replaceFunc replaces a text, or a regular expression written between slashes.
var replaceFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "text", Type: cty.String}, {Name: "search", Type: cty.String}, {Name: "with", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if pattern, ok := asPattern(args[1].AsString()); ok {
			return stdlib.RegexReplace(args[0], cty.StringVal(pattern), args[2])
		}
		return cty.StringVal(strings.ReplaceAll(args[0].AsString(), args[1].AsString(), args[2].AsString())), nil
	},
})

// sensitiveFunc marks a value, so that it is never shown or stored.
func sensitiveFunc(m *meter) function.Function {
	return markFunction(func(v cty.Value) cty.Value {
		if m.secrets != nil {
			m.secrets.remember(v)
		}
		return v.Mark(sensitive)
	})
}

// nonsensitiveFunc takes the mark off again.
var nonsensitiveFunc = markFunction(func(v cty.Value) cty.Value { v, _ = v.UnmarkDeep(); return v })

func markFunction(change func(cty.Value) cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowUnknown: true, AllowNull: true, AllowMarked: true, AllowDynamicType: true}},
		Type:   func(args []cty.Value) (cty.Type, error) { return args[0].Type(), nil },
		Impl:   func(args []cty.Value, _ cty.Type) (cty.Value, error) { return change(args[0]), nil },
	})
}
