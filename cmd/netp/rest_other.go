//go:build !linux

package main

import "runtime/debug"

// rest gives back the memory that only the start of a daemon needed.
func rest() { debug.FreeOSMemory() }
