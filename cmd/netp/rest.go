package main

import "runtime/debug"

// restEvery is how many announcements lie between two times that an agent with nothing to do makes itself small.
const restEvery = 10

// rest keeps such an agent small, told after each announcement how many there have been since it had something to do. What it
// gives back is what its start, a session or the collector has touched; what it needs each time comes back with the next
// announcement. The collector cuts the stacks, and tables of the program are read to make them longer again: one announcement
// lies between, so that these go, too.
func rest(announcements int) {
	switch announcements % restEvery {
	case restEvery - 1:
		debug.FreeOSMemory()
	case 0:
		giveBack()
	}
}
