package rtt

import (
	"fmt"
	"strings"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/internal/host"
	"github.com/netpupper/netp/quantity"
)

// Limits of the instrument. A stall of the host that the kernel's stamps see through must not spoil a session, so most of them
// concern only what programs see.
const (
	achievedLimit = 0.9                   // of the probes asked for: they sample the path, they do not load it
	stallLimit    = 10 * time.Millisecond // for a probe or an answer to wait for this process
	oddLimit      = 0.01                  // of the answers, with stamps that cannot be true
	unplacedLimit = 2                     // losses: so few move neither ratio beyond its interval, which has room for three without a loss
	lateFloor     = 10 * time.Millisecond // of the 99th percentile of the send-time error, at least
)

var lossMetrics = []string{"loss", "duplicated"}

// health gives the findings about our own end.
func (s *session) health() []netp.Check {
	l, seen, pacing := s.ledger, &s.seen, s.pacer.Report()
	missed := pacing.Moved
	if s.settings.count > 0 {
		missed = 0 // a count is sent in full, after a stall only later
	}
	kernel := s.clocks == kernelClocks
	checks := []netp.Check{
		spacingCheck(pacing.P99, s.settings.interval),
		rateCheck(l.next, seen.unsent, missed, s.settings.interval, seen.refused),
		sendErrorCheck(seen.unsent-seen.refused, seen.sendError),
		stallCheck(max(pacing.Max, time.Duration(seen.lag)), s.settings.timeout, kernel),
		stepCheck(seen.odd, l.answers),
		stealCheck(s.host),
		clocksCheck(kernel),
	}
	if l.split != nil && l.split.known(s.agent, l.lost) {
		checks = append(checks, unplacedCheck(l.split.unplaced()))
	}
	if kernel && s.socket != nil {
		checks = append(checks, dropCheck(seen.drops, s.socket.late(seen.drops), "this agent"))
	}
	return checks
}

// spacingCheck: probes that leave in bunches sample the path otherwise than asked for.
func spacingCheck(p99, interval time.Duration) netp.Check {
	limit := max(lateFloor, interval/4)
	c := netp.Check{Name: "send_time_error_p99", Value: p99.Seconds(), Limit: limit.Seconds(), Unit: "s", OK: p99 <= limit}
	if !c.OK {
		c.Reason = fmt.Sprintf("One probe in a hundred left %s or more after it was due, so the path was not sampled as the profile asks. Give the agent's host more processor time, or use a longer interval.", quantity.Duration(p99))
		// Each delay is taken from when its probe truly left, and each loss is one: only the host's part is in doubt.
		c.Metrics = []string{metricUser}
	}
	return c
}

// rateCheck: probes that were not sent say nothing about the path.
func rateCheck(sent, unsent uint64, missed, interval time.Duration, refused uint64) netp.Check {
	asked := float64(sent+unsent) + float64(missed)/float64(interval)
	achieved := 1.0
	if asked > 0 {
		achieved = float64(sent) / asked
	}
	c := netp.Check{Name: "rate_achieved", Value: achieved, Limit: achievedLimit, Least: true, Unit: "1", OK: achieved >= achievedLimit}
	switch {
	case c.OK:
	case refused > 0:
		c.Reason = fmt.Sprintf("The agent's own limits refused %d probes. Raise them, or lower the rate of the profile.", refused)
	default:
		var why []string
		advice := "Give it more processor time, or use a longer interval."
		if missed > 0 {
			why = append(why, "stalled for "+quantity.Duration(missed))
		}
		if unsent > 0 {
			why = append(why, fmt.Sprintf("could not send %d of them", unsent))
			if time.Duration(unsent)*interval > missed {
				advice = "Look at its interface and routes."
			}
		}
		c.Reason = fmt.Sprintf("Only %.1f %% of the probes were sent: the host %s. %s", achieved*100, strings.Join(why, " and "), advice)
	}
	return c
}

