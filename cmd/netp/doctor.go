package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/cmd/netp/internal/view"
	"github.com/netpupper/netp/quantity"
)

// finding is one answer to "is this host fit to measure?".
type finding struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

func (a *app) doctorCommand() *cobra.Command {
	var json bool
	c := &cobra.Command{
		Use: "doctor", Short: "Is this host fit to measure? With the fix for each finding", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list := append([]finding{clockFinding(), coresFinding(), sleepFinding()}, systemFindings()...)
			if json {
				return view.Document(a.env.stdout, map[string]any{"format_version": netp.FormatVersion, "findings": list})
			}
			for _, f := range list {
				a.out().Finding(f.Name, f.Detail, f.Fix, f.OK)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&json, "json", false, "as JSON")
	return c
}

func clockFinding() finding {
	state, err := new(clock.Clock).Read()
	if err != nil {
		return finding{"clock", false, err.Error(), "One-way delay needs to know the clock's error; run agents that assert on it on Linux."}
	}
	return finding{"clock", state.Synchronised, state.String(),
		"Install and start chrony; one-way delay carries the clock's error, round trips do not."}
}

func coresFinding() finding {
	n := runtime.GOMAXPROCS(0)
	return finding{"processors", n >= 2, fmt.Sprintf("%d usable", n),
		"With one processor, sender and receiver wait for each other; give the agent two."}
}

// sleepFinding measures how late this host wakes a sleeper.
func sleepFinding() finding {
	const naps = 50
	worst := time.Duration(0)
	for range naps {
		start := time.Now()
		time.Sleep(2 * time.Millisecond)
		worst = max(worst, time.Since(start)-2*time.Millisecond)
	}
	return finding{"wake-up", worst < 10*time.Millisecond,
		fmt.Sprintf("at most %s late in %d short sleeps", quantity.Duration(worst), naps),
		"The host stalls: look for other loads or a busy hypervisor; sessions in such moments become inconclusive."}
}
