// Package hold gives one process at a time a file, or a directory for temporary files. The system takes a lock away when its
// process ends, however it ends: what a killed process leaves is known by its lock, which is free.
package hold

import (
	"errors"
	"os"
)

// ErrHeld means that another process holds a file.
var ErrHeld = errors.New("held by another process")

// Open opens a lock file, made when missing, and holds it until it is closed. The error is ErrHeld when another process does.
func Open(path string) (*os.File, error) { return open(path, 0o600) }

func open(path string, mode os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, mode)
	if err != nil {
		return nil, err
	}
	if err := Lock(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
