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
	look := glance(f.bytes, f.name, limits)
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
	file, diags := hclsyntax.ParseConfig(f.bytes, f.name, hcl.InitialPos)
	p.diags = diags
	if body, ok := file.Body.(*hclsyntax.Body); ok {
		f.body = body
	}
	return p
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
