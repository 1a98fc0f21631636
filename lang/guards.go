package lang

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// guards are the checks before functions that can make much out of little.
type guards struct{ *meter }

// text is a known string argument; "" for anything else.
func text(args []cty.Value, i int) string {
	if i >= len(args) {
		return ""
	}
	v, _ := args[i].Unmark()
	if !v.IsKnown() || v.IsNull() || v.Type() != cty.String {
		return ""
	}
	return v.AsString()
}

// size is the number of elements of a known collection; 0 for anything else.
func size(v cty.Value) int {
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() || !v.CanIterateElements() {
		return 0
	}
	return v.LengthInt()
}

func tooMany(n int) error { return fmt.Errorf("the result would have more than %d elements", n) }

func (g guards) tooLong() error {
	return fmt.Errorf("the result would have more than %d bytes", g.limits.StringBytes)
}

// product bounds setproduct.
func (g guards) product(args []cty.Value) error {
	n := 1
	for _, a := range args {
		if n *= max(size(a), 1); n > g.limits.Expansion/max(len(args), 1) {
			return tooMany(g.limits.Expansion)
		}
	}
	return nil
}

// maxPairs bounds functions that compare every element with every other.
const maxPairs = 25_000_000

func (g guards) pairs(args []cty.Value) error {
	n := size(args[0])
	m := n
	if len(args) > 1 {
		m = size(args[len(args)-1])
	}
	if n > 0 && m > maxPairs/n {
		return fmt.Errorf("it would compare more than %d pairs of elements; use a map or a set instead", maxPairs)
	}
	return nil
}

var width = regexp.MustCompile(`%[^a-zA-Z%]*[0-9]{4,}|%[^a-zA-Z%]*\*`)

// verb is what stands in a format for an argument: its number, if it is named, and what is made of it.
var verb = regexp.MustCompile(`%%|%[^a-zA-Z%\[]*(?:\[([0-9]+)\])?([a-zA-Z])`)

// format bounds format and formatlist, whose verbs may make numbers of strings, and ask for any width.
func (g guards) format(args []cty.Value) error {
	if err := g.widths(args); err != nil {
		return err // so that the numbers below have three digits at most
	}
	next := 1
	for _, v := range verb.FindAllStringSubmatch(text(args, 0), -1) {
		if v[0] == "%%" {
			continue
		}
		if v[1] != "" {
			next, _ = strconv.Atoi(v[1])
		}
		if next < len(args) && strings.Contains("bdoxXeEfgG", v[2]) {
			g.numerals(args[next])
		}
		next++
	}
	if g.over {
		return errors.New(g.reason)
	}
	return nil
}

// numerals bounds the numbers that are made of a string, or of the strings of a collection.
func (g guards) numerals(v cty.Value) {
	g.numeral(v)
	if size(v) > 0 {
		v, _ = v.Unmark()
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			g.numeral(e)
		}
	}
}

func (g guards) sum(args []cty.Value) error {
	if g.numerals(args[0]); g.over {
		return errors.New(g.reason)
	}
	return nil
}

// widths bounds what a format makes of its arguments, and of how many.
func (g guards) widths(args []cty.Value) error {
	v, _ := args[0].Unmark()
	if slices.ContainsFunc(texts(v), width.MatchString) {
		return function.NewArgErrorf(0, "a width or precision may have at most three digits")
	}
	rows := 1
	for _, a := range args {
		rows = max(rows, size(a))
	}
	if rows > g.limits.Expansion {
		return tooMany(g.limits.Expansion)
	}
	return nil
}

