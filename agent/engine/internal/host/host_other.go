//go:build !linux

package host

// readProcessors knows nothing here.
func readProcessors() (ticks, bool) { return ticks{}, false }
