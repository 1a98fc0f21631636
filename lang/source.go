package lang

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// source is one file of the suite.
type source struct {
	name  string // relative to the suite's directory
	bytes []byte
	body  *hclsyntax.Body // nil when it does not parse
	// texts holds what a string of a JSON file says where the native syntax has an expression.
	texts map[hclsyntax.Expression]string
}

// isJSON tells the JSON syntax from the native one by the file's name.
func isJSON(name string) bool { return strings.HasSuffix(name, ".json") }

// EndsAsSource reports whether a file's name ends as those do that make up suites, or that netp keeps beside them.
func EndsAsSource(name string) bool { return endsAsSuite(name) || endsAsVars(name) }

func endsAsSuite(name string) bool {
	return strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".netp.json")
}

func endsAsVars(name string) bool {
	return strings.HasSuffix(name, ".auto.vars") || strings.HasSuffix(name, ".auto.vars.json")
}

func isIgnored(name string) bool { return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") }

// isSuiteFile reports whether a directory entry belongs to a suite.
func isSuiteFile(name string) bool { return endsAsSuite(name) && !isIgnored(name) }

// isAutoVars reports whether a directory entry sets variables without being asked to.
func isAutoVars(name string) bool { return endsAsVars(name) && !isIgnored(name) }

// reader reads files below the suite's directory and nowhere else: os.Root
// refuses every path and every symbolic link that leads out of it.
type reader struct {
	root   *os.Root
	limits Limits
	files  int
	total  int64
	read   map[string][]byte // everything read, for the hash
}

// fileError is why a file cannot be used, as summary and detail of a diagnostic.
type fileError struct{ summary, detail string }

func (e *fileError) Error() string { return e.detail }

func fileFault(summary, format string, args ...any) *fileError {
	return &fileError{summary, fmt.Sprintf(format, args...)}
}

// text reads a file as UTF-8 text without byte order mark.
func (r *reader) text(name string) ([]byte, *fileError) {
	if data, ok := r.read[name]; ok {
		return data, nil
	}
	info, err := r.root.Stat(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	if f := r.admit(name, info); f != nil {
		return nil, f
	}
	data, err := r.root.ReadFile(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	data, f := toUTF8(name, data)
	if f == nil {
		r.read[name] = data
	}
	return data, f
}

// admit checks a file against the bounds before a byte of it is read.
func (r *reader) admit(name string, info fs.FileInfo) *fileError {
	r.files++
	r.total += info.Size()
	switch {
	case !info.Mode().IsRegular():
		return fileFault(sumUnreadable, "%s is not a regular file.", name)
	case info.Size() > r.limits.FileBytes:
		return fileFault(sumTooLarge, "%s has %d bytes; a file may have at most %d. Split it, or make its blocks with for_each.", name, info.Size(), r.limits.FileBytes)
	case r.total > r.limits.TotalBytes:
		return fileFault(sumTooLarge, "With %s the files of the suite have more than %d bytes in all. Make its blocks with for_each.", name, r.limits.TotalBytes)
	case r.files > r.limits.Files:
		return fileFault(sumTooLarge, "The suite has more than %d files.", r.limits.Files)
	}
	return nil
}

func unreadable(name string, err error) *fileError {
	reason := err
	if p, ok := err.(*fs.PathError); ok {
		reason = p.Err
	}
	if strings.Contains(reason.Error(), "escapes") {
		return fileFault(sumUnreadable, "%s leads out of the suite's directory, and files are read only below it.", name)
	}
	return fileFault(sumUnreadable, "Cannot read %s: %v.", name, reason)
}

// toUTF8 removes a byte order mark and refuses other encodings.
func toUTF8(name string, data []byte) ([]byte, *fileError) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return nil, fileFault(sumNotUTF8, "%s is encoded as UTF-16, as some editors do. Save it as UTF-8.", name)
	}
	if utf8.Valid(data) {
		return data, nil
	}
	at := 0
	for at < len(data) {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return nil, fileFault(sumNotUTF8, "%s has a byte in line %d that is not UTF-8. Save it as UTF-8.", name, 1+bytes.Count(data[:at], []byte("\n")))
}

// list names the files of a directory that satisfy the test, sorted, with the
// directory's path before them.
func (r *reader) list(dir string, want func(string) bool) ([]string, *fileError) {
	f, err := r.root.Open(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	defer f.Close()
	var names []string
	for seen := 0; ; {
		entries, err := f.ReadDir(1000)
		for _, e := range entries {
			if want(e.Name()) && !e.IsDir() {
				names = append(names, path.Join(dir, e.Name()))
			}
		}
		if err != nil || len(entries) == 0 {
			break
		}
		if seen += len(entries); seen > 10*r.limits.Files {
			return nil, fileFault(sumTooLarge, "The directory %s has more than %d entries.", dir, 10*r.limits.Files)
		}
	}
	slices.Sort(names)
	return names, nil
}

// mostBelow bounds how many entries of directories are looked at for a suite.
const mostBelow = 2000

// suiteBelow gives a directory below the suite's that holds files of one; "" when there is none near.
func (r *reader) suiteBelow() string {
	found, seen := "", 0
	_ = fs.WalkDir(r.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		seen++
		switch {
		case seen > mostBelow:
			return fs.SkipAll
		case err != nil || e.IsDir() && name != "." && isIgnored(e.Name()):
			return fs.SkipDir
		case e.Type().IsRegular() && isSuiteFile(e.Name()):
			found = path.Dir(name)
			return fs.SkipAll
		}
		return nil
	})
	return found
}

// lineIndex finds lines and columns of byte offsets.
type lineIndex struct {
	src    []byte
	starts []int
}

func newLineIndex(src []byte) *lineIndex {
	x := &lineIndex{src: src, starts: []int{0}}
	for i, c := range src {
		if c == '\n' {
			x.starts = append(x.starts, i+1)
		}
	}
	return x
}

// pos is the place of a byte offset; columns count characters.
func (x *lineIndex) pos(offset int) hcl.Pos {
	offset = min(max(offset, 0), len(x.src))
	i, found := slices.BinarySearch(x.starts, offset)
	if !found {
		i--
	}
	return hcl.Pos{Line: i + 1, Column: 1 + utf8.RuneCount(x.src[x.starts[i]:offset]), Byte: offset}
}
