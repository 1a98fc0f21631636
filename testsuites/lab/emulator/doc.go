// Package emulator makes a pair of network devices into a line that delays, loses, reorders, duplicates, corrupts, marks and
// slows packets, and tells the truth about each of them: counters, and on demand a record per packet.
//
// The line is worked by a process of its own (the program that owns it, executed again under the name Name), for a Go program
// that does other things too is stopped by its collector and scheduler for milliseconds. The process has real-time priority
// where that is allowed, one loop, and no collector. It ends with its owner, however that ends.
//
// No emulator is more punctual than its machine. What it did to a packet is therefore never what it was told to do but what the
// counters and records say; and how late it was, it says itself (Lateness).
//
// It needs Linux 5.18: epoll_pwait2, and devices that say when they take no frame.
//
// Start with Impair (what a line can do), then Client (the owner's side) and loop.go (the process).
package emulator
