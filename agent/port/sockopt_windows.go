package port

import (
	"errors"
	"fmt"
)

// SetDSCP marks what the socket sends with a DSCP, 0 to 63. Windows ignores what a program asks for unless a policy of the
// host allows it, so anything but 0 is refused: a test must not believe in a marking that is not there.
func SetDSCP(_ uintptr, _ string, dscp int) error {
	if err := checkDSCP(dscp); err != nil || dscp == 0 {
		return err
	}
	return fmt.Errorf("set dscp %d: not supported on Windows: %w", dscp, errors.ErrUnsupported)
}
