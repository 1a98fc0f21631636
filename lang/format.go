package lang

import (
	"bytes"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/netpupper/netp/lang/diag"
)

// Format gives the canonical form of a file of HCL's native syntax: indentation,
// spaces and alignment change, and nothing that has a meaning. A second pass
// changes nothing. A file that does not parse, that is not UTF-8 or that is over
// the bounds of Load is left alone, with diagnostics that say why.
func Format(src []byte, filename string) ([]byte, diag.List) {
	limits := DefaultLimits()
	c := newCollector(limits.Diagnostics)
	f := &source{name: filename, bytes: src}
	c.sources[filename] = f
	if int64(len(src)) > limits.FileBytes {
		c.fail(fileRange(f), sumTooLarge, "%s has %d bytes; a file may have at most %d.", filename, len(src), limits.FileBytes)
		return nil, c.list
	}
	text, fault := toUTF8(filename, src)
	if fault != nil {
		c.fail(fileRange(f), fault.summary, "%s", fault.detail)
		return nil, c.list
	}
	f.bytes = text
	p := parseOne(&source{name: filename, bytes: text}, limits)
	if p.fault != nil {
		c.fail(p.fault.rng, p.fault.summary, "%s", p.fault.detail)
		return nil, c.list
	}
	if p.diags.HasErrors() {
		c.syntax(p.diags)
		return nil, c.list.Sorted()
	}
	if isJSON(filename) {
		return text, nil
	}
	out, ok := canonical(text, filename)
	if !ok {
		c.fail(fileRange(f), sumInternal, "The canonical form of %s would not mean the same. It is left alone; please report it with the file.", filename)
		return nil, c.list
	}
	return out, nil
}

// maxPasses bounds the search for a form that formatting leaves alone: a comment
// that moves can move its neighbours once more.
const maxPasses = 5

// canonical formats until nothing changes, and makes sure that the words and
// signs are still the same.
func canonical(src []byte, filename string) ([]byte, bool) {
	out := src
	for range maxPasses {
		next := tidyEnd(hclwrite.Format(out))
		if bytes.Equal(next, out) {
			return out, sameTokens(src, out, filename)
		}
		out = next
	}
	return nil, false
}

// tidyEnd gives a file that has text exactly one newline at its end, of the kind that it has.
func tidyEnd(src []byte) []byte {
	body := bytes.TrimRight(src, " \t\r\n")
	if len(body) == 0 {
		return []byte{}
	}
	newline := "\n"
	if at := bytes.LastIndexByte(src, '\n'); at > 0 && src[at-1] == '\r' {
		newline = "\r\n"
	}
	return append(bytes.Clone(body), newline...)
}

// sameTokens compares two texts without the spaces and newlines between tokens.
func sameTokens(a, b []byte, filename string) bool {
	x, y := words(a, filename), words(b, filename)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i].Type != y[i].Type || !bytes.Equal(trimmed(x[i]), trimmed(y[i])) {
			return false
		}
	}
	return true
}

func words(src []byte, filename string) hclsyntax.Tokens {
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	out := tokens[:0]
	for _, t := range tokens {
		if t.Type != hclsyntax.TokenNewline && t.Type != hclsyntax.TokenEOF {
			out = append(out, t)
		}
	}
	return out
}

// trimmed is a token without the line ending that comments carry.
func trimmed(t hclsyntax.Token) []byte {
	if t.Type == hclsyntax.TokenComment {
		return bytes.TrimRight(t.Bytes, " \t\r\n")
	}
	return t.Bytes
}
