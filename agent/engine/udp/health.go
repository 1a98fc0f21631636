package udp

import (
	"fmt"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/internal/host"
	"github.com/netpupper/netp/quantity"
)

// Names of checks.
const (
	checkSendTime   = "send_time_error_p99"
	checkAchieved   = "rate_achieved"
	checkSocket     = "socket_errors"
	checkCounts     = "peer_counts"
	checkClaims     = "sender_counts"
	checkDrops      = "receive_queue_drops"
	checkStall      = "host_stall"
	checkClock      = "clock_offset"
	checkSaturation = "cpu_saturation"
	checkStamps     = "send_stamps"
	checkDepartures = "departures"
)

const (
	// enoughRate is the share of the asked packets that must have left.
	enoughRate = 0.98
	// enoughCPU is the share of the machine beyond which it is too busy to be trusted.
	enoughCPU = 0.95
	// roughShare is the share of packets that may have a time of sending that is wrong by more than roughStamp.
	roughShare = 0.01
)

// sendHealth is what the sending side says of itself.
func (x *session) sendHealth() []netp.Check {
	g := x.sending
	if g.started == 0 {
		return nil
	}
	checks := []netp.Check{x.counts(), x.socketErrors()}
	if !x.set.flood() {
		checks = append(checks, x.sendTime(), x.rateAchieved(), x.sendStamps())
	}
	for i := range checks {
		checks[i].Name = x.name(true, checks[i].Name)
		checks[i].Metrics = x.names(true, checks[i].Metrics)
	}
	return checks
}

// names puts the direction in front of metrics; no names means all metrics of the direction.
func (x *session) names(sends bool, metrics []string) []string {
	if x.set.direction != netp.Both {
		return metrics
	}
	if len(metrics) == 0 {
		return []string{x.way(sends)}
	}
	var out []string
	for _, m := range metrics {
		out = append(out, x.name(sends, m))
	}
	return out
}

// sendTime asks whether the sender itself bunched packets: whether one in a hundred left so late that more than bunchBytes left
// together. Rarer and larger bunches there are none, because a stream that is further behind than stallBytes leaves a pause in place of
// a bunch. It puts loss in doubt only when there is any: a network that carried the bunches carries the even stream too. Delay is
// measured from the true time of sending, but packets that leave together queue behind each other.
func (x *session) sendTime() netp.Check {
	var worst time.Duration
	for _, s := range x.sending.senders {
		worst = max(worst, s.pacer.Report().P99)
	}
	limit := x.set.timeOf(bunchBytes)
	c := netp.Check{Name: checkSendTime, Value: worst.Seconds(), Limit: limit.Seconds(), Unit: "s", OK: worst <= limit}
	if c.OK {
		return c
	}
	c.Metrics = []string{metricDelay, metricVariation, metricJitter, metricReordered}
	if x.lossSeen() {
		c.Metrics = append(c.Metrics, "loss", metricEffective)
	}
	c.Reason = fmt.Sprintf("One packet in a hundred left more than %s late, so that packets left in bunches the profile does not have. The sending host is too busy: free its processors, or ask for a lower rate.", quantity.Duration(worst))
	return c
}

// sendStamps asks how far off the times in the packets are of which the system does not tell when they left. A call that took long
// may have sent its packet at once, or at its end.
func (x *session) sendStamps() netp.Check {
	c := netp.Check{Name: checkStamps, Limit: roughShare, Unit: "1", OK: true, Metrics: []string{metricDelay, metricVariation, metricJitter}}
	var sent, rough uint64
	for _, s := range x.sending.senders {
		sent, rough = sent+s.sent.Load(), rough+s.stats.rough
	}
	if sent > 0 {
		c.Value = float64(rough) / float64(sent)
	}
	if c.Value > c.Limit {
		c.OK = false
		c.Reason = fmt.Sprintf("Of %.1f %% of the packets the sending host cannot say to within %d µs when they left: it was busy, and its system stamps no departures. Free its processors, or ask for a lower rate.", c.Value*100, roughStamp/1000)
	}
	return c
}

// lossSeen says whether the receiver's last reports show loss.
func (x *session) lossSeen() bool {
	for _, s := range x.sending.senders {
		if s.last.state != stateDone || s.last.received < s.sent.Load() {
			return true
		}
	}
	return false
}

