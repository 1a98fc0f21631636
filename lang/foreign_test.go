package lang

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// TestForeignOperators: where the parser stops at an operator of another language, how it is written here is told; elsewhere it speaks itself.
func TestForeignOperators(t *testing.T) {
	const stays = ""
	for line, c := range map[string]struct{ at, detail string }{
		"a = x <= 1 and y":       {"and", `There is no operator "and". Write && for it.`},
		"a { b = x <= 1 AND y }": {"AND", `There is no operator "and". Write && for it.`},
		"a = (x or y)":           {"or", `There is no operator "or". Write || for it.`},
		"a = max(x or y, 1)":     {"or", `There is no operator "or". Write || for it.`},
		"a = [x or y]":           {"or", `There is no operator "or". Write || for it.`},
		"a = \"ä${x and y}\"":    {"and", `There is no operator "and". Write && for it.`},
		"a = not x":              {"not ", `There is no operator "not". Write !(…) around what is not to be true.`},
		"a = x <> 1":             {"<>", `There is no operator "<>". Write != for it.`},
		"a = x === 1":            {"===", `Here two signs compare, not three. Write == or !=.`},
		"a = x !== 1":            {"!==", `Here two signs compare, not three. Write == or !=.`},
		"a = x =< 1":             {"=<", `There is no operator "=<". Write <= for it.`},
		"a { b = x => 1 }":       {"=>", `There is no operator "=>". Write >= for it.`},
		"a = x = 1":              {"=", `One = gives an argument its value. Write == to compare.`},
		"a = x <= 0,5":           {"0,5", `Before the decimals of a number stands a point, not a comma.`},
		"a { b = x <= 0,5 }":     {"0,5", `Before the decimals of a number stands a point, not a comma.`},
		"a = x && y\n  || z":     {"||", "An expression ends with its line, so that this one begins with ||. Write parentheses around what takes several lines: ( … )."},
		"a = x b = y":            {"b", stays},
		"a = x order y":          {"order", stays},
		"a = = 1":                {"=", stays},
		"a = { x => 1 }":         {"=>", stays},
		"a { b = 1, c = 2 }":     {",", stays},
		"= 1":                    {"=", stays},
	} {
		text := "b = 1\n" + line + "\n"
		_, faults := Format([]byte(text), "s.hcl")
		if len(faults) == 0 || faults[0].Range == nil {
			t.Errorf("%s: %+v; want a fault with a place", line, faults)
			continue
		}
		f := faults[0]
		if c.detail == stays {
			_, plain := hclsyntax.ParseConfig([]byte(text), "s.hcl", hcl.InitialPos)
			c.detail = plain[0].Detail
		}
		if at := text[f.Range.Start.Byte:f.Range.End.Byte]; at != c.at || f.Detail != c.detail {
			t.Errorf("%s: at %q: %s; want %q: %s", line, at, f.Detail, c.at, c.detail)
		}
	}
}
