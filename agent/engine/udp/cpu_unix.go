//go:build unix

package udp

import (
	"time"

	"golang.org/x/sys/unix"
)

// readCPU reads the processor time of the process.
func readCPU() cpuUsage {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return cpuUsage{}
	}
	return cpuUsage{at: time.Now(), used: time.Duration(u.Utime.Nano() + u.Stime.Nano()), ok: true}
}
