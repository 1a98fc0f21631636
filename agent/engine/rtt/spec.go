package rtt

import (
	"fmt"
	"math"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
	"github.com/netpupper/netp/quantity"
)

// The modes: what is sent, and by that who can answer.
const (
	modeStamp = "stamp"       // STAMP over UDP: agents, STAMP reflectors, TWAMP-Light responders
	modeICMP  = "icmp"        // echo requests: any host
	modeTCP   = "tcp_connect" // the TCP handshake: any host with a service
)

// Bounds and defaults of the parameters.
const (
	defaultDuration = 10 * time.Second
	defaultInterval = 100 * time.Millisecond
	defaultTimeout  = 2 * time.Second
	defaultICMPSize = 56 // as ping

	minInterval    = time.Millisecond
	minConnects    = 10 * time.Millisecond // interval of tcp_connect
	minICMPSize    = echoSize
	maxSize        = 65_000
	maxDuration    = 7 * 24 * time.Hour
	maxTimeout     = time.Minute
	maxOutstanding = 30_000 // probes sent within one timeout: less than half of ICMP's 65 536 sequence numbers
	maxConnects    = 1000   // connects open at once
)

// Spec declares the kind.
func (*Engine) Spec() netp.KindSpec {
	return netp.KindSpec{
		Kind:      Kind,
		Summary:   "Round trips of single packets: delay and loss, by STAMP, ICMP echo or TCP connect",
		Params:    params(),
		Endpoints: endpoints,
		Agents:    true,
		Check:     check,
		Metrics:   metrics,
		Demand:    demand,
	}
}

func params() []netp.ParamSpec {
	return []netp.ParamSpec{
		{Name: "duration", Type: netp.DurationParam, Min: 0.01, Max: maxDuration.Seconds(),
			Doc: "How long probes are sent and counted, after the warm-up; 10 s when neither duration nor count is given."},
		{Name: "count", Type: netp.IntegerParam, Min: 1, Max: 1e9,
			Doc: "How many probes are sent and counted, after the warm-up; in place of duration."},
		{Name: "interval", Type: netp.DurationParam, Default: defaultInterval.Seconds(), Min: minInterval.Seconds(), Max: 3600,
			Doc: "Time between probes; with poisson spacing its mean. At least 10 ms with mode tcp_connect."},
		{Name: "spacing", Type: netp.StringParam, Default: spacingPeriodic, OneOf: []string{spacingPeriodic, spacingPoisson},
			Doc: "periodic sends evenly; poisson draws the gaps from an exponential distribution (RFC 2330 §11.1.1), so that nothing periodic on the path can be in step with the probes."},
		{Name: "mode", Type: netp.StringParam, Default: modeStamp, OneOf: []string{modeStamp, modeICMP, modeTCP},
			Doc: "stamp sends STAMP packets to an agent or to a STAMP or TWAMP-Light reflector (host, or host:port when not 862); icmp sends echo requests to a host, and what that leaves unanswered is lost, also when it answers only so many a second; tcp_connect opens connections to host:port; that the host refuses one is an answer, that a firewall does so by ICMP is none."},
		{Name: "size", Type: netp.SizeParam, Min: minICMPSize, Max: maxSize,
			Doc: "UDP payload of a STAMP packet, or data of an echo request as ping -s counts it. When absent: the smallest STAMP packet (152 B between agents, which authenticate and tell when answers left; 44 B to others), 56 B of ICMP data. A STAMP size that the format does not have is raised to the next one, and the result's facts say to which. Packets are never fragmented: a size the path does not carry is an error, and one that it does not carry any more a loss. Not for tcp_connect."},
		{Name: "dscp", Type: netp.DSCPParam, Default: 0.0, Min: 0, Max: 63,
			Doc: "Code point of the probes; an agent answers with the same."},
		{Name: "ip", Type: netp.IntegerParam, Min: 4, Max: 6,
			Doc: "IP version that the session must use, 4 or 6; when absent, that of the destination agent's address, or of the first address that an endpoint's name resolves to."},
		{Name: "timeout", Type: netp.DurationParam, Default: defaultTimeout.Seconds(), Min: 0.01, Max: maxTimeout.Seconds(),
			Doc: "An answer that takes longer is a loss (RFC 6673 §5.1.5, Tmax), whether it still comes or not."},
		{Name: "omit", Type: netp.DurationParam, Default: 0.0, Min: 0, Max: 3600,
			Doc: "Warm-up: probes of this long are sent before the measurement, and not counted. It comes on top of duration or count."},
	}
}

func endpoints(p netp.Params) []netp.EndpointForm {
	switch p.String("mode") {
	case modeICMP:
		return []netp.EndpointForm{netp.EndpointHost}
	case modeTCP:
		return []netp.EndpointForm{netp.EndpointHostPort}
	}
	return []netp.EndpointForm{netp.EndpointHost, netp.EndpointHostPort}
}

