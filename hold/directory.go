package hold

import (
	"errors"
	"os"
	"path/filepath"
)

// Directory is a temporary directory that lives no longer than this process, or than the next one that makes its like.
type Directory struct {
	path string
	lock *os.File
}

// lockName is the file by which a directory is known to be temporary.
const lockName = "netp.temporary"

// Temporary makes a directory below parent; its name is the prefix and at most ten digits. What killed processes of this user left
// under that prefix is removed. The caller releases it.
func Temporary(parent, prefix string) (*Directory, error) {
	sweep(parent, prefix)
	path, err := os.MkdirTemp(parent, prefix) // mode 0700
	if err != nil {
		return nil, err
	}
	lock, err := Open(filepath.Join(path, lockName))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	d := &Directory{path, lock}
	if _, err := lock.WriteAt([]byte("held\n"), 0); err != nil { // for sweep
		return nil, errors.Join(err, d.Release())
	}
	return d, nil
}

// Path is where the directory is.
func (d *Directory) Path() string { return d.path }

// Release removes the directory with all that is in it.
func (d *Directory) Release() error {
	return errors.Join(d.lock.Close(), os.RemoveAll(d.path)) // the lock ends with the file
}

// sweep removes the directories of this user that killed processes left: their lock
// is free. One whose lock file is missing or empty is being made or removed right now,
// so it is left alone.
func sweep(parent, prefix string) {
	left, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return // only for a malformed pattern: a parent with [ in its name is not swept
	}
	for _, path := range left {
		if info, err := os.Lstat(path); err != nil || !info.IsDir() || !mine(info) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if info, err := lock.Stat(); err == nil && info.Size() > 0 && Lock(lock) == nil {
			d := Directory{path, lock}
			_ = d.Release() // what stays is for the next one
			continue
		}
		lock.Close()
	}
}
