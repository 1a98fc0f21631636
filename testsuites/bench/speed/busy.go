//go:build linux

package main

// playBusy uses one processor until it is killed.
func playBusy([]string) error {
	for n := uint64(0); ; n++ {
		_ = n
	}
}
