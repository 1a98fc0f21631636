package gitops

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// DirectoryOptions say which local directory to follow.
type DirectoryOptions struct {
	// Watched holds the suites; it may be a symbolic link that is swapped.
	Watched string
	// Dir is a private directory for copies; see RepositoryOptions.Dir.
	Dir string
	// Settle is how long nothing may change before the directory is read; default 200 ms.
	Settle time.Duration
	Budget Budget
}

// Directory is a Source: a directory of this machine, whose revision is the hash of
// what its suites hold. It has no history and no signatures. Use OpenDirectory.
type Directory struct{ o DirectoryOptions }

// OpenDirectory checks the options and makes the private directory.
func OpenDirectory(o DirectoryOptions) (*Directory, error) {
	o.Settle = cmp.Or(o.Settle, 200*time.Millisecond)
	o.Budget = o.Budget.complete()
	var err error
	if o.Watched, err = filepath.Abs(o.Watched); err != nil {
		return nil, err
	}
	if o.Dir, err = privateDir(o.Dir); err != nil {
		return nil, err
	}
	if rel, err := filepath.Rel(o.Watched, o.Dir); err == nil && filepath.IsLocal(rel) {
		return nil, fmt.Errorf("the private directory %s lies in the watched one: every copy would be a change", o.Dir)
	}
	return &Directory{o: o}, removeAll(o.Dir, "rev-*")
}

// Origin is the directory's path.
func (d *Directory) Origin() string { return "dir:" + d.o.Watched }

// Head reads the directory and hashes its suites.
func (d *Directory) Head(ctx context.Context) (Revision, error) {
	c, err := d.read(ctx)
	if err != nil {
		return "", asFault(err, ReasonFetch, "")
	}
	return c.revision, nil
}

// Fetch copies the suites. There is no history to compare.
func (d *Directory) Fetch(ctx context.Context, _ Revision) (*Snapshot, error) {
	c, err := d.read(ctx)
	if err != nil {
		return nil, asFault(err, ReasonFetch, "")
	}
	again, err := d.read(ctx)
	if err == nil && again.revision != c.revision {
		err = errors.New("the directory changes while it is read: the next look takes it")
	}
	if err != nil {
		return nil, asFault(err, ReasonFetch, c.revision)
	}
	snap := &Snapshot{Revision: c.revision, Suites: c.suites}
	if snap.Dir, err = os.MkdirTemp(d.o.Dir, "rev-"); err == nil {
		err = c.write(snap.Dir)
	}
	if err != nil {
		os.RemoveAll(snap.Dir)
		return nil, asFault(err, ReasonFetch, c.revision)
	}
	return snap, nil
}

// At cannot bring back what a directory held before.
func (d *Directory) At(_ context.Context, r Revision) (*Snapshot, error) {
	return nil, asFault(fmt.Errorf("a directory keeps no earlier revision: %s holds only what it holds now", d.o.Watched), ReasonFetch, r)
}

// content is what the suites of a directory hold.
type content struct {
	revision Revision
	suites   []string
	files    []entry
	texts    [][]byte
}

// read lists the directory within the budget, links inside of it followed, and
// reads the suites' files.
func (d *Directory) read(ctx context.Context) (*content, error) {
	real, err := filepath.EvalSymlinks(d.o.Watched)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(real)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := lister{ctx: ctx, root: root, budget: d.o.Budget}
	if err := l.list(".", 1); err != nil {
		return nil, err
	}
	c := &content{}
	if c.suites, c.files, err = choose(l.found, d.o.Budget); err != nil {
		return nil, err
	}
	slices.SortFunc(c.files, func(a, b entry) int { return strings.Compare(a.path, b.path) })
	sum := sha256.New()
	for _, f := range c.files {
		text, err := root.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		if int64(len(text)) != f.size {
			return nil, fmt.Errorf("%s changes while it is read: the next look takes it", f.path)
		}
		c.texts = append(c.texts, text)
		fmt.Fprintf(sum, "%s\x00%d\x00", f.path, len(text))
		sum.Write(text)
	}
	c.revision = Revision("dir@sha256:" + hex.EncodeToString(sum.Sum(nil)))
	return c, nil
}

func (c *content) write(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for i, f := range c.files {
		if err := writeFile(root, f.path, bytes.NewReader(c.texts[i]), f.size); err != nil {
			return err
		}
	}
	return nil
}

// lister walks a directory that others may change meanwhile.
type lister struct {
	ctx    context.Context
	root   *os.Root
	budget Budget
	found  []entry
}

func (l *lister) list(dir string, depth int) error {
	if depth > l.budget.Depth {
		return fault(ReasonTooLarge, "%s has directories more than %d deep", l.root.Name(), l.budget.Depth)
	}
	names, err := fs.ReadDir(l.root.FS(), dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if l.ctx.Err() != nil {
			return l.ctx.Err()
		}
		if strings.HasPrefix(n.Name(), ".") {
			continue
		}
		if len(l.found) == l.budget.Entries {
			return fault(ReasonTooLarge, "%s has more than %d files and directories", l.root.Name(), l.budget.Entries)
		}
		name := path.Join(dir, n.Name())
		info, err := l.root.Stat(name)
		switch {
		case err != nil:
			return fmt.Errorf("read %s (a link must end inside the directory): %w", name, err)
		case info.IsDir():
			l.found = append(l.found, entry{path: name, kind: directory})
			err = l.list(name, depth+1)
		case info.Mode().IsRegular():
			l.found = append(l.found, entry{path: name, size: info.Size()})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Watch reports changes of the directory, of those below it, and of the link that
// leads to it. Editors that write another file and rename it, and links that are
// swapped, show as changes of the directory around them.
func (d *Directory) Watch(ctx context.Context, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", d.o.Watched, err)
	}
	defer w.Close()
	d.follow(w)
	changed() // what happened before the watch began
	settle := time.NewTimer(0)
	settle.Stop()
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return errors.New("the watch of " + d.o.Watched + " ended")
			}
			if e.Op != fsnotify.Chmod {
				settle.Reset(d.o.Settle)
			}
		case err, ok := <-w.Errors:
			if !ok {
				return errors.New("the watch of " + d.o.Watched + " ended")
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				return fmt.Errorf("watch %s: %w", d.o.Watched, err)
			}
			settle.Reset(d.o.Settle)
		case <-settle.C:
			d.follow(w)
			changed()
		}
	}
}

// follow adds the directories that are there now and are not watched yet, at most
// as many as the budget allows. One that vanishes meanwhile shows by another event.
func (d *Directory) follow(w *fsnotify.Watcher) {
	list := []string{filepath.Dir(d.o.Watched)}
	real, err := filepath.EvalSymlinks(d.o.Watched)
	if err == nil {
		_ = filepath.WalkDir(real, func(name string, e fs.DirEntry, err error) error {
			if err != nil || len(list) > d.o.Budget.Entries {
				return nil
			}
			if e.IsDir() {
				list = append(list, name)
			}
			return nil
		})
	}
	for _, old := range w.WatchList() {
		if !slices.Contains(list, old) {
			_ = w.Remove(old)
		}
	}
	for _, dir := range list {
		_ = w.Add(dir)
	}
}
