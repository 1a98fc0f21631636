package lang

import (
	"bytes"
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Lexing costs as much as parsing, and holds a hundred bytes per byte of a
// bracket bomb. A glance at the bytes settles both for ordinary files: it knows
// only the part of the grammar whose reading is beyond doubt (comments to the end
// of the line, strings of one line with plain references in ${…}), gives up at
// anything else, and refuses what is too deep in the part it has read.

// glanced is what a glance found.
type glanced struct {
	safe   bool // the whole text was read and is within the bounds
	tokens int  // an upper bound of the tokens read
	fault  *gateFault
	// breaks are places between the blocks and arguments of the file: the text between two of them can be parsed by itself.
	breaks []hcl.Pos
}

// glance reads a text of HCL's native syntax, and finds breaks at least piece bytes apart.
func glance(src []byte, filename string, limits Limits, piece int) glanced {
	s := &glancer{src: src, limits: limits, piece: piece, line: 1, levels: []glanceLevel{{newlines: true}}, filename: filename}
	for s.pos < len(src) && s.out.fault == nil {
		if !s.next() {
			return s.out
		}
	}
	s.out.safe = s.out.fault == nil
	return s.out
}

// glanceLevel is an open bracket.
type glanceLevel struct {
	open     byte // 0 for the file itself
	steps    int  // since the last comma or newline
	newlines bool // newlines separate here
	fresh    bool // nothing read since it opened
}

type glancer struct {
	src       []byte
	filename  string
	limits    Limits
	piece     int
	pos       int
	line      int
	lineStart int
	levels    []glanceLevel
	steps     int // sum over the levels
	signs     int // ! and - in a row
	broken    int // where the last break is
	out       glanced
}

// next reads one token or space; false gives up.
func (s *glancer) next() bool {
	c := s.src[s.pos]
	switch {
	case c == '\n':
		s.line++
		s.pos++
		s.lineStart = s.pos
		s.out.tokens++
		if s.top().newlines {
			s.reset()
		}
		if len(s.levels) == 1 && s.pos-s.broken >= s.piece && s.pos < len(s.src) {
			s.broken = s.pos
			s.out.breaks = append(s.out.breaks, hcl.Pos{Line: s.line, Column: 1, Byte: s.pos})
		}
		return true
	case c == ' ' || c == '\t' || c == '\r' && s.pos+1 < len(s.src) && s.src[s.pos+1] == '\n':
		s.pos++
		return true
	case c == '#' || c == '/' && s.pos+1 < len(s.src) && s.src[s.pos+1] == '/':
		s.comment()
		return true
	case c == '-' || c == '!':
		s.signs++
		s.out.tokens++
		return s.signs <= s.limits.Unary && s.punctuation(c)
	}
	s.signs = 0
	s.out.tokens++
	switch {
	case isWord(c):
		return s.word()
	case c == '"':
		s.top().fresh = false
		s.out.tokens += 2
		return s.quoted()
	}
	return s.punctuation(c)
}

func (s *glancer) top() *glanceLevel { return &s.levels[len(s.levels)-1] }

// isWord holds for what identifiers and plain numbers are made of.
func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// maxPlainNumber is the length of numbers a glance does not doubt.
const maxPlainNumber = 20

func (s *glancer) word() bool {
	start := s.pos
	for s.pos < len(s.src) && isWord(s.src[s.pos]) {
		s.pos++
	}
	word := s.src[start:s.pos]
	if word[0] <= '9' && (len(word) > maxPlainNumber || bytes.ContainsAny(word, "eE")) {
		return false
	}
	if s.top().fresh && string(word) == "for" {
		s.top().newlines = false
	}
	s.top().fresh = false
	return true
}

func (s *glancer) comment() {
	for s.pos < len(s.src) && s.src[s.pos] != '\n' {
		s.pos++
	}
}

// opener is the bracket that a closing one matches.
func opener(c byte) byte {
	switch c {
	case '}':
		return '{'
	case ']':
		return '['
	}
	return '('
}

func (s *glancer) punctuation(c byte) bool {
	s.top().fresh = false
	switch c {
	case '{', '[', '(':
		s.step()
		s.levels = append(s.levels, glanceLevel{open: c, newlines: c == '{', fresh: true})
		if len(s.levels) > s.limits.Nesting+1 {
			s.refuse(sumTooNested, "Brackets, blocks and templates are nested more than %d deep here. Name the inner parts as locals.", s.limits.Nesting)
		}
	case '}', ']', ')':
		if s.top().open != opener(c) {
			return false // the parser will say what is wrong
		}
		s.steps -= s.top().steps
		s.levels = s.levels[:len(s.levels)-1]
	case ',':
		s.reset()
	case '.', '+', '*', '%', '?', ':', '>', '&', '|', '-', '!', '=':
		s.step()
	case '/', '<': // "//" was read before; "/*" is a comment, "<<" a heredoc
		if s.pos+1 >= len(s.src) || s.src[s.pos+1] == '*' || s.src[s.pos+1] == '<' {
			return false
		}
		s.step()
	default:
		return false // '~', ';', bytes beyond ASCII: the lexer decides
	}
	s.pos++
	return true
}

func (s *glancer) step() {
	s.top().steps++
	s.steps++
	if s.steps > s.limits.Chain {
		s.refuse(sumTooComplex, "This expression has more than %d operators, steps and calls. Split it into several locals.", s.limits.Chain)
	}
}

func (s *glancer) reset() {
	s.steps -= s.top().steps
	s.top().steps = 0
}

// quoted reads a string of one line; an escape or a template of more than a
// plain reference gives up.
func (s *glancer) quoted() bool {
	s.step()
	if len(s.levels)+2 > s.limits.Nesting+1 {
		return false // the string and a template in it are levels, too
	}
	for s.pos++; s.pos < len(s.src); s.pos++ {
		switch c := s.src[s.pos]; {
		case c == '"':
			s.pos++
			return true
		case c == '\\' || c == '\n' || c == '\r' || c == '%' || c >= 0x80:
			return false
		case c == '$':
			if !s.reference() {
				return false
			}
			s.out.tokens += 5
		}
	}
	return false
}

// reference reads ${a.b.c} up to its last byte.
func (s *glancer) reference() bool {
	s.pos++
	if s.pos >= len(s.src) || s.src[s.pos] != '{' {
		return false
	}
	for s.pos++; s.pos < len(s.src); s.pos++ {
		c := s.src[s.pos]
		if c == '}' {
			return true
		}
		if c == '.' {
			s.step()
		}
		if !isWord(c) && c != '.' || s.src[s.pos-1] == '{' && c <= '9' {
			return false
		}
	}
	return false
}

func (s *glancer) refuse(summary, format string, args ...any) {
	pos := hcl.Pos{Line: s.line, Column: s.pos - s.lineStart + 1, Byte: s.pos}
	end := pos
	end.Byte++
	end.Column++
	s.out.fault = &gateFault{summary, fmt.Sprintf(format, args...), hcl.Range{Filename: s.filename, Start: pos, End: end}}
}
