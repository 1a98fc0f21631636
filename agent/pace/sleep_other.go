//go:build !linux

package pace

import (
	"time"

	"github.com/netpupper/netp/agent/clock"
)

// newSleep gives a sleep to a time of clock.Mono with the timers of the runtime.
func newSleep(bool) func(until int64) int64 {
	return func(until int64) int64 {
		time.Sleep(time.Duration(until - clock.Mono()))
		return clock.Mono()
	}
}

// fineTimers does nothing: the runtime's timers are as fine as they are.
func fineTimers() (restore func()) { return func() {} }

// raisePriority does nothing.
func raisePriority() (restore func()) { return func() {} }

// Yield does nothing.
func Yield() {}
