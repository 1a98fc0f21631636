package tcp

import (
	"math"
	"time"

	"github.com/netpupper/netp"
)

// Kind is the name of this kind in a suite.
const Kind netp.Kind = "tcp"

// The bounds and defaults of the parameters, and the figures that plans are made with.
const (
	interval        = 100 * time.Millisecond // length of a sample of throughput and rtt
	defaultDuration = 10 * time.Second
	defaultLimit    = 60 * time.Second // longest transfer of a given number of bytes, unless duration says otherwise
	defaultTimeout  = 10 * time.Second
	maxStreams      = 128

	// A segment of a path with an MTU of 1500 bytes over IPv4, with the timestamps option.
	usualPayload = 1448
	usualPacket  = 1500
)

// Spec declares the kind.
func (*Engine) Spec() netp.KindSpec {
	return netp.KindSpec{
		Kind:    Kind,
		Summary: "bulk TCP transfer: goodput, retransmissions, round-trip time under load",
		Params:  params(),
		Agents:  true,
		Check:   check,
		Metrics: metrics,
		Demand:  demand,
	}
}

func params() []netp.ParamSpec {
	return []netp.ParamSpec{
		{Name: "duration", Type: netp.DurationParam, Min: 0.1, Max: 86400,
			Doc: "How long is measured, after omit; 10 s unless bytes is given. With bytes: the longest the transfer may take, 60 s unless given."},
		{Name: "bytes", Type: netp.SizeParam, Min: 1, Max: 1e15,
			Doc: "Transfer this much payload in each direction, all streams together, instead of sending for a time."},
		{Name: "streams", Type: netp.IntegerParam, Default: 1.0, Min: 1, Max: maxStreams,
			Doc: "Connections that send at the same time, in each direction."},
		{Name: "direction", Type: netp.StringParam, Default: string(netp.Forward),
			OneOf: []string{string(netp.Forward), string(netp.Reverse), string(netp.Both)},
			Doc:   "Which way the data goes: forward from source to destination, reverse, or both at once on connections of their own. With both each metric is there twice, as forward.NAME and reverse.NAME."},
		{Name: "rate", Type: netp.BitRateParam, Default: 0.0, Min: 0, Max: 1e12,
			Doc: "Send no more payload than this in each direction, all streams together; 0 is as fast as TCP goes."},
		{Name: "bottleneck", Type: netp.BitRateParam, Min: 1e3, Max: 1e13,
			Doc: "What the path should carry, on the IP layer, e.g. the contracted rate: the ideal that transfer_time_ratio compares with (RFC 6349 §3.2)."},
		{Name: "congestion", Type: netp.StringParam,
			Doc: "Congestion control of the sender: cubic, bbr, reno, ... (Linux). Without it what the sender's host uses."},
		{Name: "mss", Type: netp.IntegerParam, Min: 88, Max: 32767,
			Doc: "Maximum segment size offered in the handshake [B]; TCP options are taken from it (TCP_MAXSEG)."},
		{Name: "receive", Type: netp.StringParam, Default: "copy", OneOf: []string{"copy", "discard"},
			Doc: "What the receiver does with the data: copy it to the program as a real one does, or discard it in the kernel, which costs less CPU at high rates (Linux; copy elsewhere)."},
		{Name: "dscp", Type: netp.DSCPParam, Default: 0.0, Doc: "DSCP of the packets of both ends."},
		{Name: "ip", Type: netp.IntegerParam, Min: 4, Max: 6, Doc: "IP version, 4 or 6; without it what the destination's address has."},
		{Name: "timeout", Type: netp.DurationParam, Default: defaultTimeout.Seconds(), Min: 1, Max: 300,
			Doc: "How long the connections may take to stand, and the first byte to arrive."},
		{Name: "omit", Type: netp.DurationParam, Default: 0.0, Min: 0, Max: 3600,
			Doc: "Warm-up at the start that is sent and not counted, e.g. TCP's slow start."},
	}
}

func check(p netp.Params) []netp.ParamFault {
	var faults []netp.ParamFault
	if p.Int("ip") == 5 {
		faults = append(faults, netp.ParamFault{Param: "ip", Detail: "The IP version is 4 or 6."})
	}
	if p.Has("bytes") && p.Number("omit") > 0 {
		faults = append(faults, netp.ParamFault{Param: "omit", Detail: "A transfer of a given number of bytes is measured as a whole, from the first byte to the last. Remove omit, or give duration instead of bytes."})
	}
	if p.Has("bytes") && p.Number("bytes") < p.Number("streams") {
		faults = append(faults, netp.ParamFault{Param: "bytes", Detail: "There is less than one byte for each stream. Raise bytes or lower streams."})
	}
	return faults
}