// rateAchieved asks whether as much left as was asked for.
func (x *session) rateAchieved() netp.Check {
	var sent, missed float64
	for _, s := range x.sending.senders {
		sent += float64(s.sent.Load())
		missed += s.pacer.Report().Moved.Seconds() * x.set.pps() / float64(x.set.streams)
	}
	c := netp.Check{Name: checkAchieved, Limit: enoughRate, Least: true, Unit: "1"}
	if sent+missed > 0 {
		c.Value = sent / (sent + missed)
	}
	if c.OK = c.Value >= enoughRate || sent == 0; c.OK {
		if sent == 0 {
			c.Reason = "No packet was sent: there is no rate to judge."
		}
		return c
	}
	c.Reason = fmt.Sprintf("Only %.1f %% of the asked packets left: the sending host paused or could not keep up", c.Value*100)
	var held uint64
	for _, s := range x.sending.senders {
		held += s.stats.held
	}
	if held > 0 {
		c.Reason += fmt.Sprintf(" (the agent's own limit held the stream back %d times)", held)
	}
	c.Reason += ". Free its processors, or ask for a lower rate."
	return c
}

// socketErrors asks whether the sending system refused packets.
func (x *session) socketErrors() netp.Check {
	c := netp.Check{Name: checkSocket, Unit: "packets", OK: true}
	var last error
	for _, s := range x.sending.senders {
		c.Value += float64(s.stats.errors)
		if s.stats.lastError != nil {
			last = s.stats.lastError
		}
	}
	if last != nil {
		c.OK = false
		c.Reason = fmt.Sprintf("The sending system refused packets %.0f times (%v): they are not in the loss, because they never left. Look at the host's interface and routes.", c.Value, last)
	}
	return c
}

// counts asks whether both ends tell the same story.
func (x *session) counts() netp.Check {
	c := netp.Check{Name: checkCounts, Unit: "packets", OK: true}
	for _, s := range x.sending.senders {
		sent, r := s.sent.Load(), s.last
		wrong := r.received > sent || r.next > sent || r.state == stateDone && r.judged != sent
		if wrong {
			c.OK = false
			c.Value = float64(r.received)
			c.Limit = float64(sent)
			c.Reason = fmt.Sprintf("The two ends contradict each other: stream %d sent %d packets; the receiver judged %d sent, counts %d received, and the highest number it saw is %d.", s.stream, sent, r.judged, r.received, r.next)
		}
	}
	return c
}

// receiveHealth is what the receiving side says of itself.
func (x *session) receiveHealth(o outcome) []netp.Check {
	checks := []netp.Check{x.queueDrops(), x.hostStall(o.sent), x.clockOffset(), x.claims(o), x.departures()}
	for i := range checks {
		checks[i].Name = x.name(false, checks[i].Name)
		checks[i].Metrics = x.names(false, checks[i].Metrics)
	}
	return checks
}

// queueDrops asks whether packets got as far as our own socket and were dropped there because they were not read in time. Those that
// came damaged the network has lost.
func (x *session) queueDrops() netp.Check {
	c := netp.Check{Name: checkDrops, Unit: "packets", OK: true, Metrics: []string{"loss", metricEffective, metricRate}}
	dropped := x.dropped()
	late := x.inbound.receivers[0].sock.late(dropped)
	c.Value = float64(late)
	if damaged := dropped - late; damaged > 0 {
		c.Reason = fmt.Sprintf("At least %d packets came damaged, with a wrong UDP checksum: the network lost them.", damaged)
	}
	if late > 0 {
		c.OK = false
		c.Reason = fmt.Sprintf("The receiving host dropped at least %.0f packets that had arrived, because the agent could not read them in time: they are in the loss, and the network did not lose them. Free the host's processors, raise net.core.rmem_max, or ask for a lower rate.", c.Value)
	}
	return c
}

// dropped is how many packets that arrived the sockets have dropped.
func (x *session) dropped() (n uint64) {
	for _, r := range x.inbound.receivers {
		n += r.sock.drops()
	}
	return n
}

// departures asks how many packets of a traced stream have a wrong delay, because the sender could not tell when they left.
func (x *session) departures() netp.Check {
	c := netp.Check{Name: checkDepartures, Limit: roughShare, Unit: "1", OK: true, Metrics: []string{metricDelay, metricVariation, metricJitter, metricEffective}}
	for _, r := range x.inbound.receivers {
		c.Value = max(c.Value, r.held.doubtful())
	}
	if c.Value > c.Limit {
		c.OK = false
		c.Reason = fmt.Sprintf("It is not known when %.1f %% of the packets left, or more, and the sending host is too busy for the times in its packets to be right to within %d µs. Free its processors.", c.Value*100, roughStamp/1000)
	}
	return c
}

