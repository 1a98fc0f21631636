package tcp

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/netpupper/netp"
)

// result is the part of this end: throughput by the receiver, everything else by the sender.
func (s *session) result() netp.Result {
	r := netp.Result{
		Part: s.role, Started: s.began, Ended: s.ended,
		Completed: s.failure == nil,
		Failure:   s.failure,
		Metrics:   map[string]netp.Measurement{},
		Facts:     map[string]string{},
	}
	if r.Ended.IsZero() {
		r.Ended = s.job.Clock.Now()
	}
	if s.started != 0 {
		s.loadFacts(&r)
		r.Health = s.hostHealth()
	}
	if s.in != nil {
		s.received(&r)
	}
	if s.out != nil && s.out.started != 0 {
		s.sent(&r)
	}
	return r
}

// name is a metric's or fact's name: with both directions each has its own.
func (o options) name(d netp.Direction, name string) string {
	if o.direction == netp.Both {
		return string(d) + "." + name
	}
	return name
}

// after is how long after the initiator began a moment of the traffic was, which is what rows count from. At the responder it is
// less by the time that the go took to come.
func (s *session) after(mono int64) time.Duration {
	if s.started == 0 {
		return 0
	}
	return s.lead + time.Duration(mono-s.started)
}

// received reports what the receiver measured.
func (s *session) received(r *netp.Result) {
	g, d := s.in.goodput, s.in.direction
	r.Completed = r.Completed && s.in.complete
	r.Measured = g.elapsed
	throughput := s.o.name(d, "throughput")
	if len(g.interval) > 0 {
		r.Metrics[throughput] = netp.Measurement{Distribution: g.throughput()}
		r.Intervals = append(r.Intervals, g.rows(throughput, s.after(s.in.series.start)+s.o.omit)...)
	}
	r.Facts[s.o.name(d, "bytes")] = strconv.FormatUint(g.bytes, 10)
	mode := "copy"
	if s.o.discard && canDiscard && !s.portable {
		mode = "discard"
	}
	r.Facts[s.o.name(d, "receive")] = mode
	if s.in.buffers != "" {
		r.Facts[s.o.name(d, "receive_buffer")] = s.in.buffers
	}
	if s.o.bytes > 0 && s.in.complete {
		r.Health = append(r.Health, tooShort(s.o.rates(d), g.elapsed))
	}
}

// sent reports what the sender measured.
func (s *session) sent(r *netp.Result) {
	out, d := s.out, s.out.direction
	report := cmp.Or(out.report, new(report)) // zero when the receiver sent none
	r.Completed = r.Completed && report.complete
	r.Measured = max(r.Measured, report.elapsed)
	if out.report == nil { // its own figures are of this time
		r.Measured = max(r.Measured, out.sampler.elapsed())
	}
	put := func(name string, v float64) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			r.Metrics[s.o.name(d, name)] = netp.Value(v)
		}
	}
	change := out.sampler.change()
	if change.known {
		put("retransmits", float64(change.retransmits))
	}
	if rtt := out.sampler.rtt; rtt.All.Count() > 0 {
		r.Metrics[s.o.name(d, "rtt")] = netp.Measurement{Distribution: rtt}
		if least := out.sampler.minRTT(); least > 0 {
			put("buffer_delay", rtt.Member("mean")/least.Seconds()-1)
			r.Facts[s.o.name(d, "min_rtt")] = least.String()
		}
	}
	if change.counts && change.sent > 0 {
		put("efficiency", float64(change.sent-min(change.sent, change.resent))/float64(change.sent))
	}
	if change.limits && change.busy > 0 {
		busy := float64(change.busy)
		rwnd, sndbuf := float64(change.rwnd)/busy, float64(change.sndbuf)/busy
		put("limited.rwnd", rwnd)
		put("limited.sndbuf", sndbuf)
		put("limited.cwnd", max(0, 1-rwnd-sndbuf))
	}
	if ideal := s.ideal(); ideal > 0 && report.bytes > 0 {
		put("transfer_time_ratio", ideal*report.elapsed.Seconds()/(float64(report.bytes)*8))
	}
	for _, row := range out.sampler.rows {
		row.Start += s.after(out.started)
		r.Intervals = append(r.Intervals, s.renamed(d, row))
	}
	s.senderFacts(r)
	s.senderHealth(r, change, report)
}

// renamed gives the values of a row the names of the direction.
func (s *session) renamed(d netp.Direction, row netp.Interval) netp.Interval {
	if s.o.direction != netp.Both {
		return row
	}
	values := make(map[string]float64, len(row.Values))
	for name, v := range row.Values {
		values[s.o.name(d, name)] = v
	}
	row.Values = values
	return row
}

// ideal is the goodput that the declared rate or bottleneck allows [bit/s]; 0 when none is declared. Of the bottleneck the headers of
// full segments on this path are taken off (RFC 6349 §4.1.1).
func (s *session) ideal() float64 {
	ideal := s.o.bottleneck
	if f := s.out.sampler.last; ideal > 0 {
		share := float64(usualPayload) / usualPacket
		if len(f) > 0 && f[0].payload > 0 && f[0].packet >= f[0].payload {
			share = float64(f[0].payload) / float64(f[0].packet)
		}
		ideal *= share
	}
	if s.o.rate > 0 && (ideal == 0 || s.o.rate < ideal) {
		ideal = s.o.rate
	}
	return ideal
}

// senderFacts tells how was sent.
func (s *session) senderFacts(r *netp.Result) {
	d := s.out.direction
	fact := func(name, value string) {
		if value != "" {
			r.Facts[s.o.name(d, name)] = value
		}
	}
	fact("streams", strconv.Itoa(len(s.out.streams)))
	send := "splice"
	if s.out.streams[0].source.copies() {
		send = "copy"
	}
	fact("send", send)
	fact("congestion", s.out.congestion)
	fact("send_buffer", s.out.buffers)
	if f := s.out.sampler.last; len(f) > 0 && f[0].known {
		fact("mss", strconv.Itoa(f[0].payload))
		fact("path_mtu", strconv.Itoa(f[0].packet))
	}
	switch {
	case s.o.rate == 0:
		fact("pacing", "none")
	case s.out.smoothed:
		fact("pacing", fmt.Sprintf("schedule of the sender, smoothed by the kernel at %g times the rate", smoothing))
	default:
		fact("pacing", "schedule of the sender")
	}
}

// loadFacts tells what the host did meanwhile.
func (s *session) loadFacts(r *netp.Result) {
	if !s.load.use.HostKnown {
		return
	}
	r.Facts[string(s.role)+".cpu"] = fmt.Sprintf("host busy %.0f %%, stolen %.1f %%, netp process %.2f s", 100*s.load.use.Busy, 100*s.load.use.Steal, s.load.use.Process.Seconds())
}

// loopback reports whether the path is inside the host: then the host is what is measured.
func (s *session) loopback() bool {
	c := s.links.control
	return c != nil && (c.Remote.Addr().IsLoopback() || c.Remote.Addr() == c.Local.Addr())
}

// shareOf is part/whole; 0 of nothing.
func shareOf(part, whole time.Duration) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