// check finds what is wrong between parameters.
func check(p netp.Params) []netp.ParamFault {
	var faults []netp.ParamFault
	fault := func(param, format string, args ...any) {
		faults = append(faults, netp.ParamFault{Param: param, Detail: fmt.Sprintf(format, args...)})
	}
	mode, interval, timeout := p.String("mode"), p.Duration("interval"), p.Duration("timeout")
	if p.Has("duration") && p.Has("count") {
		fault("count", "Both duration and count say when the session ends. Remove one of them.")
	}
	if v := p.Int("ip"); p.Has("ip") && v != 4 && v != 6 {
		fault("ip", "There is no IP version %d. Write 4 or 6.", v)
	}
	if size := p.Int("size"); p.Has("size") {
		switch {
		case mode == modeTCP:
			fault("size", "A TCP handshake carries no data, so its packets have no size to choose. Remove size, or use mode stamp or icmp.")
		case mode == modeStamp && size < stamp.OpenSize:
			fault("size", "The smallest STAMP packet has %d bytes. Write at least that, or use mode icmp.", stamp.OpenSize)
		}
	}
	if mode == modeTCP && interval < minConnects {
		fault("interval", "With mode tcp_connect the interval must be at least %s: each probe opens a connection at the far end. Use mode stamp or icmp for a shorter one.", quantity.Duration(minConnects))
	}
	if count := p.Number("count"); count*interval.Seconds() > maxDuration.Seconds() {
		fault("count", "A session lasts at most %s, which at this interval is enough for %s probes. Write a lower count or a shorter interval.", quantity.Duration(maxDuration), quantity.Count(uint64(maxDuration/interval)))
	}
	limit := maxOutstanding
	if mode == modeTCP {
		limit = maxConnects
	}
	if interval > 0 && int(timeout/interval) > limit {
		fault("timeout", "Within a timeout of %s there would be %d unanswered probes; at most %d can be kept. Write a shorter timeout or a longer interval.", quantity.Duration(timeout), timeout/interval, limit)
	}
	return faults
}

// Names of metrics.
const (
	metricRTT        = "rtt"
	metricUser       = "rtt_user"
	metricLoss       = "loss.ratio"
	metricLost       = "loss.count"
	metricSent       = "loss.sent"
	metricReceived   = "loss.received"
	metricLongest    = "loss.longest"
	metricForward    = "loss.forward_ratio"
	metricBackward   = "loss.backward_ratio"
	metricDuplicated = "duplicated.ratio"
)

func metrics(p netp.Params) []netp.MetricSpec {
	specs := []netp.MetricSpec{
		{Name: metricRTT, Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, Better: "lower", Most: p.Duration("timeout").Seconds(), Source: "RFC 2681 §2",
			Doc: "Round-trip delay of the network: from the kernel's stamp of the departure to its stamp of the arrival, without the time the packet spent in the reflector. With tcp_connect, the handshake as the kernel timed it."},
		{Name: metricUser, Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 2681 §3.7",
			Doc: "Round-trip delay as a program sees it, both hosts included. What it has more than rtt is the hosts' and not the network's."},
		{Name: metricLoss, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 6673 §5.2",
			Doc: "Share of the probes without an answer within the timeout."},
		{Name: metricLost, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 6673 §5.2",
			Doc: "Number of probes without an answer within the timeout."},
		{Name: metricSent, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "higher", Source: "RFC 6673 §5.2",
			Doc: "Number of probes sent, warm-up not counted."},
		{Name: metricReceived, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "higher", Source: "RFC 6673 §5.2",
			Doc: "Number of probes answered within the timeout."},
		{Name: metricLongest, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 3357 §6.3",
			Doc: "The largest number of probes lost one after the other (the longest loss period)."},
	}
	if p.String("mode") != modeTCP {
		specs = append(specs, netp.MetricSpec{
			Name: metricDuplicated, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 5560 §5.2",
			Doc: "Share of the answered probes to which more than one answer came."})
	}
	if p.String("mode") != modeStamp && p.Has("mode") {
		return specs
	}
	return append(specs,
		netp.MetricSpec{Name: metricForward, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 7680 §2, RFC 8762 §4.3",
			Doc: "Share of the probes lost on the way there: those the reflector did not count. Absent when the reflector keeps no count of its own (stateless); in doubt, and inconclusive, when no answer comes after the last losses."},
		netp.MetricSpec{Name: metricBackward, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 7680 §2, RFC 8762 §4.3",
			Doc: "Share of the reflector's answers lost on the way back. Absent or in doubt as loss.forward_ratio."})
}

// Sizes on the IP layer.
const (
	ip4Header  = 20
	ip6Header  = 40
	udpHeader  = 8
	icmpHeader = 8
	// A probe of tcp_connect: SYN, ACK and RST there, SYN+ACK back, with the options that systems send.
	connectForward = 40 + 32 + 20
	connectReverse = 40
)

// demand says what a session takes. The path is not known here, so packets are counted as they are between agents: of the larger,
// authenticated size.
func demand(p netp.Params) netp.Demand {
	c := newSettings(p)
	packets := c.total()
	d := netp.Demand{Duration: c.length(), Patience: c.timeout + c.overrun(), Intervals: int(math.Ceil(c.duration().Seconds()))}
	header := ip4Header
	if c.ip == 6 {
		header = ip6Header
	}
	forward, reverse := uint64(header+icmpHeader+c.size), uint64(header+icmpHeader+c.size)
	switch c.mode {
	case modeStamp:
		size := uint64(header + udpHeader + stamp.Sealed(nil, nil).Fit(c.size))
		forward, reverse = size, size
	case modeTCP:
		forward, reverse = uint64(3*header+connectForward), uint64(header+connectReverse)
	}
	d.Forward = load(packets, forward, c)
	d.Reverse = load(packets, reverse, c)
	return d
}

func load(packets, size uint64, c settings) netp.Load {
	return netp.Load{Packets: packets, Bytes: packets * size, Rate: float64(size*8) / c.interval.Seconds()}
}
