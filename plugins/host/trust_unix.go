//go:build unix

package host

import (
	"errors"
	"io/fs"
)

// trusted refuses a program that every user of the host can change or none can run.
func trusted(info fs.FileInfo) error {
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
		return errors.New("can be changed by every user of this host: chmod o-w it")
	case mode&0o111 == 0:
		return errors.New("is not executable: chmod +x it")
	}
	return nil
}
