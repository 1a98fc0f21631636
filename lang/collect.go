package lang

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/suggest"
)

// collector gathers the diagnostics of one Load, with excerpts of the sources.
type collector struct {
	sources map[string]*source
	list    diag.List
	seen    map[string]bool
	max     int
	errors  int
	// broken says that some file could not be read or parsed in full, so that
	// nothing is known of what is missing.
	broken bool
	// lost are the lines at which the parser lost its way: all else that could be said of them follows from that.
	lost    map[hcl.Range]bool
	secrets secrets
	// callable are the names of the functions, to suggest one.
	callable []string
}

func newCollector(max int) *collector {
	return &collector{sources: map[string]*source{}, seen: map[string]bool{}, lost: map[hcl.Range]bool{}, secrets: secrets{}, max: max}
}

// fail adds an error at a range; the zero range means no place.
func (c *collector) fail(rng hcl.Range, summary, format string, args ...any) {
	c.add(diag.Diagnostic{Severity: diag.Error, Summary: summary, Detail: fmt.Sprintf(format, args...)}, rng)
}

// failAt adds an error about a block known by its address.
func (c *collector) failAt(addr string, rng hcl.Range, summary, format string, args ...any) {
	c.add(diag.Diagnostic{Severity: diag.Error, Summary: summary, Detail: fmt.Sprintf(format, args...), Address: addr}, rng)
}

// warn adds a warning at a range.
func (c *collector) warn(rng hcl.Range, summary, format string, args ...any) {
	c.add(diag.Diagnostic{Severity: diag.Warning, Summary: summary, Detail: fmt.Sprintf(format, args...)}, rng)
}

// aboutAbsence are the faults that a lost piece of a file makes up.
var aboutAbsence = []string{sumUnknownReference, sumMissingArgument, sumUnknownPair, sumEmptyPath, sumNoSuite, sumUnused,
	sumNoVariableValue}

// add keeps a diagnostic once per place: the instances of one block repeat the
// same fault, and reading it once is enough.
func (c *collector) add(d diag.Diagnostic, rng hcl.Range) {
	if c.broken && slices.Contains(aboutAbsence, d.Summary) || c.lost[lineOf(rng)] {
		return
	}
	if rng.End.Byte < rng.Start.Byte { // of an expression that did not parse
		rng.End = rng.Start
	}
	d.Detail = c.secrets.redact(diag.Plain(d.Detail))
	key := d.Summary + "\x00" + rng.String()
	if rng == (hcl.Range{}) || !strings.Contains(d.Address, "[") {
		key += "\x00" + d.Detail
	}
	if c.seen[key] {
		return
	}
	c.seen[key] = true
	if d.Severity == diag.Error {
		c.errors++
	}
	if len(c.list) >= c.max {
		if len(c.list) == c.max {
			c.list = append(c.list, diag.Diagnostic{Severity: diag.Error, Summary: sumTooManyFaults,
				Detail: fmt.Sprintf("There are more than %d faults; mend those above first.", c.max)})
		}
		return
	}
	if rng != (hcl.Range{}) {
		d.Range = toRange(rng)
		if d.Snippet == nil {
			d.Snippet = &diag.Snippet{}
		}
		if !c.excerpt(d.Snippet, rng) {
			d.Snippet = nil
		}
	} else {
		d.Snippet = nil
	}
	c.list = append(c.list, d)
}

// syntax adds what the parser says of a file.
func (c *collector) syntax(ds hcl.Diagnostics) {
	c.broken = c.broken || ds.HasErrors()
	for _, d := range ds {
		c.hcl(hcl.Diagnostics{d})
		if d.Subject != nil && d.Severity == hcl.DiagError && !isJSON(d.Subject.Filename) { // which may be one long line
			c.lost[lineOf(*d.Subject)] = true
		}
	}
}

