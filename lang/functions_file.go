package lang

import (
	"errors"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// languageFunctions are all functions of the language: the pure ones and those
// that read files below the suite's directory or the environment.
func (l *loader) languageFunctions() map[string]function.Function {
	all := pureFunctions(l.meter)
	inner := pureFunctions(l.meter)
	for name, f := range map[string]function.Function{
		"env": l.envFunc(), "file": l.meter.metered(l.fileFunc(), nil), "fileexists": l.meter.metered(l.fileExistsFunc(), nil),
	} {
		all[name], inner[name] = f, f
	}
	all["templatefile"] = l.meter.metered(l.templateFileFunc(inner), nil)
	return all
}

// envFunc reads a variable of the environment; its value is sensitive.
func (l *loader) envFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "name", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name := args[0].AsString()
			if l.options.Environ == nil {
				return cty.NilVal, errors.New("the environment cannot be read here")
			}
			v, ok := l.options.Environ(name)
			if !ok {
				return cty.NilVal, function.NewArgErrorf(0, "the environment has no variable %s; set it, or write try(env(%q), \"\") where it may be missing", name, name)
			}
			secret := cty.StringVal(strings.ToValidUTF8(v, "\uFFFD"))
			l.secrets.remember(secret)
			return secret.Mark(sensitive), nil
		},
	})
}

// below cleans a path of the suite's directory.
func below(name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\\:\x00") {
		return "", function.NewArgErrorf(0, "write a path relative to the suite's directory, with forward slashes")
	}
	name = path.Clean(name)
	if name == ".." || strings.HasPrefix(name, "../") {
		return "", function.NewArgErrorf(0, "it leads out of the suite's directory, and files are read only below it")
	}
	return name, nil
}

func (l *loader) fileText(name string) (string, error) {
	name, err := below(name)
	if err != nil {
		return "", err
	}
	data, fault := l.reader.text(name)
	if fault != nil {
		return "", function.NewArgErrorf(0, "%s", strings.TrimSuffix(fault.detail, "."))
	}
	return string(data), nil
}

func (l *loader) fileFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := l.fileText(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			return cty.StringVal(s), nil
		},
	})
}

func (l *loader) fileExistsFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name, err := below(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			info, err := l.reader.root.Stat(name)
			return cty.BoolVal(err == nil && info.Mode().IsRegular()), nil
		},
	})
}

// templateFileFunc renders a template of a file with the given variables. In it
// all functions are known but itself.
func (l *loader) templateFileFunc(functions map[string]function.Function) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			e, err := l.template(args[0].AsString())
			if err != nil {
				return cty.NilVal, err
			}
			if ty := args[1].Type(); !args[1].IsKnown() || !ty.IsObjectType() && !ty.IsMapType() {
				return cty.NilVal, function.NewArgErrorf(1, "an object with the variables of the template is needed")
			}
			ctx := &hcl.EvalContext{Functions: functions, Variables: map[string]cty.Value{}}
			for it := args[1].ElementIterator(); it.Next(); {
				k, v := it.Element()
				ctx.Variables[k.AsString()] = v
			}
			v, ds := e.Value(ctx)
			if ds.HasErrors() {
				return cty.NilVal, function.NewArgErrorf(0, "%s", templateFault(ds))
			}
			return convert.Convert(v, cty.String)
		},
	})
}

// template reads and parses the file of a template, once.
func (l *loader) template(name string) (hclsyntax.Expression, error) {
	text, err := l.fileText(name)
	if err != nil {
		return nil, err
	}
	if e := l.templates[name]; e != nil {
		return e, nil
	}
	e, fault, ds := parseExpression(text, name, hcl.InitialPos, true, l.limits)
	switch {
	case fault != nil:
		return nil, function.NewArgErrorf(0, "%s", fault.detail)
	case ds.HasErrors():
		return nil, function.NewArgErrorf(0, "%s", templateFault(ds))
	}
	l.meter.instrument(e)
	l.templates[name] = e
	return e, nil
}

func templateFault(ds hcl.Diagnostics) string {
	d := ds[0]
	where := ""
	if d.Subject != nil {
		where = "in " + d.Subject.String() + ": "
	}
	return where + d.Summary + ": " + strings.TrimSuffix(d.Detail, ".")
}
