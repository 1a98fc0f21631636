package agent

import (
	"fmt"
	"log/slog"
	"runtime"

	"github.com/netpupper/netp"
)

// health is what the agent finds of its own host, whatever the session: each
// session has checks of its own for the time it ran.
func (d *daemon) health(clock netp.ClockState) []netp.Check {
	checks := append([]netp.Check{clockCheck(clock)}, systemChecks()...)
	spool := netp.Check{Name: "spool", OK: true}
	if err := d.spool.ready(withinRest); err != nil {
		spool.OK, spool.Reason = false, fmt.Sprintf("The agent takes no sessions: %v.", err)
	}
	return append(checks, spool)
}

func clockCheck(c netp.ClockState) netp.Check {
	check := netp.Check{Name: "clock", Value: c.MaxError.Seconds(), Unit: "s", OK: c.Known && c.Synchronised}
	switch {
	case !c.Known:
		check.Reason = "The system does not say how far off its clock is: one-way delay has no bound but the one the pair of agents estimates."
	case !c.Synchronised:
		check.Reason = "The clock is not synchronised: run chrony. One-way delay rests on the estimate of the pair of agents alone; round trips do not need the clock."
	}
	return check
}

// LeastReceiveBuffer is the limit of receive buffers below which bursts get lost
// on the receiving host itself [B].
const LeastReceiveBuffer = 4 << 20

// bufferCheck judges the limit of receive buffers [B].
func bufferCheck(limit int) netp.Check {
	c := netp.Check{Name: "receive buffer", Value: float64(limit), Limit: LeastReceiveBuffer, Least: true, Unit: "B", OK: limit >= LeastReceiveBuffer}
	if !c.OK {
		c.Reason = fmt.Sprintf("net.core.rmem_max is %d, so bursts may be lost on this host itself. sysctl -w net.core.rmem_max=33554432 mends it.", limit)
	}
	return c
}

// busyLoad is the load per processor from which this host is too busy to measure
// in peace: more would run than can.
const busyLoad = 1.0

// loadCheck judges the number of processes that ran or wanted to, on average over
// a minute.
func loadCheck(load float64) netp.Check {
	processors := float64(runtime.NumCPU())
	c := netp.Check{Name: "load", Value: load, Limit: busyLoad * processors, OK: load <= busyLoad*processors}
	if !c.OK {
		c.Reason = fmt.Sprintf("%.1f processes want to run on %g processors: sessions that suffer from it are inconclusive.", load, processors)
	}
	return c
}

// sick logs what a host lacks, once at the start.
func sick(logger *slog.Logger, checks []netp.Check) {
	for _, c := range checks {
		if !c.OK {
			logger.Warn("this host is not fit in every respect", "check", c.Name, "reason", c.Reason)
		}
	}
}
