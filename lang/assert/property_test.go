package assert_test

import (
	"fmt"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"pgregory.net/rapid"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/assert"
)

// written draws expressions over the metrics a, b and c. Quotients are compared
// with constants that no quotient of small whole numbers equals, and never with
// "==", so that the rounding of the language's own numbers does not matter.
type written struct {
	t      *rapid.T
	budget int
}

func (w *written) pick(label string, of ...string) string {
	return rapid.SampledFrom(of).Draw(w.t, label)
}

func (w *written) leaf() string {
	if rapid.Bool().Draw(w.t, "metric") {
		return w.pick("name", "a", "b", "c")
	}
	return fmt.Sprint(rapid.IntRange(-4, 4).Draw(w.t, "constant"))
}

func (w *written) number(quotients bool) string {
	if w.budget--; w.budget <= 0 {
		return w.leaf()
	}
	kinds := []string{"leaf", "+", "-", "*", "neg", "min", "max", "abs", "?"}
	if quotients {
		kinds = append(kinds, "/", "%", "floor", "ceil", "signum")
	}
	switch k := w.pick("kind", kinds...); k {
	case "leaf":
		return w.leaf()
	case "neg":
		return "(-" + w.number(quotients) + ")"
	case "abs", "floor", "ceil", "signum":
		return k + "(" + w.number(quotients) + ")"
	case "min", "max":
		return fmt.Sprintf("%s(%s, %s)", k, w.number(quotients), w.number(quotients))
	case "?":
		return fmt.Sprintf("(%s ? %s : %s)", w.truth(), w.number(quotients), w.number(quotients))
	default:
		return fmt.Sprintf("(%s %s %s)", w.number(quotients), k, w.number(quotients))
	}
}

func (w *written) truth() string {
	if w.budget--; w.budget > 0 {
		switch k := w.pick("logic", "compare", "&&", "||", "!", "?"); k {
		case "&&", "||":
			return fmt.Sprintf("(%s %s %s)", w.truth(), k, w.truth())
		case "!":
			return "(!" + w.truth() + ")"
		case "?":
			return fmt.Sprintf("(%s ? %s : %s)", w.truth(), w.truth(), w.truth())
		}
	}
	switch op := w.pick("op", "<", "<=", ">", ">=", "==", "!=", "near <", "near >="); op {
	case "near <":
		return fmt.Sprintf("(%s < %d.437)", w.number(true), rapid.IntRange(-5, 5).Draw(w.t, "limit"))
	case "near >=":
		return fmt.Sprintf("(%s >= %d.437)", w.number(true), rapid.IntRange(-5, 5).Draw(w.t, "limit"))
	default:
		return fmt.Sprintf("(%s %s %s)", w.number(false), op, w.number(false))
	}
}

// TestKnownAnswersHoldEverywhere compares every verdict with what the language
// itself says at points within the intervals.
func TestKnownAnswersHoldEverywhere(t *testing.T) {
	var specs []netp.MetricSpec
	for _, name := range []string{"a", "b", "c"} {
		specs = append(specs, netp.MetricSpec{Name: name, Shape: netp.ValueShape})
	}
	decided, open := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := &written{t: t, budget: rapid.IntRange(1, 25).Draw(t, "size")}
		condition := w.truth() + " || a < -1000"
		a, problems := assert.Compile(assert.Source{Condition: condition, Metrics: specs, Confidence: 0.95, Functions: numeric()})
		if len(problems) > 0 {
			if problems[0].Detail == "This divides by zero." || problems[0].Summary == "Invalid expression" {
				return
			}
			t.Fatalf("%s: %+v", condition, problems)
		}
		bounds := map[string]netp.Estimate{}
		for _, s := range specs {
			low := rapid.IntRange(-6, 6).Draw(t, "low")
			e := netp.Estimate{Metric: s.Name, Low: float64(low), High: float64(low + rapid.IntRange(0, 4).Draw(t, "width"))}
			e.Point = e.Low
			e.OpenLow = rapid.IntRange(0, 9).Draw(t, "open low") == 0
			e.OpenHigh = rapid.IntRange(0, 9).Draw(t, "open high") == 0
			bounds[s.Name] = e
		}
		j := a.Judge(func(m string) (netp.Estimate, error) { return bounds[m], nil })
		if j.Status == netp.Inconclusive {
			open++
			return
		}
		decided++
		for range 20 {
			point := map[string]cty.Value{}
			for name, e := range bounds {
				low, high := int(2*e.Low), int(2*e.High)
				if e.OpenLow {
					low -= 100
				}
				if e.OpenHigh {
					high += 100
				}
				point[name] = cty.NumberFloatVal(float64(rapid.IntRange(low, high).Draw(t, name)) / 2)
			}
			if truth, ok := byTheLanguage(t, condition, point); ok && truth != (j.Status == netp.Pass) {
				t.Fatalf("%s over %+v: %s, but %t at %v", condition, bounds, j.Status, truth, point)
			}
		}
	})
	if decided == 0 || open == 0 {
		t.Errorf("%d decided, %d open: the test sees one side only", decided, open)
	}
}

func numeric() map[string]function.Function {
	return map[string]function.Function{
		"min": stdlib.MinFunc, "max": stdlib.MaxFunc, "abs": stdlib.AbsoluteFunc,
		"floor": stdlib.FloorFunc, "ceil": stdlib.CeilFunc, "signum": signum(),
	}
}

// signum of the standard library takes whole numbers only.
func signum() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "n", Type: cty.Number}},
		Type:   function.StaticReturnType(cty.Number),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return cty.NumberIntVal(int64(args[0].AsBigFloat().Sign())), nil
		},
	})
}

// byTheLanguage evaluates a condition at a point; false when it has no value there.
func byTheLanguage(t *rapid.T, condition string, point map[string]cty.Value) (truth, ok bool) {
	e, diags := hclsyntax.ParseExpression([]byte(condition), "", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	v, diags := e.Value(&hcl.EvalContext{Variables: point, Functions: numeric()})
	if diags.HasErrors() || !v.IsKnown() || v.IsNull() {
		return false, false
	}
	return v.True(), true
}

// FuzzJudge feeds Judge what a damaged plan may hold.
func FuzzJudge(f *testing.F) {
	f.Add("loss.ratio <= var.x", `{"var":{"value":{"x":1},"type":["object",{"x":"number"}]}}`, `"${loss.ratio}"`)
	f.Add("a.b[0].c == null", `{"()":{"value":1,"type":"number"}}`, "")
	f.Add("!!!!a", `{`, "<<EOT\n${a}\nEOT\n")
	f.Add("min() < max() || format(a.b) > log(0, 0) && pow(a.b, 1e9) % 0 != a.b / a.b", "", `"%{ for x in a }${x}%{ endfor }"`)
	f.Fuzz(func(t *testing.T, condition, constants, message string) {
		a := assert.Assertion{Condition: condition, Constants: []byte(constants), Message: message}
		for _, e := range []netp.Estimate{{Low: 1, Point: 1, High: 1}, {Low: -1, High: 1}, {OpenLow: true, OpenHigh: true}} {
			j := a.Judge(func(m string) (netp.Estimate, error) { return e, nil })
			if j.Status == "" {
				t.Errorf("%q: no status", condition)
			}
		}
		a.Comparisons()
	})
}
