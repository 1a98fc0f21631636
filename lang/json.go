package lang

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// The JSON syntax of HCL is read into the same syntax tree as the native one, so
// that everything after this file knows one language. HCL's own JSON parser
// recurses without a bound and parses the templates in strings at each
// evaluation, out of the meter's sight; so the tokens come from encoding/json
// here, and the reading of bodies, labels and templates follows HCL's JSON
// specification.

// jsonNode is one JSON value: members for an object, items for an array.
type jsonNode struct {
	rng     hcl.Range
	delim   json.Delim // '{', '[' or 0
	members []jsonMember
	items   []*jsonNode
	scalar  any // string, json.Number, bool or nil
}

type jsonMember struct {
	name string
	rng  hcl.Range
	val  *jsonNode
}

// jsonReader turns a file's tokens into nodes and those into bodies.
type jsonReader struct {
	file   *source
	limits Limits
	lines  *lineIndex
	dec    *json.Decoder
	tokens int
	diags  hcl.Diagnostics
	fault  *gateFault
}

// parseJSON reads a *.netp.json file or a JSON file of variables.
func parseJSON(f *source, limits Limits) (*hclsyntax.Body, int, *gateFault, hcl.Diagnostics) {
	r := &jsonReader{file: f, limits: limits, lines: newLineIndex(f.bytes), dec: json.NewDecoder(bytes.NewReader(f.bytes))}
	r.dec.UseNumber()
	f.texts = map[hclsyntax.Expression]string{}
	node := r.value(limits.Nesting)
	if node == nil {
		return nil, r.tokens, r.fault, r.diags
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		r.refuse(r.here(), "Invalid JSON", "There is something after the end of the JSON value. A file holds one object.")
	}
	schema := &blockSchema{free: true}
	if isSuiteFile(f.name) {
		schema = rootSchema()
	}
	body := r.body(node, schema)
	return body, r.tokens, r.fault, r.diags
}

func (r *jsonReader) refuse(rng hcl.Range, summary, format string, args ...any) {
	r.diags = append(r.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &rng})
}

// start is where the next token begins: separators lie between it and the last.
func (r *jsonReader) start() int {
	at := int(r.dec.InputOffset())
	for at < len(r.file.bytes) && strings.IndexByte(" \t\r\n,:", r.file.bytes[at]) >= 0 {
		at++
	}
	return at
}

func (r *jsonReader) span(start, end int) hcl.Range {
	return hcl.Range{Filename: r.file.name, Start: r.lines.pos(start), End: r.lines.pos(end)}
}

func (r *jsonReader) here() hcl.Range { return r.span(r.start(), r.start()+1) }

// value reads one value, nil after a fault.
func (r *jsonReader) value(depth int) *jsonNode {
	start := r.start()
	tok, err := r.dec.Token()
	r.tokens++
	if err != nil {
		r.syntax(start, err)
		return nil
	}
	n := &jsonNode{}
	switch t := tok.(type) {
	case json.Delim:
		if depth == 0 {
			r.fault = &gateFault{sumTooNested, fmt.Sprintf("Arrays and objects are nested more than %d deep here.", r.limits.Nesting), r.span(start, start+1)}
			return nil
		}
		n.delim = t
		if !r.children(n, depth-1) {
			return nil
		}
	case json.Number:
		if longNumber(string(t)) {
			r.fault = &gateFault{sumTooLarge, fmt.Sprintf("This number has more than %d characters or an exponent beyond %d. Write a shorter one.", maxNumberText, maxExponent), r.span(start, start+1)}
			return nil
		}
		n.scalar = t
	default:
		n.scalar = tok
	}
	n.rng = r.span(start, int(r.dec.InputOffset()))
	return n
}