// lineOf is where the line begins in which a range does.
func lineOf(rng hcl.Range) hcl.Range {
	at := hcl.Pos{Line: rng.Start.Line}
	return hcl.Range{Filename: rng.Filename, Start: at, End: at}
}

// hcl adds diagnostics of the HCL parser and evaluator.
func (c *collector) hcl(ds hcl.Diagnostics) {
	for _, d := range ds {
		out := diag.Diagnostic{Severity: diag.Error, Summary: d.Summary, Detail: strings.TrimSpace(d.Detail)}
		if d.Severity == hcl.DiagWarning {
			out.Severity = diag.Warning
		}
		if call, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
			out.Summary, out.Detail = sumUnknownFunction, c.noFunction(call.CalledFunctionName())
		}
		if secretCall(d) {
			out.Detail = "An argument is sensitive, so what the function says about it is not shown."
		}
		if d.Expression != nil && d.EvalContext != nil {
			out.Snippet = &diag.Snippet{Values: valuesOf(d.Expression, d.EvalContext)}
		}
		rng := hcl.Range{}
		if d.Subject != nil {
			rng = *d.Subject
		}
		c.add(out, rng)
	}
}

// noFunction says that a function is not there to be called, or only not in where, which has fewer.
func (c *collector) noFunction(name string) string {
	if slices.Contains(c.callable, name) {
		return fmt.Sprintf("The function %q cannot be used in where, which has the functions that need neither file nor environment. Refer to a variable or a local instead.", name)
	}
	return fmt.Sprintf("There is no function %q here.%s", name, suggest.Sentence(name, c.callable))
}

func toRange(r hcl.Range) *diag.Range {
	return &diag.Range{
		Filename: r.Filename,
		Start:    diag.Pos{Line: r.Start.Line, Column: r.Start.Column, Byte: r.Start.Byte},
		End:      diag.Pos{Line: r.End.Line, Column: r.End.Column, Byte: r.End.Byte},
	}
}

const maxExcerpt = 2048

// excerpt fills in the lines a range covers; long ones are cut around it.
func (c *collector) excerpt(s *diag.Snippet, rng hcl.Range) bool {
	src := c.sources[rng.Filename]
	if src == nil {
		return false
	}
	text := src.bytes
	start, end := min(rng.Start.Byte, len(text)), min(max(rng.End.Byte, rng.Start.Byte), len(text))
	from := bytes.LastIndexByte(text[:start], '\n') + 1
	to := len(text)
	if i := bytes.IndexByte(text[end:], '\n'); i >= 0 {
		to = end + i
	}
	if end > start && text[end-1] == '\n' {
		to = end - 1
		end = to
	}
	from, to = max(from, start-maxExcerpt/2), min(to, start+maxExcerpt)
	s.Code = strings.ToValidUTF8(string(text[from:max(from, to)]), "?")
	if s.Code != c.secrets.redact(s.Code) {
		return false
	}
	s.StartLine = rng.Start.Line
	s.HighlightStartOffset = min(start-from, len(s.Code))
	s.HighlightEndOffset = min(max(end-from, s.HighlightStartOffset), len(s.Code))
	if src.body != nil {
		s.Context = contextOf(src.body, start)
	}
	if s.Values == nil {
		s.Values = []diag.Value{}
	}
	return true
}

// contextOf names the blocks around an offset: `test "bulk", assert "speed"`.
func contextOf(body *hclsyntax.Body, offset int) string {
	for _, b := range body.Blocks {
		if !b.Range().ContainsOffset(offset) {
			continue
		}
		name := b.Type
		for _, l := range b.Labels {
			name += fmt.Sprintf(" %q", l)
		}
		if inner := contextOf(b.Body, offset); inner != "" {
			name += ", " + inner
		}
		return name
	}
	return ""
}

// listed writes names for people: `a, b, c`, at most twenty.
func listed(names []string) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) > 20 {
		return strings.Join(names[:20], ", ") + fmt.Sprintf(" and %d more", len(names)-20)
	}
	return strings.Join(names, ", ")
}
