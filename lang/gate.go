package lang

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// HCL's parser and evaluator recurse on nesting and on runs of operators, and a
// Go stack that overflows ends the process. The gate looks at the tokens first,
// which the lexer makes without recursion.

// gateFault is why a text may not be parsed.
type gateFault struct {
	summary, detail string
	rng             hcl.Range
}

// maxNumberText is the length of the longest number literal [B]; longer ones take
// the evaluator a second per megabyte.
const maxNumberText = 100

// maxExponent bounds the decimal exponent of numbers: 1e400 is beyond any unit,
// and writing 1e999999999 out would fill the memory.
const maxExponent = 400

// maxDirectives bounds %{ … } sequences in one template; they nest without brackets.
const maxDirectives = 100

// gateLevel is one open bracket, template or block.
type gateLevel struct {
	open       hclsyntax.TokenType
	chain      int  // operators and steps since the last separator
	directives int  // %{ in this template
	newlines   bool // newlines separate here
}

// gate walks tokens and keeps what the parser's recursion will depend on.
type gate struct {
	limits Limits
	levels []gateLevel
	chain  int // sum over the open levels
	unary  int
	fault  *gateFault
}

// checkTokens reports the first bound a text breaks, nil if none.
func checkTokens(tokens hclsyntax.Tokens, limits Limits) *gateFault {
	g := &gate{limits: limits, levels: []gateLevel{{newlines: true}}}
	for i := range tokens {
		g.token(&tokens[i])
		if g.fault != nil {
			return g.fault
		}
		if tokens[i].Type == hclsyntax.TokenOBrace && nextIsFor(tokens[i+1:]) {
			g.top().newlines = false
		}
	}
	return nil
}

func nextIsFor(rest hclsyntax.Tokens) bool {
	for _, t := range rest {
		switch t.Type {
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			continue
		case hclsyntax.TokenIdent:
			return string(t.Bytes) == "for"
		}
		return false
	}
	return false
}

func (g *gate) top() *gateLevel { return &g.levels[len(g.levels)-1] }

func (g *gate) token(t *hclsyntax.Token) {
	switch t.Type {
	case hclsyntax.TokenComment:
		if bytes.HasSuffix(t.Bytes, []byte("\n")) {
			g.newline()
		}
		return
	case hclsyntax.TokenBang, hclsyntax.TokenMinus:
		g.unary++
		if g.unary > g.limits.Unary {
			g.refuse(t, sumTooNested, "There are more than %d signs in a row here. Remove all but one or two.", g.limits.Unary)
		}
		g.step(t)
		return
	case hclsyntax.TokenNewline:
		g.newline()
		return
	}
	g.unary = 0
	switch t.Type {
	case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
		hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
		g.open(t)
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
		hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
		g.close(t)
	case hclsyntax.TokenComma:
		g.reset()
	case hclsyntax.TokenNumberLit:
		if longNumber(string(t.Bytes)) {
			g.refuse(t, sumTooLarge, "This number has more than %d characters or an exponent beyond %d. Write a shorter one.", maxNumberText, maxExponent)
		}
	case hclsyntax.TokenIdent, hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenQuotedNewline, hclsyntax.TokenEOF:
	default:
		g.step(t)
	}
}

func (g *gate) open(t *hclsyntax.Token) {
	if t.Type == hclsyntax.TokenTemplateControl {
		g.top().directives++
		if g.top().directives > maxDirectives {
			g.refuse(t, sumTooNested, "A template may have at most %d %%{ … } directives.", maxDirectives)
		}
	} else if t.Type != hclsyntax.TokenTemplateInterp {
		g.step(t)
	}
	g.levels = append(g.levels, gateLevel{open: t.Type, newlines: t.Type == hclsyntax.TokenOBrace})
	if len(g.levels) > g.limits.Nesting+1 {
		g.refuse(t, sumTooNested, "Brackets, blocks and templates are nested more than %d deep here. Name the inner parts as locals.", g.limits.Nesting)
	}
}

// closes says which token ends what another opened.
var closes = map[hclsyntax.TokenType]hclsyntax.TokenType{
	hclsyntax.TokenOBrace:          hclsyntax.TokenCBrace,
	hclsyntax.TokenOBrack:          hclsyntax.TokenCBrack,
	hclsyntax.TokenOParen:          hclsyntax.TokenCParen,
	hclsyntax.TokenTemplateInterp:  hclsyntax.TokenTemplateSeqEnd,
	hclsyntax.TokenTemplateControl: hclsyntax.TokenTemplateSeqEnd,
	hclsyntax.TokenOQuote:          hclsyntax.TokenCQuote,
	hclsyntax.TokenOHeredoc:        hclsyntax.TokenCHeredoc,
}

// close ends the innermost level. A closing token that does not match ends
// nothing: the parser recovers from it without leaving its recursion.
func (g *gate) close(t *hclsyntax.Token) {
	if len(g.levels) > 1 && closes[g.top().open] == t.Type {
		g.chain -= g.top().chain
		g.levels = g.levels[:len(g.levels)-1]
	}
}

// step counts one thing that makes the syntax tree deeper without a bracket.
func (g *gate) step(t *hclsyntax.Token) {
	g.top().chain++
	g.chain++
	if g.chain > g.limits.Chain {
		g.refuse(t, sumTooComplex, "This expression has more than %d operators, steps and calls. Split it into several locals.", g.limits.Chain)
	}
}

func (g *gate) newline() {
	if g.top().newlines {
		g.reset()
	}
}

func (g *gate) reset() {
	g.chain -= g.top().chain
	g.top().chain = 0
}

func (g *gate) refuse(t *hclsyntax.Token, summary, format string, args ...any) {
	if g.fault == nil {
		g.fault = &gateFault{summary, fmt.Sprintf(format, args...), t.Range}
	}
}

// longNumber reports whether a number literal is over the bounds.
func longNumber(s string) bool {
	if len(s) > maxNumberText {
		return true
	}
	if i := bytes.IndexAny([]byte(s), "eE"); i >= 0 {
		exp, err := strconv.Atoi(s[i+1:])
		return err != nil || exp > maxExponent || exp < -maxExponent
	}
	return false
}
