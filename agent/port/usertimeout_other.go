//go:build !linux

package port

import "time"

// setUserTimeout does nothing: the deadlines of the session end a connection whose peer is gone.
func setUserTimeout(uintptr, time.Duration) error { return nil }
