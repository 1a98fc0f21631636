//go:build !netptest

package clock

import "time"

// fault is nothing: a production binary cannot be told to lie.
type fault struct{}

func (fault) at(int64) time.Duration { return 0 }

func (fault) any() bool { return false }