// children reads the rest of an array or object.
func (r *jsonReader) children(n *jsonNode, depth int) bool {
	for r.dec.More() {
		if n.delim == '[' {
			item := r.value(depth)
			if item == nil {
				return false
			}
			n.items = append(n.items, item)
			continue
		}
		start := r.start()
		key, err := r.dec.Token()
		if err != nil {
			r.syntax(start, err)
			return false
		}
		name, _ := key.(string) // the decoder takes nothing else here
		rng := r.span(start, int(r.dec.InputOffset()))
		val := r.value(depth)
		if val == nil {
			return false
		}
		n.members = append(n.members, jsonMember{name, rng, val})
	}
	start := r.start()
	if _, err := r.dec.Token(); err != nil {
		r.syntax(start, err)
		return false
	}
	return true
}

func (r *jsonReader) syntax(start int, err error) {
	var s *json.SyntaxError
	detail := err.Error()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		detail = "the file ends before the JSON value does"
		start = max(len(r.file.bytes)-1, 0)
	case errors.As(err, &s):
		start = max(min(int(s.Offset), len(r.file.bytes))-1, 0)
	}
	r.refuse(r.span(start, start+1), "Invalid JSON", "This is not JSON: %s.", detail)
}

// body reads an object, or an array of objects that count as one.
func (r *jsonReader) body(n *jsonNode, schema *blockSchema) *hclsyntax.Body {
	b := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, SrcRange: n.rng, EndRange: hcl.Range{Filename: n.rng.Filename, Start: n.rng.End, End: n.rng.End}}
	for _, m := range r.allMembers(n) {
		if m.name == "//" {
			continue
		}
		if inner, ok := schema.blocks[m.name]; ok {
			r.blocks(b, m, inner, inner.labels, nil, m.val)
			continue
		}
		if old := b.Attributes[m.name]; old != nil {
			r.refuse(m.rng, "Attribute redefined", "The argument %q was already set in line %d. Each argument may be set once.", m.name, old.NameRange.Start.Line)
			continue
		}
		expr := r.argument(m.val, slices.Contains(schema.expressions, m.name))
		b.Attributes[m.name] = &hclsyntax.Attribute{Name: m.name, Expr: expr, NameRange: m.rng, EqualsRange: m.rng,
			SrcRange: hcl.RangeBetween(m.rng, m.val.rng)}
	}
	return b
}

func (r *jsonReader) allMembers(n *jsonNode) []jsonMember {
	switch n.delim {
	case '{':
		return n.members
	case '[':
		var all []jsonMember
		for _, item := range n.items {
			if item.delim != '{' {
				r.refuse(item.rng, "Incorrect JSON value type", "A JSON object is required here.")
				continue
			}
			all = append(all, item.members...)
		}
		return all
	}
	r.refuse(n.rng, "Incorrect JSON value type", "A JSON object is required here, with an argument or block in each member.")
	return nil
}

// blocks reads the blocks of one type: an object level per label, then bodies.
func (r *jsonReader) blocks(b *hclsyntax.Body, m jsonMember, schema *blockSchema, left []string, labels []jsonMember, n *jsonNode) {
	if len(left) > 0 {
		for _, inner := range r.allMembers(n) {
			if inner.name != "//" {
				r.blocks(b, m, schema, left[1:], append(slices.Clip(labels), inner), inner.val)
			}
		}
		return
	}
	bodies := []*jsonNode{n}
	if n.delim == '[' {
		bodies = n.items
	}
	for _, one := range bodies {
		if one.delim == 0 && one.scalar == nil {
			continue // null stands for no block
		}
		block := &hclsyntax.Block{Type: m.name, TypeRange: m.rng, Body: r.body(one, schema), CloseBraceRange: one.rng}
		block.OpenBraceRange = hcl.Range{Filename: one.rng.Filename, Start: one.rng.Start, End: one.rng.Start}
		for _, l := range labels {
			block.Labels = append(block.Labels, l.name)
			block.LabelRanges = append(block.LabelRanges, l.rng)
			block.TypeRange = l.rng
		}
		b.Blocks = append(b.Blocks, block)
	}
}

