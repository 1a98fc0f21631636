package bus

import (
	"errors"
	"os"
	"path/filepath"
)

// errLocked means that another process holds a lock.
var errLocked = errors.New("locked")

// directory is a server's directory, held by the lock of a file in it.
type directory struct {
	path      string
	lock      *os.File
	temporary bool
}

const (
	lockName        = "netp.lock"
	ephemeralPrefix = "netp-bus-"
)

// claim takes the directory for this process.
func claim(cfg Config) (*directory, error) {
	path := cfg.Dir
	if !cfg.Ephemeral {
		if err := os.MkdirAll(path, 0o700); err != nil {
			return nil, explainDir(path, err)
		}
		return hold(path, false)
	}
	if path == "" {
		path = os.TempDir()
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, explainDir(path, err)
	}
	sweep(path)
	own, err := os.MkdirTemp(path, ephemeralPrefix)
	if err != nil {
		return nil, explainDir(path, err)
	}
	d, err := hold(own, true)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(own))
	}
	return d, nil
}

func hold(path string, temporary bool) (*directory, error) {
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, explainDir(path, err)
	}
	err = lockFile(lock)
	if err == nil {
		_, err = lock.WriteAt([]byte("held\n"), 0) // for sweep
	}
	if err != nil {
		lock.Close()
		return nil, explainDir(path, err)
	}
	return &directory{path: path, lock: lock, temporary: temporary}, nil
}

// sweep removes the directories of this user that killed processes left: their lock
// is free. One whose lock file is missing or empty is being made or removed right now,
// so it is left alone.
func sweep(parent string) {
	left, err := filepath.Glob(filepath.Join(parent, ephemeralPrefix+"*"))
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
		if info, err := lock.Stat(); err == nil && info.Size() > 0 && lockFile(lock) == nil {
			d := directory{path: path, lock: lock, temporary: true}
			d.release()
			continue
		}
		lock.Close()
	}
}

// release gives the directory back, and removes it if it was temporary.
func (d *directory) release() error {
	err := d.lock.Close() // the lock ends with the file
	if d.temporary {
		err = errors.Join(err, os.RemoveAll(d.path))
	}
	return err
}