// sendErrorCheck: whether the path would have lost what this host could not send, nobody knows. When its line to the network is down, the
// probes that would have shown it are missing.
func sendErrorCheck(n uint64, last error) netp.Check {
	c := netp.Check{Name: "socket_errors", Value: float64(n), Unit: "packets", OK: n == 0}
	if !c.OK {
		why := "too many were unanswered"
		if last != nil {
			why = last.Error()
		}
		c.Reason = fmt.Sprintf("This host could not send %d of the probes (%s): they are not in the loss, because they never left. Look at its interface and routes.", n, why)
		c.Metrics = lossMetrics
	}
	return c
}

// unplacedCheck: a path that dies for good loses probes in one direction or in both, and no answer tells in which.
func unplacedCheck(n uint64) netp.Check {
	c := netp.Check{Name: "losses_unplaced", Value: float64(n), Limit: unplacedLimit, Unit: "packets", OK: n <= unplacedLimit}
	if !c.OK {
		c.Reason = fmt.Sprintf("No answer came after the last %d losses, so nobody knows in which direction they were lost: they are in loss.ratio and in neither of its parts. Ask for loss.ratio, or measure until the path answers again.", n)
		c.Metrics = []string{metricForward, metricBackward}
	}
	return c
}

// stallCheck: what waits for this process looks like delay to programs.
func stallCheck(longest, timeout time.Duration, kernel bool) netp.Check {
	c := netp.Check{Name: "host_stall", Value: longest.Seconds(), Limit: stallLimit.Seconds(), Unit: "s", OK: longest <= stallLimit}
	if c.OK {
		return c
	}
	c.Reason = fmt.Sprintf("The agent was held up for %s while packets waited for it. Give its host more processor time.", quantity.Duration(longest))
	c.Metrics = []string{metricUser}
	if !kernel {
		c.Metrics = append(c.Metrics, metricRTT)
	}
	if longest > timeout/2 { // answers may have been taken as late that were not
		c.Metrics = append(c.Metrics, lossMetrics...)
	}
	return c
}

// stepCheck: clocks that were set while packets were under way.
func stepCheck(odd, answers uint64) netp.Check {
	share := 0.0
	if answers > 0 {
		share = float64(odd) / float64(answers)
	}
	c := netp.Check{Name: "impossible_stamps", Value: share, Limit: oddLimit, Unit: "1", OK: share <= oddLimit}
	if !c.OK {
		c.Reason = "The stamps of many answers contradict the monotonic clock: a clock is being set at one end, or the reflector's stamps mean nothing. Check the time synchronisation of both hosts; rtt_user does not depend on it."
		c.Metrics = []string{metricRTT}
	}
	return c
}

// dropCheck: packets lost in our own receive queue are not the network's, unless they came damaged.
func dropCheck(dropped, late uint32, whose string) netp.Check {
	c := netp.Check{Name: "receive_queue_drops", Value: float64(late), Unit: "packets", OK: late == 0}
	if damaged := dropped - late; damaged > 0 {
		c.Reason = fmt.Sprintf("At least %d packets came damaged to %s, with a wrong UDP checksum: the network lost them.", damaged, whose)
	}
	if !c.OK {
		c.Reason = fmt.Sprintf("%d packets reached %s and were dropped there because it did not read them in time; the losses are not all the network's. Give it more processor time, or raise net.core.rmem_max.", late, whose)
		c.Metrics = lossMetrics
	}
	return c
}

// clocksCheck tells whether rtt is free of what this host adds.
func clocksCheck(kernel bool) netp.Check {
	c := netp.Check{Name: "kernel_timestamps", Unit: "1", OK: true}
	if kernel {
		c.Value = 1
	}
	return c
}

// stealCheck tells how much processor time the hypervisor took.
func stealCheck(began host.Reading) netp.Check {
	return netp.Check{Name: "cpu_steal", Value: began.Until(host.Read()).Steal, Unit: "1", OK: true}
}
