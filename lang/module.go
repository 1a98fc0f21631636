package lang

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/netpupper/netp/suggest"
)

// maxModuleScopes bounds the calls of all modules together.
const maxModuleScopes = 10_000

// expandModules calls the modules of a scope, and those in them. The names that a
// module declares must be known before anything refers to them; their values are
// made when somebody does.
func (l *loader) expandModules(s *scope, dirs []string) {
	for _, it := range s.order {
		if it.kind == "module" {
			l.callModule(it, dirs)
		}
	}
}

// callModule makes the scopes of one module block.
func (l *loader) callModule(it *item, dirs []string) {
	dir, ok := l.moduleDir(it, dirs[len(dirs)-1])
	if !ok {
		return
	}
	attr := it.block.Body.Attributes["source"]
	if slices.Contains(dirs, dir) {
		l.fail(attr.Expr.Range(), sumInvalidModule, "The module %s calls itself, by way of: %s.", dir, strings.Join(append(dirs, dir), " → "))
		return
	}
	if len(dirs) > l.limits.Modules {
		l.fail(attr.Expr.Range(), sumInvalidModule, "Modules call each other more than %d deep here.", l.limits.Modules)
		return
	}
	before := l.errors
	files := l.sourcesOf(dir)
	if len(files) == 0 {
		if l.errors == before {
			l.fail(attr.Expr.Range(), sumInvalidModule, "There is no *.hcl file in %s.", dir)
		}
		return
	}
	inputs := map[string]*hclsyntax.Attribute{}
	for name, a := range it.block.Body.Attributes {
		if name != "source" && name != "for_each" {
			inputs[name] = a
		}
	}
	enter := func(addr string, caller *env) *scope {
		if len(l.scopes) >= maxModuleScopes {
			l.fail(it.rng, sumTooManyInstances, "Modules are called more than %d times in all.", maxModuleScopes)
			return nil
		}
		s := l.newScope(addr, files)
		s.inputs, s.caller, s.call, s.dormant = inputs, caller, it.rng, caller == nil || it.scope.dormant
		s.checkInputs()
		l.expandModules(s, append(slices.Clip(dirs), dir))
		return s
	}
	it.instances(func(in *instance) cty.Value {
		if s := enter(in.addr, in.env); s != nil {
			it.calls = append(it.calls, s)
		}
		return cty.DynamicVal
	})
	if len(it.calls) == 0 {
		enter(it.ref, nil)
	}
}

// moduleDir finds a module's directory, relative to the suite's.
func (l *loader) moduleDir(it *item, caller string) (string, bool) {
	attr := it.block.Body.Attributes["source"]
	if attr == nil {
		return "", false
	}
	v, ok := literal(attr.Expr)
	if !ok || v.Type() != cty.String {
		l.fail(attr.Expr.Range(), sumInvalidModule, "The source of a module is read before anything is evaluated. Write it out: \"./modules/branch\".")
		return "", false
	}
	source := v.AsString()
	if !strings.HasPrefix(source, "./") && !strings.HasPrefix(source, "../") {
		l.fail(attr.Expr.Range(), sumInvalidModule, "A module is a directory of this suite, and its source begins with ./ or ../; this is %q.", source)
		return "", false
	}
	dir := path.Join(caller, source)
	if dir == ".." || strings.HasPrefix(dir, "../") {
		l.fail(attr.Expr.Range(), sumInvalidModule, "%q leads out of the suite's directory. Modules live below it.", source)
		return "", false
	}
	if info, err := l.reader.root.Stat(dir); err != nil || !info.IsDir() {
		l.fail(attr.Expr.Range(), sumInvalidModule, "There is no directory %s.", dir)
		return "", false
	}
	return dir, true
}

// checkInputs compares the arguments of a call with the module's variables.
func (s *scope) checkInputs() {
	var known []string
	for ref := range s.items {
		if name, ok := strings.CutPrefix(ref, "var."); ok {
			known = append(known, name)
		}
	}
	for name, a := range s.inputs {
		if it := s.items["var."+name]; it == nil {
			hint := suggest.Sentence(name, known)
			if hint == "" {
				hint = " Its variables are: " + listed(known) + "."
			}
			s.loader.fail(a.NameRange, sumUnknownArgument, "The module has no variable %q.%s", name, hint)
		}
	}
}

// module is what a reference to a module stands for: the blocks it declares, by
// the words they are referred to with. Who refers to a module uses all of them.
func (it *item) module() cty.Value {
	many := it.block.Body.Attributes["for_each"] != nil
	out := map[string]cty.Value{}
	for _, s := range it.calls {
		v := s.exports()
		if !many {
			return v
		}
		if key := it.callKey(s); key != "" {
			out[key] = v
		}
	}
	if !many {
		return cty.DynamicVal // the call itself has a fault
	}
	return cty.ObjectVal(out)
}

// callKey is the for_each key of one call.
func (it *item) callKey(s *scope) string {
	if s.caller.extra == nil {
		return ""
	}
	self := s.caller.extra("self")
	key, _ := toText(self.GetAttr("key"))
	return key
}

// exports are the declarations of a module as seen by its caller.
func (s *scope) exports() cty.Value {
	values := rootValues{}
	for _, it := range s.order {
		root, names, _ := strings.Cut(it.ref, ".")
		if it.kind == "variable" || it.kind == "local" || it.kind == "test" || it.kind == "module" && it.state == inProgress {
			continue
		}
		group, name := "", names
		if referable[root] == 2 {
			group, name, _ = strings.Cut(names, ".")
		}
		it.used = true
		if values[root] == nil {
			values[root] = map[string]map[string]cty.Value{}
		}
		if values[root][group] == nil {
			values[root][group] = map[string]cty.Value{}
		}
		values[root][group][name] = s.resolve(it, it.rng)
	}
	return cty.ObjectVal(values.variables())
}
