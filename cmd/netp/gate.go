package main

import (
	"fmt"

	"github.com/netpupper/netp"
)

// Exit codes. They are part of the interface: CI gates on them.
const (
	exitPass         = 0
	exitError        = 1
	exitChanges      = 2 // plan -detailed-exitcode
	exitUnformatted  = 3 // fmt -check
	exitInconclusive = 75
	exitFail         = 99
	exitInterrupted  = 130
)

// gate gives the exit code of a run. inconclusiveAs is the -inconclusive flag.
func gate(r netp.Report, inconclusiveAs string) int {
	if r.Cancelled {
		return exitInterrupted
	}
	switch r.Status {
	case netp.Pass:
		return exitPass
	case netp.Fail:
		return exitFail
	case netp.Inconclusive:
		switch inconclusiveAs {
		case "pass":
			return exitPass
		case "fail":
			return exitFail
		}
		return exitInconclusive
	}
	return exitError
}

func checkInconclusive(policy string) error {
	switch policy {
	case "", "pass", "fail":
		return nil
	}
	return fmt.Errorf("-inconclusive takes pass or fail, not %q; without the flag an inconclusive run exits %d", policy, exitInconclusive)
}
