package lang

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// bareFigure is a number with its unit behind it at the end of a text: 60ms, 10 Mbps, 0.5 %.
var bareFigure = regexp.MustCompile(`(?:^|[^\w.])([0-9][0-9.]*)\s*(%|[a-zA-Zµμ][\wµμ]*)\s*$`)

// explainFigures has the parser, where it stopped at such a figure, say how one is written.
func explainFigures(text []byte, ds hcl.Diagnostics) {
	for _, d := range ds {
		if d.Subject == nil || d.Subject.End.Byte > len(text) {
			continue
		}
		for _, at := range []hcl.Pos{d.Subject.Start, d.Subject.End} { // of a percent sign it points at what follows, of others at the unit
			line := text[bytes.LastIndexByte(text[:at.Byte], '\n')+1 : at.Byte]
			m := bareFigure.FindSubmatchIndex(line)
			if m == nil || bytes.Count(line[:m[2]], []byte(`"`))%2 == 1 {
				continue
			}
			if written := figureOf(string(line[m[2]:m[3]]), string(line[m[4]:m[5]])); written != "" {
				d.Summary, d.Detail = sumInvalidUnit, fmt.Sprintf("A unit does not stand behind a number by itself. Write %s.", written)
				from := hcl.Pos{Line: at.Line, Column: at.Column - utf8.RuneCount(line[m[2]:]), Byte: at.Byte - len(line[m[2]:])}
				d.Subject = &hcl.Range{Filename: d.Subject.Filename, Start: from, End: at}
				break
			}
		}
	}
}

// figureOf writes a number and what was meant as its unit in the language; "" where nobody can tell.
func figureOf(number, unit string) string {
	constants := names(slices.Concat(timeUnits, rateUnits, sizeUnits, bareUnits))
	if unit == "%" {
		unit = "percent"
	}
	if slices.Contains(constants, unit) {
		return number + " * " + unit
	}
	if _, err := parseDuration(number + unit); err == nil {
		return fmt.Sprintf("%q", number+unit)
	}
	if _, err := parseRate(number + unit); err == nil {
		return fmt.Sprintf("%q", number+unit)
	}
	for _, u := range slices.Concat(timeUnits, rateUnits, bareUnits) { // Mb may mean bits
		if strings.EqualFold(u.name, unit) {
			return number + " * " + u.name
		}
	}
	return ""
}