// texts are the strings of a value that is one or a collection of some.
func texts(v cty.Value) []string {
	if s, ok := toText(v); ok {
		return []string{s}
	}
	var out []string
	if size(v) > 0 {
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			if s, ok := toText(e); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

func (g guards) indent(args []cty.Value) error {
	v, _ := args[0].Unmark()
	if !v.IsKnown() || v.IsNull() {
		return nil
	}
	n, ok := toNumber(v)
	if !ok || n*float64(1+strings.Count(text(args, 1), "\n")) > float64(g.limits.StringBytes) {
		return g.tooLong()
	}
	return nil
}

func (g guards) join(args []cty.Value) error {
	elements, length := 0, 0
	for _, a := range args[1:] {
		v, _ := a.Unmark()
		elements += size(v)
		for _, s := range texts(v) {
			length += len(s)
		}
	}
	if sep := len(text(args, 0)); length > g.limits.StringBytes || sep > 0 && elements > g.limits.StringBytes/sep {
		return g.tooLong()
	}
	return nil
}

func (g guards) split(args []cty.Value) error {
	if sep := text(args, 0); strings.Count(text(args, 1), sep) > g.limits.Expansion {
		return tooMany(g.limits.Expansion)
	}
	return nil
}

func (g guards) replace(args []cty.Value) error {
	s, old, with := text(args, 0), text(args, 1), text(args, 2)
	if pattern, ok := asPattern(old); ok {
		if err := g.pattern(pattern, s); err != nil {
			return err
		}
		if (len(s)+1)*(len(with)+1) > 16*g.limits.StringBytes {
			return g.tooLong()
		}
		return nil
	}
	if n := strings.Count(s, old); len(with) > 0 && n > g.limits.StringBytes/len(with) {
		return g.tooLong()
	}
	return nil
}

func (g guards) cutset(args []cty.Value) error {
	if len(text(args, 1)) > 1024 {
		return function.NewArgErrorf(1, "it may have at most 1024 bytes")
	}
	return nil
}

func (g guards) regex(args []cty.Value) error { return g.pattern(text(args, 0), text(args, 1)) }

// maxMatching bounds the work of a match: instructions times bytes.
const maxMatching = 50_000_000

// pattern bounds a match by the size of the compiled pattern.
func (g guards) pattern(pattern, s string) error {
	if len(pattern) > 1000 {
		return errors.New("a pattern may have at most 1000 bytes")
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil // the function says what is wrong
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil
	}
	if len(s) > 0 && len(prog.Inst) > maxMatching/len(s) {
		return errors.New("this pattern is too large for a text of this length")
	}
	return nil
}

func (g guards) digits(args []cty.Value) error {
	if len(text(args, 0)) > 512 {
		return function.NewArgErrorf(0, "it may have at most 512 digits")
	}
	return nil
}

// document bounds the decoders by the separators of their text.
func (g guards) document(args []cty.Value) error {
	s := text(args, 0)
	if strings.Count(s, ",")+strings.Count(s, "\n") > g.limits.Expansion {
		return tooMany(g.limits.Expansion)
	}
	if flowDepth(s) > g.limits.Nesting {
		return fmt.Errorf("it is nested more than %d deep", g.limits.Nesting)
	}
	if slices.ContainsFunc(decodedNumber.FindAllString(s, -1), longNumber) {
		return function.NewArgErrorf(0, "a number in it is longer than %d characters or has an exponent beyond %d", maxNumberText, maxExponent)
	}
	return nil
}

var decodedNumber = regexp.MustCompile(`[0-9.]+[eE][+-]?[0-9]+|[0-9.]{20,}`)

// flowDepth is the greatest number of brackets open at a time, those in strings
// included.
func flowDepth(s string) int {
	depth, deepest := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return deepest
}

// anchors and aliases of YAML multiply what a document means.
var (
	yamlAnchor = regexp.MustCompile(`(^|[\s\[\{,:-])&[^\s&]`)
	yamlAlias  = regexp.MustCompile(`(^|[\s\[\{,:-])\*[^\s*]`)
)

// maxIndents bounds the nesting of YAML's block style, one column per level.
const maxIndents = 200

func (g guards) yaml(args []cty.Value) error {
	s := text(args, 0)
	if yamlAnchor.MatchString(s) && yamlAlias.MatchString(s) {
		return function.NewArgErrorf(0, "anchors and aliases are not supported")
	}
	for line := range strings.SplitSeq(s, "\n") {
		inner := strings.TrimLeft(line, " -?:")
		if len(line)-len(inner) > maxIndents {
			return function.NewArgErrorf(0, "a line of it is indented by more than %d columns", maxIndents)
		}
	}
	return g.document(args)
}

// asPattern tells a regular expression, written between slashes, from a text.
func asPattern(s string) (string, bool) {
	if len(s) > 1 && s[0] == '/' && s[len(s)-1] == '/' {
		return s[1 : len(s)-1], true
	}
	return "", false
}
