// Package view renders what netp knows, for people and for machines: plans,
// diagnostics, live progress, reports; as text, JSON lines, JUnit XML and
// Markdown. It decides nothing and computes no figure that the records do not
// hold. Start with Terminal and Report.
package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/netpupper/netp"
)

// Terminal is where text for people goes.
type Terminal struct {
	Out io.Writer
	// Color allows ANSI colours; a word always stands beside every colour.
	Color bool
	// Width is the number of columns; 0 means unbounded (a file or pipe).
	Width int
	// Live allows redrawing in place.
	Live bool
}

// Printf writes to the terminal. A terminal that is gone is not worth an error.
func (t Terminal) Printf(format string, args ...any) { fmt.Fprintf(t.Out, format, args...) }

// style is an ANSI SGR sequence.
type style string

const (
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (t Terminal) paint(s style, text string) string {
	if !t.Color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// verdict is the word of a status with its colour. A failure shouts.
func (t Terminal) verdict(s netp.Status) string {
	switch s {
	case netp.Pass:
		return t.paint(green, "pass")
	case netp.Fail:
		return t.paint(red, "FAIL")
	case netp.Inconclusive:
		return t.paint(yellow, "inconclusive")
	}
	return t.paint(red, "ERROR")
}

// fold prints a line, broken at words where the terminal is narrow.
func (t Terminal) fold(line, indent string) {
	if t.Width > 0 && visible(line) > t.Width {
		line = strings.TrimRight(strings.TrimPrefix(wrap(line, indent, t.Width), indent), "\n")
	}
	t.Printf("%s\n", line)
}

// wrap breaks text into lines of at most width columns, indented.
func wrap(text, indent string, width int) string {
	if width <= 0 {
		width = 100
	}
	var out strings.Builder
	for paragraph := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		line := indent
		for word := range strings.FieldsSeq(paragraph) {
			if len([]rune(line))+1+len([]rune(word)) > width && line != indent {
				out.WriteString(strings.TrimRight(line, " ") + "\n")
				line = indent
			}
			if line != indent {
				line += " "
			}
			line += word
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}

// plural gives "1 test" or "3 tests".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
