//go:build linux && !netptest

package main

import "github.com/netpupper/netp/agent/clock"

// canBeWrong says whether clocks can be told to be wrong.
const canBeWrong = false

// wrongClock is a clock that is right.
func wrongClock(wrongness) *clock.Clock { return new(clock.Clock) }
