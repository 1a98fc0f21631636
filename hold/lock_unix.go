//go:build unix

package hold

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Lock takes an exclusive lock that ends with the file or the process; it
// never waits, and gives ErrHeld when another holds it.
func Lock(f *os.File) error { return lock(f, unix.LOCK_EX) }

// share takes a lock that only an exclusive one keeps out.
func share(f *os.File) error { return lock(f, unix.LOCK_SH) }

func lock(f *os.File, how int) error {
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return ErrHeld
	}
	return err
}

// mine says whether a file is of the user that this process runs as.
func mine(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}
