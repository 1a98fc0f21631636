package rtt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/quantity"
)

// drain waits until all probes are answered, or too old to be.
func (s *session) drain(ctx context.Context) error {
	return s.wait(ctx, s.settings.timeout+grace, func() bool { return s.ledger.open() == 0 })
}

// wait waits until something is so, at most as long as given; what it asks is called with the ledger locked.
func (s *session) wait(ctx context.Context, atMost time.Duration, so func() bool) error {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	for {
		s.mu.Lock()
		done := so()
		s.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-s.notify:
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close asks for the reflector's last count, so that the last losses can be told apart too, and tells an agent that the session
// is over. These packets are not counted.
func (s *session) close(ctx context.Context, wait bool) {
	s.mu.Lock()
	first := s.ledger.next
	last := s.ledger.at(first - 1)
	needed := s.ledger.reached() && (s.agent || s.ledger.split != nil && last != nil && last.state == unanswered)
	s.mu.Unlock()
	for n := 0; needed && n < closings; n++ {
		if !s.allow() {
			return
		}
		sequence, wall, ok := s.enter(false)
		if !ok {
			return
		}
		packet := s.protocol.end(sequence, wall)
		if packet == nil {
			packet = s.protocol.probe(sequence, wall)
		}
		s.transmit(packet, sequence)
		if !wait {
			return
		}
		answered := false
		err := s.wait(ctx, closingEvery, func() bool {
			for at := first; at < s.ledger.next; at++ {
				if p := s.ledger.at(at); p != nil && p.state != unanswered {
					answered = true
				}
			}
			return answered
		})
		if err != nil || answered {
			return
		}
	}
}

// conclude makes the result. It is called when nothing runs any more.
func (s *session) conclude(err error) (netp.Result, error) {
	now := clock.Mono()
	if err != nil {
		s.ledger.cut(now)
	}
	s.ledger.finish()
	r := netp.Result{Completed: err == nil, Facts: s.facts, Health: s.health()}
	s.note()
	if !s.ledger.reached() {
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			err = s.unreachable()
		}
		return r, err
	}
	r.Measured = s.measured(now)
	r.Metrics = s.ledger.metrics(s.settings.mode, s.agent)
	r.Intervals = s.ledger.rows.intervals()
	return r, err
}

// measured is how long counted probes were sent.
func (s *session) measured(now int64) time.Duration {
	spent := time.Duration(now-s.start) - s.settings.omit
	return max(0, min(spent, s.settings.duration()))
}

// unreachable is the failure of a session without any answer.
func (s *session) unreachable() *netp.Failure {
	sent := s.ledger.next
	f := &netp.Failure{Kind: netp.FailureUnreachable}
	switch {
	case errors.Is(s.seen.sendError, syscall.EMSGSIZE):
		f.Kind = netp.FailureUnsupported
		f.Detail = fmt.Sprintf("Probes of %d bytes are longer than the MTU of the path to %s. netp does not send fragments, because the loss of one would count as the loss of all. Ask for a smaller size.", s.size, s.target)
		return f
	case sent == 0 && s.seen.refused > 0:
		f.Kind = netp.FailureRefused
		f.Detail = "The limits of this agent did not let a single probe out. Raise its rate or bytes per day, or lower what the profile asks for."
	case sent == 0 && s.seen.sendError != nil:
		return failure(context.Background(), fmt.Errorf("send to %s: %w", s.target, s.seen.sendError))
	case s.agent:
		f.Detail = fmt.Sprintf("The agent at %s answered the set-up, but none of %d probes of %d bytes. Check whether packets of that size pass (path MTU), and whether a firewall limits the flow.", s.target, sent, s.size)
	case s.settings.mode == modeTCP:
		f.Detail = fmt.Sprintf("None of %d connections to %s was answered within %s. Check whether the host is up, and whether firewalls let TCP to this port through.", sent, s.tried(), quantity.Duration(s.settings.timeout))
	case s.settings.mode == modeICMP:
		f.Detail = fmt.Sprintf("None of %d echo requests to %s was answered. Check whether the host is up and whether ICMP echo is allowed on the way.", sent, s.tried())
	default:
		f.Detail = fmt.Sprintf("None of %d STAMP packets to %s was answered. Check whether a STAMP or TWAMP-Light reflector listens there, on this UDP port, without authentication, and whether firewalls let it through.", sent, s.tried())
	}
	if s.seen.icmp > 0 {
		f.Detail += fmt.Sprintf(" The network reported %d times by ICMP that they cannot be delivered.", s.seen.icmp)
	}
	if s.seen.rejected > 0 {
		f.Detail += fmt.Sprintf(" %d packets came that are no answers to them.", s.seen.rejected)
	}
	return f
}

// tried is the destination as the suite has it, with the address that its name was resolved to: of several, the others may answer.
func (s *session) tried() string {
	if strings.Contains(s.job.Path.Dest, s.target.String()) {
		return s.job.Path.Dest
	}
	return fmt.Sprintf("%s (%s)", s.job.Path.Dest, s.target)
}

// report gives a sign of life. The ledger is locked.
func (s *session) report(now int64) {
	if s.job.Progress == nil {
		return
	}
	l := s.ledger
	values := map[string]float64{"packets": float64(l.sent), "lost": float64(l.lost)}
	if l.rtt.All.Count() > 0 {
		values[metricRTT] = l.rtt.Member("mean")
	}
	s.job.Progress(netp.Progress{
		Elapsed: time.Duration(now - s.start), Total: s.settings.length(), Values: values,
	})
}

// note writes the facts.
func (s *session) note() {
	l, f := s.ledger, s.facts
	f["timestamps"] = s.clocks
	number := func(name string, n uint64) {
		if n > 0 {
			f[name] = fmt.Sprint(n)
		}
	}
	if s.seen.sendError != nil {
		f["send_error"] = s.seen.sendError.Error()
	}
	number("late", l.late)
	number("stale", l.stale)
	number("rejected", s.seen.rejected)
	number("icmp_errors", s.seen.icmp)
	number("longer_than_path_mtu", s.seen.tooLong)
	number("departures_unstamped", s.seen.unstamped)
	number("answers_followed_up", s.seen.followed)
	if s.clocks == kernelClocks {
		number("arrivals_unstamped", s.seen.unmarked)
	}
	for name, v := range map[string]span{"ttl_forward": s.seen.there, "ttl_backward": s.seen.back} {
		if v.any {
			f[name] = v.String()
		}
	}
	if tos := s.seen.tos; tos.any {
		f["dscp_backward"] = span{tos.low >> 2, tos.high >> 2, true}.String()
	}
	if l.split == nil || s.agent || l.answers == 0 {
		return
	}
	switch {
	case l.split.broken:
		f["reflector"] = "numbers its answers in a way of its own"
	case l.split.differs:
		f["reflector"] = "stateful"
	default:
		f["reflector"] = "stateless, or nothing was lost on the way there"
	}
}

// metrics gives the measurements.
func (l *ledger) metrics(mode string, agent bool) map[string]netp.Measurement {
	m := map[string]netp.Measurement{
		metricRTT:      {Distribution: l.rtt},
		metricUser:     {Distribution: l.user},
		metricLoss:     {Ratio: l.arrivals.Misses(l.sent)},
		metricLost:     netp.Value(float64(l.lost)),
		metricSent:     netp.Value(float64(l.sent)),
		metricReceived: netp.Value(float64(l.received)),
		metricLongest:  netp.Value(float64(l.longest)),
	}
	if mode != modeTCP {
		m[metricDuplicated] = netp.Measurement{Ratio: l.duplicated.Hits(l.received)}
	}
	if l.split != nil && l.split.known(agent, l.lost) {
		forward, backward := l.split.ratios()
		m[metricForward] = netp.Measurement{Ratio: forward}
		m[metricBackward] = netp.Measurement{Ratio: backward}
	}
	return m
}
