//go:build !linux

package agent

import "github.com/netpupper/netp"

// systemChecks says what only Linux has: stamps by the kernel.
func systemChecks() []netp.Check {
	return []netp.Check{{Name: "timestamps",
		Reason: "On this system the program stamps packets, not the kernel: its own delays are in the figures. Run the agent on Linux to measure below a millisecond."}}
}
