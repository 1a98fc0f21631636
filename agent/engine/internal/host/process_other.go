//go:build !unix

package host

import "time"

// readProcess knows nothing here.
func readProcess() (time.Duration, bool) { return 0, false }
