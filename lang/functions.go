package lang

import (
	"github.com/hashicorp/go-cty-funcs/cidr"
	"github.com/hashicorp/go-cty-funcs/crypto"
	"github.com/hashicorp/go-cty-funcs/encoding"
	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// pureFunctions are the functions that depend on their arguments alone, under
// Terraform's names and with its meaning. None knows the time or makes up ids: the
// same suite is the same plan. Each reports to the meter, and those that can make
// much out of little look at their arguments first.
func pureFunctions(m *meter) map[string]function.Function {
	g := guards{m}
	plain := map[string]function.Function{
		"abs": stdlib.AbsoluteFunc, "ceil": stdlib.CeilFunc, "floor": stdlib.FloorFunc, "log": stdlib.LogFunc,
		"max": stdlib.MaxFunc, "min": stdlib.MinFunc, "pow": stdlib.PowFunc, "signum": stdlib.SignumFunc,
		"chomp": stdlib.ChompFunc, "lower": stdlib.LowerFunc, "upper": stdlib.UpperFunc, "title": stdlib.TitleFunc,
		"strrev": stdlib.ReverseFunc, "substr": stdlib.SubstrFunc, "trimspace": stdlib.TrimSpaceFunc,
		"trimprefix": stdlib.TrimPrefixFunc, "trimsuffix": stdlib.TrimSuffixFunc,
		"startswith": startsWithFunc, "endswith": endsWithFunc, "strcontains": strContainsFunc,
		"alltrue": allTrueFunc, "anytrue": anyTrueFunc, "one": oneFunc, "length": lengthFunc,
		"index": indexFunc, "lookup": lookupFunc, "transpose": transposeFunc, "coalesce": coalesceFunc,
		"chunklist": stdlib.ChunklistFunc, "coalescelist": stdlib.CoalesceListFunc, "compact": stdlib.CompactFunc,
		"concat": stdlib.ConcatFunc, "contains": stdlib.ContainsFunc, "element": stdlib.ElementFunc,
		"flatten": stdlib.FlattenFunc, "keys": stdlib.KeysFunc, "merge": stdlib.MergeFunc,
		"reverse": stdlib.ReverseListFunc, "slice": stdlib.SliceFunc, "sort": stdlib.SortFunc,
		"setintersection": stdlib.SetIntersectionFunc, "setsubtract": stdlib.SetSubtractFunc, "setunion": stdlib.SetUnionFunc,
		"values": stdlib.ValuesFunc, "zipmap": stdlib.ZipmapFunc,
		"base64encode": encoding.Base64EncodeFunc, "base64decode": encoding.Base64DecodeFunc,
		"urlencode": encoding.URLEncodeFunc, "jsonencode": stdlib.JSONEncodeFunc,
		"formatdate": stdlib.FormatDateFunc, "timeadd": stdlib.TimeAddFunc,
		"md5": crypto.Md5Func, "sha1": crypto.Sha1Func, "sha256": crypto.Sha256Func,
		"cidrhost": cidr.HostFunc, "cidrnetmask": cidr.NetmaskFunc, "cidrsubnet": cidr.SubnetFunc, "cidrsubnets": cidr.SubnetsFunc,
		"tobool": stdlib.MakeToFunc(cty.Bool), "tonumber": stdlib.MakeToFunc(cty.Number), "tostring": stdlib.MakeToFunc(cty.String),
		"tolist": stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), "toset": stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
		"tomap": stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
	}
	out := map[string]function.Function{
		// These take expressions or marks as they are, and make nothing new.
		"try": tryfunc.TryFunc, "can": tryfunc.CanFunc,
		"sensitive": sensitiveFunc(m), "nonsensitive": nonsensitiveFunc,
	}
	for name, f := range plain {
		out[name] = m.metered(f, nil)
	}
	for name, b := range map[string]struct {
		f     function.Function
		guard guard
	}{
		"range": {rangeFunc(m.limits.Expansion), nil}, "setproduct": {stdlib.SetProductFunc, g.product},
		"distinct": {stdlib.DistinctFunc, g.pairs}, "matchkeys": {matchKeysFunc, g.pairs},
		"format": {stdlib.FormatFunc, g.format}, "formatlist": {stdlib.FormatListFunc, g.format}, "sum": {sumFunc, g.sum},
		"indent": {stdlib.IndentFunc, g.indent}, "join": {stdlib.JoinFunc, g.join}, "split": {stdlib.SplitFunc, g.split},
		"replace": {replaceFunc, g.replace}, "trim": {stdlib.TrimFunc, g.cutset},
		"regex": {stdlib.RegexFunc, g.regex}, "regexall": {stdlib.RegexAllFunc, g.regex}, "parseint": {stdlib.ParseIntFunc, g.digits},
		"csvdecode": {stdlib.CSVDecodeFunc, g.document}, "jsondecode": {stdlib.JSONDecodeFunc, g.document},
		"yamldecode": {ctyyaml.YAMLDecodeFunc, g.yaml},
	} {
		out[name] = m.metered(b.f, b.guard)
	}
	return out
}

// guard refuses arguments of which a function would make too much.
type guard func(args []cty.Value) error

// metered puts a function under the meter. The guard sees the arguments before
// the function does, in both of the calls that cty makes.
func (m *meter) metered(f function.Function, check guard) function.Function {
	before := func(args []cty.Value) error {
		for _, a := range args {
			if a.Type() == cty.Number { // which HCL may have made of a string
				m.measure(a, &extent{}, 0)
			}
		}
		if m.spent() {
			return function.NewArgErrorf(0, "%s", m.reason)
		}
		if check == nil {
			return nil
		}
		return check(args)
	}
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := before(args); err != nil {
				return cty.DynamicPseudoType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if err := before(args); err != nil {
				return cty.DynamicVal, err
			}
			v, err := f.Call(args)
			if err != nil {
				return v, err
			}
			m.made(v)
			if !m.charge(v) {
				return cty.DynamicVal, function.NewArgErrorf(0, "%s", m.reason)
			}
			return v, nil
		},
	})
}
