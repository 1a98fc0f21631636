//go:build unix

package durable

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"syscall"
)

// syncDirectory makes a rename in the directory last.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// keepOwner gives f to the owner of the old file, as far as this process may: the new one serves without.
func keepOwner(f *os.File, old fs.FileInfo) {
	if s, ok := old.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(-1, int(s.Gid))
		_ = f.Chown(int(s.Uid), -1)
	}
}

// descriptor reads the names of this process's open files: /dev/stdout, /dev/fd/63.
func descriptor(name string) (number int, is bool) {
	switch name {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	dir, last := path.Split(name)
	number, err := strconv.Atoi(last)
	return number, err == nil && (dir == "/dev/fd/" || dir == "/proc/self/fd/")
}

func duplicate(number int) (*os.File, error) {
	syscall.ForkLock.RLock() // no child is to have it
	defer syscall.ForkLock.RUnlock()
	n, err := syscall.Dup(number)
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(n)
	return os.NewFile(uintptr(n), strconv.Itoa(number)), nil
}
