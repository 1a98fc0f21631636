// Package view renders what netp knows, for people and for machines: plans,
// diagnostics, live progress, reports; as text, JSON lines, JUnit XML and
// Markdown. It decides nothing and computes no figure that the records do not
// hold. Start with Terminal and Report.
package view

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

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

// Printf writes to the terminal, where nothing but its colours steers it. Errors of Out are for its owner.
func (t Terminal) Printf(format string, args ...any) {
	io.WriteString(t.Out, t.clean(fmt.Sprintf(format, args...)))
}

// clean makes control characters visible: names, messages and what agents say may hold any. Colours that paint makes stay.
func (t Terminal) clean(text string) string {
	var out strings.Builder
	for text = strings.ReplaceAll(text, "\r\n", "\n"); text != ""; {
		if n := colour(text); n > 0 && t.Color {
			out.WriteString(text[:n])
			text = text[n:]
			continue
		}
		c, size := utf8.DecodeRuneInString(text) // what is not UTF-8 is a utf8.RuneError, too
		if unicode.IsControl(c) && c != '\n' && c != '\t' {
			c = utf8.RuneError
		}
		out.WriteRune(c)
		text = text[size:]
	}
	return out.String()
}

// style is an ANSI SGR sequence.
type style string

const (
	normal style = "0"
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
	return s.sequence() + text + normal.sequence()
}

func (s style) sequence() string { return "\x1b[" + string(s) + "m" }

// colour is the length of the sequence of a style that text begins with; 0 for none.
func colour(text string) int {
	if text[0] != '\x1b' {
		return 0
	}
	for _, s := range []style{normal, bold, red, green, yellow, cyan} {
		if strings.HasPrefix(text, s.sequence()) {
			return len(s.sequence())
		}
	}
	return 0
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

// fold prints a line, broken at words where the terminal is narrow. A label that is padded to the width of the indent stays as it is.
func (t Terminal) fold(line, indent string) {
	if t.Width > 0 && visible(line) > t.Width {
		label := ""
		if n := len(indent); len(line) > n && strings.HasSuffix(line[:n], "  ") {
			label = line[:n]
		}
		line = label + strings.TrimRight(strings.TrimPrefix(wrap(line[len(label):], indent, t.Width), indent), "\n")
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
