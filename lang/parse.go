package lang

import (
	"runtime"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"golang.org/x/sync/errgroup"
)

// parsed is the outcome of one file.
type parsed struct {
	src    *source
	tokens int
	diags  hcl.Diagnostics
	fault  *gateFault
}

// parseAll parses files side by side and hands the outcomes back in order.
func parseAll(files []*source, limits Limits) []parsed {
	out := make([]parsed, len(files))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, f := range files {
		group.Go(func() error {
			out[i] = parseOne(f, limits)
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	return out
}

// parseOne parses a file unless the gate refuses it. A panic of the parser is
// turned into a fault of this file.
func parseOne(f *source, limits Limits) (p parsed) {
	p.src = f
	defer func() {
		if r := recover(); r != nil {
			p.fault = &gateFault{sumInternal, "The parser cannot read this file. Please report it with the file.", fileRange(f)}
		}
	}()
	if isJSON(f.name) {
		f.body, p.tokens, p.fault, p.diags = parseJSON(f, limits)
		return p
	}
	look := glance(f.bytes, f.name, limits, pieceLength)
	p.tokens = look.tokens
	if !look.safe {
		if look.fault != nil {
			p.fault = look.fault
			return p
		}
		tokens, _ := hclsyntax.LexConfig(f.bytes, f.name, hcl.InitialPos)
		p.tokens = len(tokens)
		if p.fault = checkTokens(tokens, limits); p.fault != nil {
			return p
		}
	}
	if look.safe {
		f.body = parsePieces(f, look.breaks)
	}
	if f.body == nil {
		f.body, p.diags = parseBody(f.bytes, f.name, hcl.InitialPos)
		explainFigures(f.bytes, p.diags)
		explainOperators(f.bytes, p.diags)
	}
	return p
}

// parseBody parses a text that begins at a place of its file.
func parseBody(text []byte, name string, start hcl.Pos) (*hclsyntax.Body, hcl.Diagnostics) {
	file, diags := hclsyntax.ParseConfig(text, name, start)
	return file.Body.(*hclsyntax.Body), diags // what the native parser makes is one
}

// pieceLength is how much of a file is parsed at a time, or a little more [B].
const pieceLength = 4 << 10

// parsePieces parses a file side by side between its breaks. The lexer makes all tokens of a text before the parser reads the first, a
// hundred bytes for each word and sign: those of a piece are gone before the next, and stay in the cache until then. It gives nil
// where a piece is not all right by itself: then the whole text says what is wrong.
func parsePieces(f *source, breaks []hcl.Pos) *hclsyntax.Body {
	if len(breaks) == 0 {
		return nil
	}
	breaks = append([]hcl.Pos{hcl.InitialPos}, breaks...)
	bodies := make([]*hclsyntax.Body, len(breaks))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, from := range breaks {
		text := f.bytes[from.Byte:]
		if i+1 < len(breaks) {
			text = text[:breaks[i+1].Byte-from.Byte]
		}
		group.Go(func() error {
			defer func() { _ = recover() }() // the whole text will do the same, and be told
			if body, diags := parseBody(text, f.name, from); len(diags) == 0 {
				bodies[i] = body
			}
			return nil
		})
	}
	_ = group.Wait() // no function returns an error
	return joined(bodies)
}

// joined makes one body of those of the pieces of a file, nil when one is missing or an argument stands in two of them.
func joined(bodies []*hclsyntax.Body) *hclsyntax.Body {
	whole := &hclsyntax.Body{Attributes: hclsyntax.Attributes{}, Blocks: hclsyntax.Blocks{}}
	for _, b := range bodies {
		if b == nil {
			return nil
		}
		for name, a := range b.Attributes {
			if whole.Attributes[name] != nil {
				return nil
			}
			whole.Attributes[name] = a
		}
		whole.Blocks = append(whole.Blocks, b.Blocks...)
	}
	last := bodies[len(bodies)-1]
	whole.SrcRange, whole.EndRange = hcl.RangeBetween(bodies[0].SrcRange, last.SrcRange), last.EndRange
	return whole
}

// parseExpression parses an expression or a template that stands in a string.
func parseExpression(text, filename string, start hcl.Pos, template bool, limits Limits) (hclsyntax.Expression, *gateFault, hcl.Diagnostics) {
	src := []byte(text)
	var tokens hclsyntax.Tokens
	if template {
		tokens, _ = hclsyntax.LexTemplate(src, filename, start)
	} else {
		tokens, _ = hclsyntax.LexExpression(src, filename, start)
	}
	if f := checkTokens(tokens, limits); f != nil {
		return nil, f, nil
	}
	if template {
		e, ds := hclsyntax.ParseTemplate(src, filename, start)
		return e, nil, ds
	}
	e, ds := hclsyntax.ParseExpression(src, filename, start)
	return e, nil, ds
}

// fileRange points at the start of a file.
func fileRange(f *source) hcl.Range {
	return hcl.Range{Filename: f.name, Start: hcl.InitialPos, End: hcl.InitialPos}
}
