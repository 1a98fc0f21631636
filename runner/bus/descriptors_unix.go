//go:build unix

package bus

import (
	"math"

	"golang.org/x/sys/unix"
)

// descriptors is how many files and connections this process may have open; 0 when that is not known.
func descriptors() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
