//go:build unix

package host

import (
	"time"

	"golang.org/x/sys/unix"
)

// readProcess reads the processor time of this process.
func readProcess() (time.Duration, bool) {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