// hostStall asks how long the receiving host kept packets waiting. With stamps by the kernel that leaves the delay as it was, and has
// no limit, unless it was so long that the sender, which heard nothing, paused.
func (x *session) hostStall(sent uint64) netp.Check {
	c := netp.Check{Name: checkStall, Unit: "s", OK: true, Metrics: []string{metricDelay, metricVariation, metricJitter, metricEffective}}
	user := false
	for _, r := range x.inbound.receivers {
		c.Value = max(c.Value, float64(r.stall)*1e-9)
		user = user || r.user
	}
	if user {
		c.Limit = stallLimit.Seconds()
	}
	switch {
	case c.Value > deadMan.Seconds() && float64(sent) < enoughRate*float64(x.set.asked()):
		c.OK = false
		c.Limit, c.Metrics = deadMan.Seconds(), nil
		c.Reason = fmt.Sprintf("The receiving host stood still for %s, longer than a sender goes on without hearing of it, and fewer packets left than were asked for. Free its processors.", quantity.Duration(time.Duration(c.Value*1e9)))
	case user && c.Value > c.Limit:
		c.OK = false
		c.Metrics = append(c.Metrics, "loss", metricRate)
		c.Reason = fmt.Sprintf("The receiving host stood still for %.0f ms while packets arrived, and its system neither stamps them nor tells how many it dropped: that time is in their delay, and what it dropped looks lost. Free its processors.", c.Value*1e3)
	}
	return c
}

// clockOffset asks whether the clocks of the two hosts could be compared.
func (x *session) clockOffset() netp.Check {
	offset := &x.inbound.collector.clock
	c := netp.Check{Name: checkClock, Value: offset.uncertainty().Seconds(), Unit: "s", OK: true, Metrics: []string{metricDelay, metricLate}}
	switch {
	case offset.stepped():
		c.OK = false
		c.Reason = "The clock of one of the two hosts was set during the session, so the stamps of its packets do not compare. Let a time daemon slew the clock instead of stepping it, and repeat."
		c.Metrics = append(c.Metrics, metricVariation, metricJitter, metricEffective, metricRate)
		if x.inbound.collector.late > 0 {
			c.Metrics = append(c.Metrics, "loss")
		}
	case !offset.known && x.inbound.collector.received > 0:
		c.OK = false
		c.Reason = "No exchange of stamps with the sender succeeded, so the offset of the two clocks is unknown. Packets of the receiver do not get back to the sender."
	case x.inbound.collector.unplaced > 0:
		c.OK = false
		c.Reason = fmt.Sprintf("%d packets came before an exchange of stamps with the sender succeeded, so their delays hold the offset of the two clocks. Nothing came through when the session began; repeat it.", x.inbound.collector.unplaced)
		c.Metrics = append(c.Metrics, metricVariation, metricEffective)
	}
	return c
}

// claims asks whether the sender's own count fits what arrived.
func (x *session) claims(o outcome) netp.Check {
	c := netp.Check{Name: checkClaims, Value: float64(o.beyond + x.inbound.collector.excess), Unit: "packets", OK: true}
	if c.Value > 0 {
		c.OK = false
		c.Reason = fmt.Sprintf("%.0f packets arrived that the sender says it did not send, or that the session does not have: the sender miscounts.", c.Value)
	}
	return c
}

// saturation asks whether this process used the whole machine. A flood always uses what there is; then only its rate is a figure of
// the host as much as of the path.
func saturation(use host.Use, flood bool) []netp.Check {
	if !use.ProcessKnown {
		return nil
	}
	share := use.ProcessShare
	c := netp.Check{Name: checkSaturation, Value: share, Limit: enoughCPU, Unit: "1", OK: share <= enoughCPU}
	if c.OK {
		return []netp.Check{c}
	}
	if flood {
		c.Metrics = []string{metricRate, string(netp.Forward) + "." + metricRate, string(netp.Reverse) + "." + metricRate}
	}
	c.Reason = fmt.Sprintf("The agent used %.0f %% of the host's processors: what was measured may be the host and not the path. Run fewer sessions at the same time, or ask for a lower rate.", share*100)
	return []netp.Check{c}
}