// argument reads a value as an expression: strings are templates.
func (r *jsonReader) argument(n *jsonNode, bare bool) hclsyntax.Expression {
	switch n.delim {
	case '[':
		e := &hclsyntax.TupleConsExpr{SrcRange: n.rng, OpenRange: n.rng}
		for _, item := range n.items {
			e.Exprs = append(e.Exprs, r.argument(item, false))
		}
		return e
	case '{':
		e := &hclsyntax.ObjectConsExpr{SrcRange: n.rng, OpenRange: n.rng}
		for _, m := range n.members {
			e.Items = append(e.Items, hclsyntax.ObjectConsItem{
				KeyExpr:   &hclsyntax.ObjectConsKeyExpr{Wrapped: r.template(m.name, m.rng)},
				ValueExpr: r.argument(m.val, false),
			})
		}
		return e
	}
	switch v := n.scalar.(type) {
	case string:
		if bare && !strings.HasPrefix(v, "${") {
			return r.expression(v, n.rng)
		}
		return r.template(v, n.rng)
	case json.Number:
		num, err := cty.ParseNumberVal(string(v))
		if err != nil {
			r.refuse(n.rng, "Invalid JSON", "%s is not a number.", v)
		}
		return &hclsyntax.LiteralValueExpr{Val: num, SrcRange: n.rng}
	case bool:
		return &hclsyntax.LiteralValueExpr{Val: cty.BoolVal(v), SrcRange: n.rng}
	}
	return &hclsyntax.LiteralValueExpr{Val: cty.NullVal(cty.DynamicPseudoType), SrcRange: n.rng}
}

// template reads a string, which is one template.
func (r *jsonReader) template(s string, rng hcl.Range) hclsyntax.Expression {
	if !strings.Contains(s, "${") && !strings.Contains(s, "%{") {
		return &hclsyntax.LiteralValueExpr{Val: cty.StringVal(s), SrcRange: rng}
	}
	e := r.parse(s, rng, true)
	if w, ok := e.(*hclsyntax.TemplateWrapExpr); ok {
		inner, base := w.Wrapped.Range(), rng.Start.Byte+1
		if from, to := inner.Start.Byte-base, inner.End.Byte-base; from >= 0 && from <= to && to <= len(s) {
			r.file.texts[e] = s[from:to]
		}
		return e
	}
	r.file.texts[e] = quoteTemplate(s)
	return e
}

// expression reads a string that is an expression by nature.
func (r *jsonReader) expression(s string, rng hcl.Range) hclsyntax.Expression {
	e := r.parse(s, rng, false)
	r.file.texts[e] = s
	return e
}

func (r *jsonReader) parse(s string, rng hcl.Range, template bool) hclsyntax.Expression {
	start := rng.Start
	start.Byte++
	start.Column++
	e, fault, ds := parseExpression(s, r.file.name, start, template, r.limits)
	r.tokens += len(s)/4 + 1
	r.diags = append(r.diags, ds...)
	if fault != nil {
		fault.rng = rng
		r.fault = fault
	}
	if e == nil || fault != nil {
		return &hclsyntax.LiteralValueExpr{Val: cty.DynamicVal, SrcRange: rng}
	}
	return e
}

// quoteTemplate writes a template as the native syntax does: quotes around it,
// and escapes in its literal parts only.
func quoteTemplate(s string) string {
	tokens, _ := hclsyntax.LexTemplate([]byte(s), "", hcl.InitialPos)
	var b strings.Builder
	b.WriteByte('"')
	last, depth := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenTemplateSeqEnd:
			depth--
		}
		b.WriteString(s[last:t.Range.Start.Byte]) // spaces between tokens
		text := s[t.Range.Start.Byte:t.Range.End.Byte]
		if depth == 0 && t.Type == hclsyntax.TokenStringLit {
			text = escapes.Replace(text)
		}
		b.WriteString(text)
		last = t.Range.End.Byte
	}
	b.WriteByte('"')
	return b.String()
}

var escapes = strings.NewReplacer("\\", "\\\\", "\"", "\\\"", "\n", "\\n", "\r", "\\r", "\t", "\\t")
