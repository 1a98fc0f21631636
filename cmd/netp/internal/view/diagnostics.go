package view

import (
	"strings"
	"unicode/utf8"

	"github.com/netpupper/netp/lang/diag"
)

// Diagnostics prints all of them in file order, warnings as one line each when
// compact.
func (t Terminal) Diagnostics(list diag.List, compactWarnings bool) {
	for _, d := range list.Sorted() {
		if compactWarnings && d.Severity == diag.Warning {
			t.Printf("%s %s%s\n", t.paint(yellow, "Warning:"), d.Summary, where(d))
			continue
		}
		t.diagnostic(d)
	}
}

func where(d diag.Diagnostic) string {
	if d.Range == nil {
		return ""
	}
	return ", on " + d.Range.Filename + " line " + itoa(d.Range.Start.Line)
}

func (t Terminal) diagnostic(d diag.Diagnostic) {
	word := t.paint(red, "Error:")
	if d.Severity == diag.Warning {
		word = t.paint(yellow, "Warning:")
	}
	t.Printf("%s %s\n\n", word, t.paint(bold, d.Summary))
	t.excerpt(d)
	t.Printf("%s\n", wrap(d.Detail, "  ", min(t.Width, 100)))
}

// excerpt prints the place and the source with a mark under what is wrong.
func (t Terminal) excerpt(d diag.Diagnostic) {
	if d.Range == nil {
		return
	}
	place := "  on " + d.Range.Filename + " line " + itoa(d.Range.Start.Line)
	if d.Snippet == nil {
		t.Printf("%s\n", place)
		return
	}
	if d.Snippet.Context != "" {
		place += ", in " + d.Snippet.Context
	}
	if instance(d.Address) && d.Snippet.Context != d.Address {
		place += ", with " + d.Address
	}
	t.Printf("%s:\n", place)
	lines := strings.Split(strings.TrimRight(d.Snippet.Code, "\n"), "\n")
	offset := 0
	for i, line := range lines {
		number := itoa(d.Snippet.StartLine + i)
		shown, from := around(line, d.Snippet.HighlightStartOffset-offset, t.excerptWidth())
		shown = strings.ReplaceAll(strings.TrimSuffix(shown, "\r"), "\t", " ")
		t.Printf("  %s: %s\n", number, shown)
		if mark := underline(shown, d.Snippet.HighlightStartOffset-offset-from, d.Snippet.HighlightEndOffset-offset-from); mark != "" {
			t.Printf("  %s  %s\n", strings.Repeat(" ", len(number)), t.paint(red, mark))
		}
		offset += len(line) + 1
	}
	for _, v := range d.Snippet.Values {
		t.Printf("    │ %s %s\n", t.paint(cyan, v.Traversal), v.Statement)
	}
}

// instance says that an address tells more than the source around it: one of several that a for_each or the calls of a module make.
func instance(addr string) bool {
	return strings.HasPrefix(addr, "module.") || strings.Contains(addr, "[")
}

// excerptWidth is how much of a line of source is shown.
func (t Terminal) excerptWidth() int {
	if t.Width > 0 {
		return max(t.Width-10, 40)
	}
	return 160
}

// around gives the part of a long line around a byte of it, and how many bytes of
// the line the part's first byte comes after.
func around(line string, at, width int) (part string, from int) {
	if len(line) <= width {
		return line, 0
	}
	from = min(max(at-width/2, 0), len(line)-width)
	for from > 0 && !utf8.RuneStart(line[from]) {
		from--
	}
	to := from + width
	for to < len(line) && !utf8.RuneStart(line[to]) {
		to++
	}
	return line[from:to], from
}

// underline marks bytes start to end of the line with tildes.
func underline(line string, start, end int) string {
	start, end = max(start, 0), min(end, len(line))
	if start >= end {
		return ""
	}
	return strings.Repeat(" ", visible(line[:start])) + strings.Repeat("~", max(1, visible(line[start:end])))
}

// validation is the document of `validate -json`.
type validation struct {
	FormatVersion string    `json:"format_version"`
	Valid         bool      `json:"valid"`
	ErrorCount    int       `json:"error_count"`
	WarningCount  int       `json:"warning_count"`
	Diagnostics   diag.List `json:"diagnostics"`
}
