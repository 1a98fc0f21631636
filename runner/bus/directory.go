package bus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/netpupper/netp/hold"
)

// claim takes a server's directory for this process, until release.
func claim(cfg Config) (path string, release func() error, err error) {
	path = cfg.Dir
	if cfg.Ephemeral && path == "" {
		path = os.TempDir()
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", nil, explainDir(path, err)
	}
	if cfg.Ephemeral {
		own, err := hold.Temporary(path, "netp-bus-")
		if err != nil {
			return "", nil, explainDir(path, err)
		}
		return own.Path(), own.Release, nil
	}
	lock, err := hold.Open(filepath.Join(path, "netp.lock"))
	if err != nil {
		return "", nil, explainDir(path, err)
	}
	return path, lock.Close, nil
}

// explainDir says what is wrong with a directory.
func explainDir(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("bus directory %s: no permission to write; choose another directory or mend its owner: %w", path, err)
	case errors.Is(err, hold.ErrHeld):
		return fmt.Errorf("bus directory %s is in use by another running controller; stop that one or choose another directory: %w", path, err)
	}
	return fmt.Errorf("bus directory %s: %w", path, err)
}
