// Package durable writes files that a crash leaves whole. It knows nothing of what is in them. Start with WriteFile.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	leftover  = ".new-" // in the names of files that are not complete yet
	ownerOnly = fs.FileMode(0o600)
	maxLinks  = 40 // as systems allow
)

// WriteFile replaces a file, or makes it: whatever happens, it is the old one or the new one, and what WriteFile returned from is
// on the disk.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	p, err := find(path)
	if err == nil {
		err = p.write(data, mode)
	}
	if err == nil && !p.stream {
		err = syncDirectory(p.dir())
	}
	return told(path, err)
}

// Replace is WriteFile for what can be made again: after a crash of the system the file may be the old one for a while after
// Replace has returned. It does not need to read the directory.
func Replace(path string, data []byte, mode fs.FileMode) error {
	p, err := find(path)
	if err == nil {
		err = p.write(data, mode)
	}
	return told(path, err)
}

// Probe finds out, as far as that is possible without writing, whether Replace could write to path.
func Probe(path string) error {
	p, err := find(path)
	switch {
	case err != nil:
		return err
	case p.stream: // to open one may wait for its reader, or end its reading
		return nil
	case p.old != nil && p.old.IsDir():
		return errors.New("it is a directory")
	}
	f, err := p.beside()
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func told(path string, err error) error {
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// place is what a path leads to.
type place struct {
	path   string      // behind all links
	old    fs.FileInfo // what is there; nil for nothing
	stream bool        // it takes what is written and cannot be replaced: a device, a FIFO, an open file of this process
}

// find follows a path to its end. It asks the system first, which may forbid to follow a link.
func find(path string) (place, error) {
	old, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return place{}, Reason(err)
	}
	p := place{path: path, old: old}
	for range maxLinks {
		if _, open := descriptor(p.path); open && old != nil {
			p.stream = true
			return p, nil
		}
		link, err := os.Readlink(p.path)
		if err != nil { // no link
			break
		}
		if !filepath.IsAbs(link) {
			dir, _ := filepath.Split(p.path)
			link = dir + link
		}
		p.path = link
	}
	if old != nil && old.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		return place{path: path, old: old, stream: true}, nil // only the system can follow a link to a pipe
	}
	return p, nil
}

func (p place) write(data []byte, mode fs.FileMode) error {
	if p.stream {
		return p.pour(data)
	}
	f, err := p.beside()
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if p.old != nil {
		keepOwner(f, p.old)
	}
	if err == nil && mode != ownerOnly { // not every file system knows others
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), p.path)
	}
	if err != nil {
		return errors.Join(Reason(err), os.Remove(f.Name()))
	}
	return nil
}

// dir is where the file is, as the system finds it: without the names before .. taken away, which may be links.
func (p place) dir() string {
	dir, _ := filepath.Split(p.path)
	return dir + "."
}

// beside makes the file that is to take the place, for its owner only.
func (p place) beside() (*os.File, error) {
	f, err := os.CreateTemp(p.dir(), "."+filepath.Base(p.path)+leftover+"*")
	return f, Reason(err)
}

// pour writes to what cannot be replaced.
func (p place) pour(data []byte) error {
	f, err := p.open()
	if err != nil {
		return Reason(err)
	}
	_, err = f.Write(data)
	return Reason(errors.Join(err, f.Close()))
}

func (p place) open() (*os.File, error) {
	if number, open := descriptor(p.path); open {
		return duplicate(number) // it goes on where the others who write to it are
	}
	return os.OpenFile(p.path, os.O_WRONLY, 0)
}

// Leftover says whether a file of that name is what a write that a crash cut short has left.
func Leftover(name string) bool {
	return strings.HasPrefix(name, ".") && strings.Contains(name, leftover)
}

// Reason is an error of the file system without the name of the file: it is told already, or it is one that the user never wrote.
func Reason(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	if at := (*os.LinkError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}
