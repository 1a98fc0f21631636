package pace

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// PreferSession asks for a larger share of the processors for the whole session of this process (setsid), where Pin may ask for one for
// a thread: Linux shares them out among sessions first (autogroup), and within each by nice values, so that an urgent thread of
// one session waits for the idlest of another. It asks only as the session's leader, as which services are started, for a session
// of others' would be theirs to prefer; in a control group with a weight of its own it changes nothing. It says whether it was granted.
func PreferSession() bool {
	if leader, err := unix.Getsid(0); err != nil || leader != os.Getpid() {
		return false
	}
	return os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(raised)), 0) == nil
}
