// Package diag holds diagnostics: what is wrong with a user's files, where, and
// how to mend it. It knows no HCL types, so that every package can make and show
// diagnostics. It does not print; start with Diagnostic.
package diag

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Severity is how bad a diagnostic is.
type Severity string

// An error stops what was asked for; a warning does not.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Diagnostic is one finding about the user's input. The JSON form is the one of
// `validate -json`.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// Summary is a fixed phrase without names: "Unknown metric".
	Summary string `json:"summary"`
	// Detail says in full sentences what is wrong, why it matters, how to mend it.
	Detail  string   `json:"detail"`
	Range   *Range   `json:"range,omitempty"`
	Snippet *Snippet `json:"snippet,omitempty"`
	// Address of the block concerned, if any: test.voice.
	Address string `json:"address,omitempty"`
}

// Plain is a detail in which the panic of a function, which the evaluator hands on with the stack of Go, is a sentence.
func Plain(detail string) string {
	before, _, panicked := strings.Cut(detail, "panic in function implementation: ")
	if !panicked {
		return detail
	}
	return before + "for these values there is no result, or none that is a number."
}

// Range is a part of a file; Filename is relative to the suite's directory as given.
type Range struct {
	Filename string `json:"filename"`
	Start    Pos    `json:"start"`
	End      Pos    `json:"end"`
}

// Pos is a place in a file: line and column (in characters) from 1, byte from 0.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

// Snippet is the excerpt of source a diagnostic is about.
type Snippet struct {
	// Context is the block the excerpt stands in: `test "voice", assert "loss"`.
	Context              string  `json:"context"`
	Code                 string  `json:"code"`
	StartLine            int     `json:"start_line"`
	HighlightStartOffset int     `json:"highlight_start_offset"` // bytes into Code
	HighlightEndOffset   int     `json:"highlight_end_offset"`
	Values               []Value `json:"values"`
}

// Value is what a reference in the excerpt stood for: var.max_loss, is 0.1.
type Value struct {
	Traversal string `json:"traversal"`
	Statement string `json:"statement"`
}

// List is a set of diagnostics.
type List []Diagnostic

// HasErrors reports whether any of them is an error.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Count gives the number of errors and of warnings.
func (l List) Count() (errors, warnings int) {
	for _, d := range l {
		if d.Severity == Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

// Sorted returns the list by file and position, errors before warnings at the
// same place; those without a place come last.
func (l List) Sorted() List {
	out := slices.Clone(l)
	slices.SortStableFunc(out, func(a, b Diagnostic) int {
		if a.Range == nil || b.Range == nil {
			return cmp.Compare(boolInt(a.Range == nil), boolInt(b.Range == nil))
		}
		return cmp.Or(
			strings.Compare(a.Range.Filename, b.Range.Filename),
			cmp.Compare(a.Range.Start.Byte, b.Range.Start.Byte),
			strings.Compare(string(a.Severity), string(b.Severity)))
	})
	return out
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Err makes the list an error that says the first error with its place, and how
// many more there are; nil when there is none.
func (l List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return listError{l}
}

type listError struct{ list List }

func (e listError) Error() string {
	errs, _ := e.list.Count()
	first := e.list[slices.IndexFunc(e.list, func(d Diagnostic) bool { return d.Severity == Error })]
	text := first.Summary + ": " + first.Detail
	if first.Range != nil {
		text = fmt.Sprintf("%s:%d: %s", first.Range.Filename, first.Range.Start.Line, text)
	}
	if errs > 1 {
		text += fmt.Sprintf(" (and %d more)", errs-1)
	}
	return text
}
