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
)

// WriteFile replaces a file, or makes it: whatever happens, it is the old one or the new one, and what WriteFile returned from is
// on the disk.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	if err := Replace(path, data, mode); err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// Replace is WriteFile for what can be made again: after a crash of the system the file may be the old one for a while after
// Replace has returned. It does not need to read the directory.
func Replace(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+leftover+"*") // for its owner only
	if err != nil {
		return fmt.Errorf("write %s: %w", path, Reason(err))
	}
	_, err = f.Write(data)
	if err == nil && mode != ownerOnly { // not every file system knows others
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, errors.Join(Reason(err), os.Remove(f.Name())))
	}
	return nil
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
