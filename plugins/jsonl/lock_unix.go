//go:build unix && !solaris && !aix

package main

import (
	"os"
	"syscall"
)

// lock fails when another process has the file open for writing through this package.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func syncDirectory(dir *os.File) error { return dir.Sync() }
