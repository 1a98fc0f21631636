package gitops

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// entry is one name in a revision's tree.
type entry struct {
	path string
	kind entryKind
	id   string // blob
	size int64
}

type entryKind int

// What a tree can hold.
const (
	regular entryKind = iota
	directory
	symlink
	submodule
)

func (k entryKind) String() string {
	return [...]string{"file", "directory", "symbolic link", "submodule"}[k]
}

// list names everything below the suites' directory, ending at the budget. Trees
// are listed too, so that a tree of empty trees ends like any other.
func (r *Repository) list(ctx context.Context, commit string) ([]entry, error) {
	tree := commit
	if r.o.Path != "" {
		tree += ":" + r.o.Path
	}
	var found []entry
	cmd := r.git.command(ctx, "ls-tree", "-r", "-t", "-z", "-l", "--full-tree", tree, "--")
	err := stream(ctx, cmd, func(out io.Reader) error {
		lines := bufio.NewScanner(out)
		lines.Buffer(make([]byte, 0, 4096), 64<<10)
		lines.Split(untilNUL)
		for lines.Scan() {
			e, err := parseEntry(lines.Text())
			if err != nil {
				return err
			}
			if len(found) == r.o.Budget.Entries {
				return fault(ReasonTooLarge, "the revision has more than %d files and directories", r.o.Budget.Entries)
			}
			if depth := strings.Count(e.path, "/") + 1; depth > r.o.Budget.Depth {
				return fault(ReasonTooLarge, "the revision has directories more than %d deep", r.o.Budget.Depth)
			}
			found = append(found, e)
		}
		if errors.Is(lines.Err(), bufio.ErrTooLong) {
			return fault(ReasonTooLarge, "the revision has a path of more than 64 KiB")
		}
		return lines.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list the files of %.12s: %w", tree, err)
	}
	return found, nil
}

func untilNUL(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, io.ErrUnexpectedEOF
	}
	return 0, nil, nil
}

// parseEntry reads "MODE TYPE ID SIZE\tPATH".
func parseEntry(line string) (entry, error) {
	meta, name, ok := strings.Cut(line, "\t")
	f := strings.Fields(meta)
	if !ok || len(f) != 4 || !commitForm.MatchString(f[2]) {
		return entry{}, fmt.Errorf("git lists an entry %q", line)
	}
	e := entry{path: name, id: f[2]}
	switch f[0] {
	case "040000":
		e.kind = directory
		return e, nil
	case "120000":
		e.kind = symlink
		return e, nil
	case "160000":
		e.kind = submodule
		return e, nil
	case "100644", "100755", "100664":
		size, err := strconv.ParseInt(f[3], 10, 64)
		e.size = size
		return e, err
	}
	return entry{}, fault(ReasonUnsafe, "%q has the mode %s, which is none of a file or directory", name, f[0])
}

// choose finds the suites, the topmost directories with suite files, and the files
// that belong to them. What lies outside of suites or behind a leading dot is left
// where it is; inside a suite everything must be a regular file with a plain name.
func choose(all []entry, b Budget) (suites []string, files []entry, err error) {
	suites = suiteDirs(all)
	if len(suites) == 0 {
		return nil, nil, fault(ReasonNoSuite, "no directory of the revision holds a *.hcl or *.netp.json file; what was applied last stays")
	}
	var total int64
	for _, e := range all {
		if e.kind == directory || hidden(e.path) || !slices.ContainsFunc(suites, func(s string) bool { return within(e.path, s) }) {
			continue
		}
		total += e.size
		switch {
		case e.kind != regular:
			return nil, nil, fault(ReasonUnsafe, "%q is a %s: a suite holds plain files only", e.path, e.kind)
		case !safePath(e.path):
			return nil, nil, fault(ReasonUnsafe, "%q is not a plain file name", e.path)
		case e.size > b.FileBytes:
			return nil, nil, fault(ReasonTooLarge, "%q has %d bytes; a file may have at most %d", e.path, e.size, b.FileBytes)
		case total > b.TotalBytes:
			return nil, nil, fault(ReasonTooLarge, "with %q the suites have more than %d bytes", e.path, b.TotalBytes)
		}
		files = append(files, e)
	}
	return suites, files, nil
}

// suiteDirs are the directories that hold suite files and lie in no other such one.
func suiteDirs(all []entry) []string {
	holds := map[string]bool{}
	for _, e := range all {
		if e.kind != directory && isSuiteFile(path.Base(e.path)) && !hidden(e.path) {
			holds[path.Dir(e.path)] = true
		}
	}
	var top []string
	for dir := range holds {
		if !insideAnother(dir, holds) {
			top = append(top, dir)
		}
	}
	slices.SortFunc(top, cmp.Compare[string])
	return top
}

func insideAnother(dir string, holds map[string]bool) bool {
	for dir != "." && dir != "/" {
		if dir = path.Dir(dir); holds[dir] {
			return true
		}
	}
	return false
}

func isSuiteFile(name string) bool {
	return !strings.HasSuffix(name, "~") && (strings.HasSuffix(name, ".hcl") || strings.HasSuffix(name, ".netp.json"))
}

// within reports whether a path lies in a directory.
func within(name, dir string) bool { return dir == "." || strings.HasPrefix(name, dir+"/") }

// hidden reports whether a path has a part with a leading dot; ".." is one, too,
// and stays outside.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

// safePath accepts relative paths that mean the same on every system: parts
// without control characters, separators, drive or stream marks.
func safePath(name string) bool {
	if name == "" || len(name) > 1024 || !utf8.ValidString(name) || strings.ContainsAny(name, `\:<>|*?"`) || !filepath.IsLocal(filepath.FromSlash(name)) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part == "." || part == ".." || len(part) > 255 || strings.EqualFold(part, ".git") || strings.TrimRight(part, ". ") != part {
			return false
		}
	}
	return !strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsGraphic(c) })
}

// extract writes blobs as files below dir. Their sizes were checked when listed
// and are checked again as git says them.
func (r *Repository) extract(ctx context.Context, dir string, files []entry) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var ask strings.Builder
	for _, f := range files {
		ask.WriteString(f.id + "\n")
	}
	cmd := r.git.command(ctx, "cat-file", "--batch")
	cmd.Stdin = strings.NewReader(ask.String())
	return stream(ctx, cmd, func(out io.Reader) error {
		in := bufio.NewReader(out)
		for _, f := range files {
			if err := copyBlob(root, in, f); err != nil {
				return fmt.Errorf("write %q: %w", f.path, err)
			}
		}
		return nil
	})
}

func copyBlob(root *os.Root, in *bufio.Reader, f entry) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	if want := fmt.Sprintf("%s blob %d\n", f.id, f.size); string(line) != want {
		return fmt.Errorf("git answers %q instead of %q", line, want)
	}
	if err := writeFile(root, f.path, io.LimitReader(in, f.size), f.size); err != nil {
		return err
	}
	_, err = in.Discard(1) // the line end behind each blob
	return err
}

// writeFile makes a new file with exactly size bytes, and its directories.
func writeFile(root *os.Root, name string, from io.Reader, size int64) error {
	if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(out, from)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes instead of %d", n, size)
	}
	return errors.Join(err, out.Close())
}
