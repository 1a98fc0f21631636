//go:build !linux

package pace

// PreferSession does nothing.
func PreferSession() bool { return false }
