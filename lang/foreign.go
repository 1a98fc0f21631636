package lang

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// midway are the summaries of a parser that stopped behind a whole expression, where it takes no more.
var midway = []string{
	"Missing newline after argument", "Invalid single-argument block definition", "Unexpected comma after argument",
	"Unbalanced parentheses", "Missing argument separator", "Missing item separator", "Missing attribute separator",
	"Missing false expression in conditional", "Invalid 'for' expression", "Extra characters after interpolation expression",
	"Invalid expression",
}

// foreign is an operator as other languages write it: the end of what stands in the line before the place where the parser stops, of
// which a group belongs to the operator, and the beginning of what stands there.
type foreign struct {
	before, at *regexp.Regexp
	advice     string
}

var (
	settled   = regexp.MustCompile(`[\w)\]}"]\s*$`)
	beginning = regexp.MustCompile(`^\s*$|[\w)\]}"]\s*$`) // or that of a line within parentheses

	foreigners = []foreign{
		{beginning, regexp.MustCompile(`^(?i:and)\b`), `There is no operator "and". Write && for it.`},
		{beginning, regexp.MustCompile(`^(?i:or)\b`), `There is no operator "or". Write || for it.`},
		{regexp.MustCompile(`(\b(?i:not)\s+)$`), regexp.MustCompile(``), `There is no operator "not". Write !(…) around what is not to be true.`},
		{regexp.MustCompile(`(<)$`), regexp.MustCompile(`^>`), `There is no operator "<>". Write != for it.`},
		{regexp.MustCompile(`([=!]=)$`), regexp.MustCompile(`^=`), `Here two signs compare, not three. Write == or !=.`},
		{settled, regexp.MustCompile(`^=<`), `There is no operator "=<". Write <= for it.`},
		{settled, regexp.MustCompile(`^=>`), `There is no operator "=>". Write >= for it.`},
		{settled, regexp.MustCompile(`^=`), `One = gives an argument its value. Write == to compare.`},
		{regexp.MustCompile(`(\b[0-9]+)$`), regexp.MustCompile(`^,[0-9]+`), `Before the decimals of a number stands a point, not a comma.`},
	}
)

// longestForeign is how far before such a place is looked for one [B].
const longestForeign = 80

// explainOperators has the parser, where it stopped at an operator of another language, say how this one writes it.
func explainOperators(text []byte, ds hcl.Diagnostics) {
	for _, d := range ds {
		if d.Subject == nil || d.Subject.End.Byte > len(text) {
			continue
		}
		at := d.Subject.Start.Byte
		before, after := text[bytes.LastIndexByte(text[:at], '\n')+1:at], text[at:]
		switch {
		case slices.Contains(midway, d.Summary):
			after, _, _ = bytes.Cut(after, []byte("\n"))
			explainOperator(d, before[max(0, len(before)-longestForeign):], after)
		case d.Summary == "Argument or block definition required" && continued.Match(after):
			d.Detail = fmt.Sprintf("An expression ends with its line, so that this one begins with %s. Write parentheses around what takes several lines: ( … ).", after[:2])
		}
	}
}

// continued is the beginning of a line that goes on with a condition.
var continued = regexp.MustCompile(`^(?:&&|\|\|)`)

func explainOperator(d *hcl.Diagnostic, before, after []byte) {
	for _, f := range foreigners {
		behind, here := f.before.FindSubmatchIndex(before), f.at.FindIndex(after)
		if behind == nil || here == nil {
			continue
		}
		rng := *d.Subject
		rng.End = rng.Start
		if len(behind) > 2 {
			rng.Start.Column -= utf8.RuneCount(before[behind[2]:])
			rng.Start.Byte -= len(before) - behind[2]
		}
		rng.End.Column += here[1]
		rng.End.Byte += here[1]
		d.Summary, d.Detail, d.Subject = sumInvalidExpression, f.advice, &rng
		return
	}
}