// metrics lists the metrics. Those of RFC 6349 §4.1 need to know what would be ideal.
func metrics(p netp.Params) []netp.MetricSpec {
	specs := []netp.MetricSpec{
		{Name: "throughput", Unit: "bit/s", Shape: netp.DistributionShape, Basis: netp.PerInterval, Better: "higher", Source: "RFC 6349 §2.3, RFC 3148 §3",
			Doc: "Goodput: payload delivered to the receiving program per interval of 100 ms, all streams together, on the receiver's clock. Its mean is the bytes received divided by the time measured. Data that waited for a retransmission counts when it is delivered, so an interval can exceed the rate of the path."},
		{Name: "retransmits", Unit: "packets", Shape: netp.CountShape, Basis: netp.PerSession, Better: "lower", Source: "RFC 4898 (tcpEStatsPerfSegsRetrans)",
			Doc: "Segments the sender sent again, all streams together, without the warm-up."},
		{Name: "rtt", Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerInterval, Better: "lower", Source: "RFC 6298, RFC 4898 (tcpEStatsPathSmoothedRTT)",
			Doc: "Round-trip time under load: TCP's smoothed estimate at the sender, each 100 ms, mean of the streams."},
		{Name: "efficiency", Unit: "1", Shape: netp.ValueShape, Share: true, Basis: netp.PerSession, Better: "higher", Source: "RFC 6349 §4.2",
			Doc: "Share of the bytes sent that were not retransmissions, 0 to 1."},
		{Name: "buffer_delay", Unit: "1", Shape: netp.ValueShape, Basis: netp.PerSession, Better: "lower", Source: "RFC 6349 §4.3",
			Doc: "By how much the mean round-trip time under load exceeds the smallest one, as a multiple of the smallest: 1 means twice as long."},
		{Name: "limited.cwnd", Unit: "1", Shape: netp.ValueShape, Share: true, Basis: netp.PerSession, Source: "RFC 4898 (tcpEStatsPerfSndLimTimeCwnd)",
			Doc: "Share of the sending time in which the path held the sender back: congestion window or pacing."},
		{Name: "limited.rwnd", Unit: "1", Shape: netp.ValueShape, Share: true, Basis: netp.PerSession, Better: "lower", Source: "RFC 4898 (tcpEStatsPerfSndLimTimeRwin)",
			Doc: "Share of the sending time in which the receiver's window held the sender back: its buffer is too small, or the receiving host too slow."},
		{Name: "limited.sndbuf", Unit: "1", Shape: netp.ValueShape, Share: true, Basis: netp.PerSession, Better: "lower", Source: "RFC 4898 (tcpEStatsPerfSndLimTimeSnd)",
			Doc: "Share of the sending time in which the sender's own buffer was too small for the path."},
	}
	if p.Number("rate") > 0 || p.Has("bottleneck") {
		specs = append(specs, netp.MetricSpec{
			Name: "transfer_time_ratio", Unit: "1", Shape: netp.ValueShape, Basis: netp.PerSession, Better: "lower", Source: "RFC 6349 §4.1",
			Doc: "Time the data took divided by the ideal time for as many bytes, at the rate or at the bottleneck's rate less the headers, whichever is less; 1 is ideal. There only when one of the two is declared."})
	}
	return netp.Directed(p.Direction(), specs)
}

// demand tells the plan what a session costs. Acknowledgements are not counted: they are under 2 % of the data.
func demand(p netp.Params) netp.Demand {
	o := optionsOf(p)
	load := netp.Load{Exclusive: o.rate == 0}
	duration := o.omit + o.duration
	payload := float64(o.bytes)
	if o.rate > 0 {
		load.Rate = o.rate * usualPacket / usualPayload
		if o.bytes > 0 {
			duration = min(duration, seconds(payload*8/o.rate))
		} else {
			payload = o.rate * duration.Seconds() / 8
		}
	}
	patience := o.timeout + o.omit + o.duration - duration // a transfer may be slower than its rate
	load.Bytes = uint64(math.Ceil(payload * usualPacket / usualPayload))
	load.Packets = uint64(math.Ceil(payload / usualPayload))
	d := netp.Demand{Duration: duration, Patience: patience, Intervals: intervalsIn(duration - o.omit)}
	if o.bytes > 0 && o.rate == 0 {
		d.Intervals = 0 // the path decides how long it takes: duration is only a bound
	}
	if o.direction != netp.Reverse {
		d.Forward = load
	}
	if o.direction != netp.Forward {
		d.Reverse = load
	}
	return d
}

// intervalsIn is how many samples a measurement of that length has: as many of 100 ms as fit, at least one. They fill it
// exactly, so one of 250 ms has two samples of 125 ms.
func intervalsIn(d time.Duration) int { return max(1, int(d/interval)) }

func seconds(s float64) time.Duration { return time.Duration(s * 1e9) }
