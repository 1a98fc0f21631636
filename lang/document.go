package lang

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/lang/diag"
	"github.com/netpupper/netp/suggest"
)

// Shape says what may stand in a block of a configuration file, or at its top.
type Shape struct {
	// Labels say what each label of the block is.
	Labels []string
	// Args may be written, Required must be.
	Args, Required []string
	// Blocks may stand in it, any number of times; see Block.One.
	Blocks map[string]Shape
	// Free allows any other argument, too.
	Free bool
}

func (s Shape) schema() *blockSchema {
	out := &blockSchema{labels: s.Labels, args: optional(s.Args...), free: s.Free, blocks: map[string]*blockSchema{}}
	out.require(s.Required...)
	for name, inner := range s.Blocks {
		out.blocks[name] = inner.schema()
	}
	return out
}

// Document is a configuration file in the syntax of suites: one file with the
// units and functions of the language and without references. It is read by its
// Block's methods, each of which notes what is wrong and then gives the zero
// value; List tells of all of it at the end. Use OpenDocument.
type Document struct {
	Block
	loader *loader
}

// Block is a block of a document, or its top level.
type Block struct {
	// Labels of the block, as many as its Shape has.
	Labels []string
	args   *arguments
	dir    string
}

// OpenDocument reads a file and compares it with its shape. What names the kind of
// file in diagnostics, with its article: "an agent's file". Environ is what env()
// reads; nil makes env() a fault. It never fails: a file that cannot be read gives
// an empty document with the reason among its diagnostics.
func OpenDocument(file, what string, shape Shape, environ func(string) (string, bool)) *Document {
	l := &loader{
		collector: newCollector(DefaultLimits().Diagnostics), document: true,
		options: Options{Environ: environ}, limits: DefaultLimits(), suite: &Suite{},
	}
	l.meter = newMeter(l.limits)
	l.meter.secrets = l.secrets
	l.functions = pureFunctions(l.meter)
	l.functions["env"] = l.envFunc()
	for name := range l.functions {
		l.callable = append(l.callable, name)
	}
	s := &scope{loader: l, items: map[string]*item{}, base: &hcl.EvalContext{Variables: unitConstants(), Functions: l.functions}}
	body, at := l.documentBody(file)
	if body.Attributes == nil {
		body.Attributes = hclsyntax.Attributes{}
	}
	l.check(body, shape.schema(), what, at)
	return &Document{loader: l, Block: Block{args: &arguments{s.env(), body, at}, dir: filepath.Dir(file)}}
}

// List gives everything that is wrong with the document, by its place.
func (d *Document) List() diag.List { return d.loader.list.Sorted() }

// documentBody parses the file; the body is empty when there is nothing to use.
func (l *loader) documentBody(file string) (*hclsyntax.Body, hcl.Range) {
	at := hcl.Range{Filename: file, Start: hcl.InitialPos, End: hcl.InitialPos}
	text, fault := documentText(file, l.limits)
	if fault != nil {
		l.broken = true
		l.fail(hcl.Range{}, fault.summary, "%s", fault.detail)
		return new(hclsyntax.Body), at
	}
	f := &source{name: file, bytes: text}
	l.sources[file] = f
	if len(l.parseFiles([]*source{f})) == 0 {
		return new(hclsyntax.Body), at
	}
	return f.body, at
}

