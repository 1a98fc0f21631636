package lang

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Marks keep sensitive values out of suites. The faults that functions report are
// another way out: cty takes the marks off before it calls them, and they quote
// what they were given. So every secret is remembered when it appears, and taken
// out of what diagnostics say.

// minSecret is the length from which a secret can be told from ordinary text [B].
const minSecret = 4

// secrets are the texts that no diagnostic may hold.
type secrets map[string]bool

// remember notes every text in a sensitive value.
func (s secrets) remember(v cty.Value) {
	v, _ = v.UnmarkDeep()
	_ = cty.Walk(v, func(_ cty.Path, e cty.Value) (bool, error) {
		if text, ok := toText(e); ok && len(text) >= minSecret {
			s[text] = true
		}
		return true, nil
	})
}

// redact takes the secrets out of a text.
func (s secrets) redact(text string) string {
	for secret := range s {
		if strings.Contains(text, secret) {
			text = strings.ReplaceAll(text, secret, "(sensitive)")
		}
	}
	return text
}

// secretCall reports whether a diagnostic comes from calling a function with a
// sensitive argument; what the function says may quote any part of it.
func secretCall(d *hcl.Diagnostic) bool {
	if d.EvalContext == nil || !strings.Contains(d.Summary, "function") {
		return false
	}
	x, ok := d.Expression.(hclsyntax.Expression)
	if !ok {
		return false
	}
	args := []hclsyntax.Expression{x}
	if call, ok := x.(*hclsyntax.FunctionCallExpr); ok {
		args = call.Args
	}
	for _, arg := range args {
		if v, _ := arg.Value(d.EvalContext); v.ContainsMarked() {
			return true
		}
	}
	return false
}
