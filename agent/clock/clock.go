// Package clock is where an agent gets the time from: every wall-clock reading, every kernel packet stamp, the state of the
// host's clock, and how far the clocks of two hosts are apart.
//
// Wall time (Nanos, Stamp) is for what crosses the wire and for comparison with kernel stamps. Mono is for everything that
// is a duration. Neither one sets or steers a clock.
//
// Built with the tag netptest, a Clock can be told to be wrong (fault.go); a production binary cannot.
//
// Start with Clock; State says how good the host's clock is, Estimator compares two.
package clock

import "time"

// Clock reads the time of this host. The zero value is ready. Its methods may be called concurrently.
type Clock struct {
	fault fault
}

// Now is the wall clock, with the monotonic reading that time.Time carries.
func (c *Clock) Now() time.Time {
	now := time.Now()
	return now.Add(c.fault.at(now.UnixNano()))
}

// Nanos is the wall clock in Unix nanoseconds: CLOCK_REALTIME where that exists, the clock of the kernel's packet stamps.
func (c *Clock) Nanos() int64 { return c.Stamp(time.Now().UnixNano()) }

// Stamp turns a packet stamp of the kernel into a reading of this clock: the same number, except under an injected fault.
func (c *Clock) Stamp(kernelNanos int64) int64 {
	return kernelNanos + int64(c.fault.at(kernelNanos))
}

// origin is where Mono begins: a constant of the process.
var origin = time.Now()

// Mono is a clock in nanoseconds that runs evenly and never steps. Its origin is different in each process: only differences
// mean something, and no reading of it may cross the wire. Faults do not touch it.
func Mono() int64 { return int64(time.Since(origin)) }
