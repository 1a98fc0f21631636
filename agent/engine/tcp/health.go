package tcp

import (
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
)

// The limits of the checks.
const (
	maxStalled  = 0.05                   // share of the measurement
	maxSteal    = 0.10                   // share of the CPU time
	maxBusy     = 0.95                   // share of the CPU time
	maxStarved  = 0.05                   // share of the time in which a connection was kept waiting by a host
	minRate     = 0.98                   // of the rate asked for, as far as this host is to blame
	maxHeld     = 0.01                   // share of the measurement
	leastRTO    = 200 * time.Millisecond // for which TCP waits at least before it sends again (Linux; RFC 6298 has a second)
	shortestRun = 10 * time.Millisecond
)

// verdict completes a check; the reason is of one that is not OK.
func verdict(c netp.Check, ok bool, format string, args ...any) netp.Check {
	if c.OK = ok; !ok {
		c.Reason = fmt.Sprintf(format, args...)
	}
	return c
}

// rates names the metrics of a direction that say how fast the data was.
func (o options) rates(d netp.Direction) []string {
	return []string{o.name(d, "throughput"), o.name(d, "transfer_time_ratio")}
}

// hostHealth checks that this host ran all the time, and that the hypervisor let it.
func (s *session) hostHealth() []netp.Check {
	var touched []string
	if s.in != nil {
		touched = append(touched, s.o.rates(s.in.direction)...)
	}
	if s.out != nil {
		touched = append(touched, s.o.rates(s.out.direction)...)
	}
	share := shareOf(s.load.stalled, time.Duration(s.ticked-s.started))
	checks := []netp.Check{verdict(
		netp.Check{Name: "host_stall", Value: share, Limit: maxStalled, Unit: "1", Metrics: touched},
		share <= maxStalled,
		"The host of the %s stood still for %s in all, %s at the longest. Move other work off this host, or give it more CPUs.", s.role, quantity.Duration(s.load.stalled), quantity.Duration(s.load.longest))}
	if s.load.use.HostKnown {
		checks = append(checks, verdict(
			netp.Check{Name: "cpu_steal", Value: s.load.use.Steal, Limit: maxSteal, Unit: "1", Metrics: touched},
			s.load.use.Steal <= maxSteal,
			"The hypervisor gave %.0f %% of the CPU time of the %s to others: the figures are a lower bound. Give the virtual machine CPUs of its own.", 100*s.load.use.Steal, s.role))
	}
	return checks
}

// tooShort checks that a transfer of bytes lasted long enough for a rate.
func tooShort(metrics []string, elapsed time.Duration) netp.Check {
	return verdict(
		netp.Check{Name: "transfer_time", Value: elapsed.Seconds(), Limit: shortestRun.Seconds(), Least: true, Unit: "s", Metrics: metrics},
		elapsed >= shortestRun,
		"The transfer took %s, too short for a rate that means something. Raise bytes.", quantity.Duration(elapsed))
}

// senderHealth checks the sender.
func (s *session) senderHealth(r *netp.Result, change figures, report *report) {
	d := s.out.direction
	elapsed := s.out.sampler.elapsed()
	touched := s.o.rates(d)
	add := func(c netp.Check, ok bool, format string, args ...any) {
		c.Name, c.Unit, c.Metrics = s.o.name(d, c.Name), "1", touched
		r.Health = append(r.Health, verdict(c, ok, format, args...))
	}
	if sent, known := s.out.sampler.handed(); known {
		r.Health = append(r.Health, verdict(
			netp.Check{Name: s.o.name(d, "peer_counts"), Value: float64(report.bytes), Limit: float64(sent), Unit: "B", Metrics: touched},
			report.bytes <= sent,
			"The two ends contradict each other: the receiver reports %d bytes, and no more than %d were sent.", report.bytes, sent))
	}
	r.Health = append(r.Health, s.repeats(change.retransmits))
	held := shareOf(s.out.sampler.idle, elapsed)
	add(netp.Check{Name: "feedback_gap", Value: held, Limit: maxHeld}, held <= maxHeld,
		"The sender paused because nothing was heard from the receiver for more than %s, and the path had nothing to carry meanwhile (%.0f %% of the time): the throughput is a lower bound. Does the path lose the small packets of the control connection?", quantity.Duration(holdAfter), 100*held)
	refused := shareOf(time.Duration(s.out.refused.Load())/time.Duration(len(s.out.streams)), elapsed)
	add(netp.Check{Name: "agent_limit", Value: refused, Limit: maxHeld}, refused <= maxHeld,
		"The limits of the sending agent held the sender back %.0f %% of the time: the throughput is that of the limit, not of the path. Raise the agent's limits, or lower rate below them.", 100*refused)
	if s.o.rate > 0 {
		achieved := s.achieved(elapsed)
		add(netp.Check{Name: "rate_achieved", Value: achieved, Limit: minRate, Least: true}, achieved >= minRate,
			"The sending host was too slow for the rate: it kept %.1f %% of its schedule. Lower rate, or move other work off this host.", 100*achieved)
		return
	}
	s.saturation(add, change, report, elapsed)
}

// repeats checks that the path was the reason for what was sent again. When a host stands still, its timers go off before it looks at the
// acknowledgements that came meanwhile.
func (s *session) repeats(again uint64) netp.Check {
	d, longest := s.out.direction, s.load.longest
	c := netp.Check{
		Name: s.o.name(d, "longest_stall"), Value: longest.Seconds(), Limit: leastRTO.Seconds(), Unit: "s",
		Metrics: []string{s.o.name(d, "retransmits"), s.o.name(d, "efficiency")},
	}
	if longest > leastRTO && again == 0 {
		c.Reason = "No harm: nothing was sent again."
	}
	return verdict(c, longest <= leastRTO || again == 0,
		"The sending host stood still for %s, longer than TCP waits for an acknowledgement: not all that it sent again did the path lose. Move other work off this host, or give it more CPUs.", quantity.Duration(longest))
}

// achieved is the share of its schedule that the sending host kept; what the network held back does not count.
func (s *session) achieved(elapsed time.Duration) float64 {
	var late time.Duration
	for _, f := range s.out.streams {
		late += f.pacer.late
	}
	return max(0, 1-shareOf(late/time.Duration(len(s.out.streams)), elapsed))
}

// saturation checks that the path was the bottleneck and not a host. A CPU that is busy is no harm as long as the connections always had data
// to send and a receiver that took it. Over loopback the host is the path, and the check is met by definition.
func (s *session) saturation(add func(netp.Check, bool, string, ...any), change figures, report *report, elapsed time.Duration) {
	if !s.load.use.HostKnown || !change.limits {
		return
	}
	streams := time.Duration(len(s.out.streams))
	starved := max(shareOf(elapsed-change.busy/streams, elapsed), shareOf(change.rwnd, change.busy))
	busy, where := s.load.use.Busy, "sending"
	if report.busy > busy {
		busy, where = report.busy, "receiving"
	}
	c := netp.Check{Name: "cpu_saturation", Value: busy, Limit: maxBusy}
	switch {
	case busy <= maxBusy:
	case s.loopback():
		c.Reason = "No harm: over loopback the host is the path."
	case starved <= maxStarved:
		c.Reason = fmt.Sprintf("No harm: the connections had data to send and room for it %.0f %% of the time.", 100*(1-starved))
	}
	add(c, busy <= maxBusy || c.Reason != "",
		"The %s host was %.0f %% busy and kept the connections waiting %.0f %% of the time: the throughput is that of the host, a lower bound for the path. Move other work off it, lower streams, or give rate.", where, 100*busy, 100*starved)
}
