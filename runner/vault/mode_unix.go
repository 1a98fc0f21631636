//go:build !windows

package vault

// checksModes says whether a file's mode tells who may read it.
const checksModes = true