func documentText(file string, limits Limits) ([]byte, *fileError) {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fileFault(sumUnreadable, "There is no file %s.", file)
	case err != nil:
		return nil, unreadable(file, err)
	case !info.Mode().IsRegular():
		return nil, fileFault(sumUnreadable, "%s is not a regular file.", file)
	case info.Size() > limits.FileBytes:
		return nil, fileFault(sumTooLarge, "%s has %d bytes; a file may have at most %d.", file, info.Size(), limits.FileBytes)
	case isJSON(file):
		return nil, fileFault(sumUnreadable, "%s is JSON; write it in HCL, with a name that ends in .hcl.", file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	return toUTF8(file, text)
}

// Blocks gives the inner blocks of a type in the order of the file.
func (b Block) Blocks(kind string) []Block {
	l := b.args.loader()
	var out []Block
	for _, n := range l.blocks(b.args.env, b.args.body, kind) {
		out = append(out, Block{Labels: n.labels, args: &arguments{n.env, n.body, n.rng}, dir: b.dir})
	}
	return out
}

// Named gives the inner blocks of a type whose one label is a name, each name once.
func (b Block) Named(kind string) []Block { return b.named(kind, isIdentifier) }

func (b Block) named(kind string, valid func(string) bool) []Block {
	seen := map[string]bool{}
	return slices.DeleteFunc(b.Blocks(kind), func(inner Block) bool {
		if len(inner.Labels) != 1 {
			return true // reported
		}
		name := inner.Labels[0]
		if !valid(name) || len(name) > 100 {
			inner.args.fail("", sumInvalidName, "%q is no name for %s: letters, digits, _ and -, at most 100.", name, article(kind))
		}
		if seen[name] {
			inner.args.fail("", sumDuplicate, "There is already %s %q. Rename one of them.", article(kind), name)
			return true
		}
		seen[name] = true
		return false
	})
}

// One gives the only inner block of a type; a second one is a fault. Without any it
// is empty, and false.
func (b Block) One(kind string) (Block, bool) {
	all := b.Blocks(kind)
	if len(all) == 0 {
		return Block{args: &arguments{b.args.env, &hclsyntax.Body{Attributes: hclsyntax.Attributes{}}, b.args.at}, dir: b.dir}, false
	}
	for _, second := range all[1:] {
		second.args.fail("", sumDuplicateBlock, "There is another %s block in line %d. A file has one.", kind, all[0].args.at.Start.Line)
	}
	return all[0], true
}

// Invalid notes that the value of an argument, or a label for "", is none it can
// have. The detail says in full sentences what is wrong and how to mend it.
func (b Block) Invalid(argument, format string, args ...any) {
	b.args.fail(argument, sumInvalidValue, format, args...)
}

// Missing notes that an argument must be there, and why.
func (b Block) Missing(format string, args ...any) {
	b.args.fail("", sumMissingArgument, format, args...)
}

// Conflict notes that an argument cannot stand beside another one.
func (b Block) Conflict(argument, format string, args ...any) {
	b.args.fail(argument, sumConflict, format, args...)
}

// Has reports whether an argument is written and not null.
func (b Block) Has(name string) bool {
	attr := b.args.body.Attributes[name]
	return attr != nil && !b.args.isNull(attr)
}

// Text reads a string, "" when it is absent.
func (b Block) Text(name string) string {
	s, _ := b.args.text(name)
	return s
}

// AgentName reads what an agent may be called.
func (b Block) AgentName(name string) string {
	s, ok := b.args.text(name)
	if ok && !isAgentName(s) {
		b.args.fail(name, sumInvalidName, "%q is not the name of an agent: letters, digits, _, - and ., at most 63, neither a dot nor a hyphen first or last.", s)
	}
	return s
}

// Path reads the name of a file or directory; a relative one begins at the
// directory of the document.
func (b Block) Path(name string) string {
	s, ok := b.args.text(name)
	switch {
	case ok && s == "":
		b.Invalid(name, "%s is empty. Write the path of a file or directory.", name)
		return ""
	case !ok || filepath.IsAbs(s):
		return s
	}
	return filepath.Join(b.dir, s)
}

// Flag reads true or false; false when it is absent.
func (b Block) Flag(name string) bool { return b.args.flag(name) }

// Tags reads an object of strings.
func (b Block) Tags(name string) map[string]string { return b.args.tags(name) }

// Texts reads a list of strings.
func (b Block) Texts(name string) []string { return b.args.texts(name) }

// Choices reads a list of strings out of those allowed.
func (b Block) Choices(name string, allowed []string) []string {
	all := b.Texts(name)
	for _, s := range all {
		if !slices.Contains(allowed, s) {
			b.Invalid(name, "%q is none of those %s may list.%s", s, name, hint(s, allowed))
		}
	}
	return all
}

// Choice reads a string out of those allowed.
func (b Block) Choice(name string, allowed []string) string {
	s := b.Text(name)
	if slices.Contains(allowed, s) {
		return s
	}
	if b.Has(name) {
		b.Invalid(name, "%q is none of those %s may be.%s", s, name, hint(s, allowed))
	}
	return ""
}

// Unknown notes that a label names something that is not declared, and suggests what is.
func (b Block) Unknown(label string, declared []string, what string) {
	b.args.fail("", sumUnknownReference, "There is no %s %q.%s", what, label, hint(label, declared))
}

// hint suggests a name, or tells all there are.
func hint(name string, all []string) string {
	if like := suggest.Sentence(name, all); like != "" || len(all) == 0 {
		return like
	}
	return " There is: " + listed(all) + "."
}

// IsList reports whether an argument is a list or a set.
func (b Block) IsList(name string) bool {
	v, ok := b.args.value(name)
	return ok && (v.Type().IsTupleType() || v.Type().IsListType() || v.Type().IsSetType())
}

// Duration reads a duration such as "1m"; def when it is absent.
func (b Block) Duration(name string, def time.Duration) time.Duration {
	if d, ok := b.args.duration(name); ok {
		return d
	}
	return def
}

// BitRate reads a rate such as "10Mbps" [bit/s]; def when it is absent.
func (b Block) BitRate(name string, def float64) float64 {
	if f, ok := b.args.quantity(name, parseBitRate); ok {
		return f
	}
	return def
}

// Share reads a number between 0 and 1, such as 0.5 * percent; def when it is absent.
func (b Block) Share(name string, def float64) float64 {
	f, ok := b.args.number(name)
	if !ok {
		return def
	}
	if !(f >= 0 && f <= 1) {
		b.args.fail(name, sumOutOfRange, "%s is a share between 0 and 1. Write for example 0.5 * percent.", name)
		return def
	}
	return f
}

// Size reads a number of bytes such as "50GB"; def when it is absent.
func (b Block) Size(name string, def uint64) uint64 {
	f, ok := b.args.quantity(name, parseSize)
	if !ok {
		return def
	}
	return b.whole(name, f, def)
}

// Count reads a whole number; def when it is absent.
func (b Block) Count(name string, def int) int {
	f, ok := b.args.number(name)
	if !ok {
		return def
	}
	if f < 0 {
		b.args.fail(name, sumOutOfRange, "%s must not be negative.", name)
		return def
	}
	return int(b.whole(name, f, uint64(def)))
}

// maxWhole is up to where float64 holds every whole number.
const maxWhole = 1 << 53

func (b Block) whole(name string, f float64, def uint64) uint64 {
	if f > maxWhole || f != float64(uint64(f)) {
		b.args.fail(name, sumOutOfRange, "%s must be a whole number of at most %d.", name, uint64(maxWhole))
		return def
	}
	return uint64(f)
}

// Interfaces decodes the blocks "interface" as in a suite's agent block, by name.
func (b Block) Interfaces() []netp.Interface {
	var out []netp.Interface
	for _, inner := range b.named("interface", isInterfaceName) {
		out = append(out, inner.args.networkInterface(inner.Labels[0]))
	}
	slices.SortFunc(out, func(a, b netp.Interface) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Plugin decodes a block with the label name as a plugin block of a suite.
func (b Block) Plugin() Plugin { return b.args.plugin(b.Labels[0]) }

// Sink decodes a block with the labels type and name as a suite's sink block. Its
// address is sink.TYPE.NAME.
func (b Block) Sink() Sink {
	s := Sink{Type: b.Labels[0], Addr: "sink." + b.Labels[0] + "." + b.Labels[1], Range: addressOf(b.args.at)}
	s.Arguments, s.Secrets = b.args.divided(s.Addr)
	return s
}

// ParseDuration reads "1m30s", "5min", "90d" or "PT1M" [s].
func ParseDuration(text string) (time.Duration, error) {
	f, err := parseDuration(text)
	if err != nil {
		return 0, err
	}
	if f < 0 || f > maxDuration.Seconds() {
		return 0, fmt.Errorf("%q is negative or longer than ten years", text)
	}
	return time.Duration(math.Round(f * 1e9)), nil
}

// ParseBitRate reads "10Mbps" [bit/s], not negative.
func ParseBitRate(text string) (float64, error) { return notNegative(text, parseBitRate) }

// ParseSize reads "50GB" [B], not negative.
func ParseSize(text string) (float64, error) { return notNegative(text, parseSize) }

func notNegative(text string, parse func(string) (float64, error)) (float64, error) {
	f, err := parse(text)
	if err == nil && (f < 0 || f > maxWhole) {
		err = fmt.Errorf("%q is negative or too large", text)
	}
	return f, err
}
