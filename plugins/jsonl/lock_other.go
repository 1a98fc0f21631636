//go:build !unix || solaris || aix

package main

import "os"

// lock does nothing where there is no flock: two sinks must not share a file.
func lock(*os.File) error { return nil }

// syncDirectory does nothing where directories cannot be synced.
func syncDirectory(*os.File) error { return nil }
