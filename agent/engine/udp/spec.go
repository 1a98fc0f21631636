package udp

import (
	"fmt"
	"math"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/port"
	"github.com/netpupper/netp/quantity"
)

// Bounds of the parameters.
const (
	minSize     = headerSize
	maxSize     = 65507 // of UDP over IPv4
	maxStreams  = 64
	maxBurst    = 1000
	maxWeights  = 1000
	maxRate     = 10e6 // packets per second that are paced
	maxDuration = 7 * 24 * time.Hour
	maxTimeout  = time.Minute

	headers4 = 28 // IPv4 and UDP
	headers6 = 48 // IPv6 and UDP
)

// Spec declares the kind.
func (*Engine) Spec() netp.KindSpec {
	return netp.KindSpec{
		Kind:    Kind,
		Summary: "One-way packet streams between two agents: delay, delay variation, loss, reordering, duplication",
		Params:  params(),
		Agents:  true,
		Check:   check,
		Metrics: metrics,
		Demand:  demand,
	}
}

func params() []netp.ParamSpec {
	return []netp.ParamSpec{
		{Name: "duration", Type: netp.DurationParam, Min: 0.01, Max: maxDuration.Seconds(),
			Doc: "How long packets are sent and counted, after the warm-up; 10 s when neither duration nor count is given."},
		{Name: "count", Type: netp.IntegerParam, Min: 1, Max: 1e10,
			Doc: "How many packets are sent and counted in each direction, all streams together, after the warm-up; in place of duration."},
		{Name: "size", Type: netp.SizeParam, Min: minSize, Max: maxSize,
			Doc: "UDP payload of each packet, 200 B when absent. The first 32 bytes are the header of the protocol, the rest is noise that does not compress. Packets are never fragmented: a size the path does not carry is an error."},
		{Name: "mix", Type: netp.MixParam,
			Doc: "Packet sizes (UDP payload) with weights, interleaved evenly; in place of size."},
		{Name: "rate", Type: netp.RateParam, Default: defaultRate,
			Doc: "Packets per second, or bits of UDP payload per second, in each direction, all streams together. 0 sends as fast as it goes and needs the path for itself."},
		{Name: "spacing", Type: netp.StringParam, Default: spacingConstant, OneOf: []string{spacingConstant, spacingPoisson, spacingBurst},
			Doc: "constant sends evenly; poisson draws the gaps from an exponential distribution (RFC 2330 §11.1.1); burst sends as many packets as burst says back to back, and pauses in between so that the rate holds on average."},
		{Name: "burst", Type: netp.IntegerParam, Min: 2, Max: maxBurst,
			Doc: "Packets of a burst, with spacing burst only; 10 when absent."},
		{Name: "streams", Type: netp.IntegerParam, Default: 1.0, Min: 1, Max: maxStreams,
			Doc: "Flows (UDP port pairs) that share the rate evenly, so that a path of several equal ways is met on more than one."},
		{Name: "direction", Type: netp.StringParam, Default: string(netp.Forward), OneOf: []string{string(netp.Forward), string(netp.Reverse), string(netp.Both)},
			Doc: "Which way packets travel: forward from the path's source to its destination, reverse, or both at the same time. With both, each metric is there twice: forward.NAME and reverse.NAME."},
		{Name: "dscp", Type: netp.DSCPParam, Default: 0.0, Min: 0, Max: 63,
			Doc: "Code point of all packets of the session."},
		{Name: "ip", Type: netp.IntegerParam, Min: 4, Max: 6,
			Doc: "IP version that the session must use, 4 or 6; when absent, that of the destination's address."},
		{Name: "playout", Type: netp.DurationParam, Min: 0.0001, Max: maxTimeout.Seconds(),
			Doc: "Depth of the receiver's playout buffer for effective_loss.ratio: a packet that needs this much longer than the fastest one so far comes too late to be of use."},
		{Name: "timeout", Type: netp.DurationParam, Default: defaultTimeout.Seconds(), Min: 0.01, Max: maxTimeout.Seconds(),
			Doc: "A packet that takes longer counts as lost (the loss threshold of RFC 7680 §2.4), whether it still comes or not. So long the receiver waits for missing packets at the end."},
		{Name: "omit", Type: netp.DurationParam, Default: 0.0, Min: 0, Max: 3600,
			Doc: "Warm-up: packets of this long are sent before the measurement, and not counted. It comes on top of duration or count."},
	}
}

// check finds what is wrong between parameters.
func check(p netp.Params) []netp.ParamFault {
	var faults []netp.ParamFault
	fault := func(param, format string, args ...any) {
		faults = append(faults, netp.ParamFault{Param: param, Detail: fmt.Sprintf(format, args...)})
	}
	if p.Has("duration") && p.Has("count") {
		fault("count", "Both duration and count say when the session ends. Remove one of them.")
	}
	if p.Has("size") && p.Has("mix") {
		fault("mix", "Both size and mix say how large packets are. Remove one of them.")
	}
	if v := p.Int("ip"); p.Has("ip") && v != 4 && v != 6 {
		fault("ip", "There is no IP version %d. Write 4 or 6.", v)
	}
	checkMix(p, fault)
	checkRate(p, fault)
	return faults
}

func checkMix(p netp.Params, fault func(param, format string, args ...any)) {
	sum := 0
	for _, part := range p.Mix("mix") {
		if part.Size < minSize || part.Size > maxSize {
			fault("mix", "A packet of %d bytes cannot be sent. Sizes are UDP payload and lie between %d (the header of the protocol) and %d.", part.Size, minSize, maxSize)
		}
		if part.Weight < 1 {
			fault("mix", "The size %d has the weight %d. Weights are whole numbers from 1.", part.Size, part.Weight)
		}
		sum += max(part.Weight, 0)
	}
	if sum > maxWeights {
		fault("mix", "The weights add up to %d; at most %d can be interleaved. Divide them all by the same number.", sum, maxWeights)
	}
}

func checkRate(p netp.Params, fault func(param, format string, args ...any)) {
	s := newSettings(p)
	switch {
	case p.Has("burst") && s.spacing != spacingBurst:
		fault("burst", "A burst has no meaning with spacing %s. Write spacing = \"burst\", or remove burst.", s.spacing)
	case s.flood() && s.spacing != spacingConstant:
		fault("spacing", "At rate 0 packets follow each other as fast as it goes, so there is no %s spacing. Give a rate, or remove spacing.", s.spacing)
	}
	rate := s.rate.PacketsPerSecond + s.rate.BitsPerSecond
	switch {
	case rate < 0 || math.IsNaN(rate) || math.IsInf(rate, 0):
		fault("rate", "The rate must be a positive number of bits or packets per second, or 0 for as fast as it goes.")
	case !s.flood() && s.pps() > maxRate:
		fault("rate", "At this rate %.3g packets would leave each second; at most %.3g can be paced. Write larger packets, or rate = 0 for as fast as it goes.", s.pps(), float64(maxRate))
	case !s.flood() && s.pps() < 1e-3:
		fault("rate", "At this rate less than one packet leaves in 1000 s. Write a higher rate.")
	case !s.flood() && s.count == 0 && s.pps()*s.measured.Seconds() < 1:
		fault("rate", "At this rate not one packet leaves in %s. Write a higher rate or a longer duration.", quantity.Duration(s.measured))
	}
	if s.count > 0 && s.count < uint64(s.streams) {
		fault("streams", "%d packets cannot be spread over %d streams. Write fewer streams or a higher count.", s.count, s.streams)
	}
	if s.count > 0 && s.span() > maxDuration {
		fault("count", "A session lasts at most %s, which at this rate is enough for %s packets. Write a lower count or a higher rate.", quantity.Duration(maxDuration), quantity.Count(uint64(s.pps()*maxDuration.Seconds())))
	}
}

// Names of metrics.
const (
	metricDelay       = "delay"
	metricVariation   = "delay_variation"
	metricJitter      = "jitter"
	metricLoss        = "loss.ratio"
	metricLost        = "loss.count"
	metricSent        = "loss.sent"
	metricReceived    = "loss.received"
	metricLongest     = "loss.longest"
	metricLate        = "late.count"
	metricEffective   = "effective_loss.ratio"
	metricReordered   = "reordered.ratio"
	metricReorderings = "reordered.count"
	metricDuplicated  = "duplicated.ratio"
	metricDuplicates  = "duplicated.count"
	metricRate        = "rate"
)

// metrics lists what a session produces, before the direction is put in front of the names.
func metrics(p netp.Params) []netp.MetricSpec {
	list := []netp.MetricSpec{
		{Name: metricDelay, Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, Better: "lower", OneWay: true, Source: "RFC 7679 §3",
			Doc: "One-way delay: from the moment the sender's system hands the packet to the network device to the moment the receiver's system takes it from the network, the difference of the two clocks removed. Where the sender's system does not tell that moment, and above 20 000 packets a second, from just before the system call, of a flood up to 10 µs before, which adds the sender's own queue. The error that remains is stated with the figure."},
		{Name: metricVariation, Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 5481 §4.2",
			Doc: "Packet delay variation (PDV): delay of each packet minus the smallest delay of the session. It needs no synchronised clocks."},
		{Name: metricJitter, Unit: "s", Shape: netp.ValueShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 3550 §6.4.1",
			Doc: "Interarrival jitter as RTP computes it: the difference in spacing of neighbours, smoothed over 16 packets. That running figure is averaged over the session, because its last value describes the last packets only."},
		{Name: metricLoss, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 7680 §2",
			Doc: "Share of the packets sent that did not arrive, or arrived after the timeout."},
		{Name: metricLost, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 7680 §2",
			Doc: "Packets that did not arrive, or arrived after the timeout."},
		{Name: metricSent, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "", Source: "RFC 7680 §2",
			Doc: "Packets sent, warm-up not counted."},
		{Name: metricReceived, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "higher", Source: "RFC 7680 §2",
			Doc: "Packets that arrived in time, each once however many copies came."},
		{Name: metricLongest, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 3357 §6.3",
			Doc: "The longest loss period: packets in a row (by sequence number, of one stream) that were lost."},
		{Name: metricLate, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 7680 §2.4",
			Doc: "Packets that arrived, but after the timeout, and count as lost therefore."},
		{Name: metricReordered, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 4737 §4.1",
			Doc: "Share of the received packets that a later one had overtaken: their sequence number is smaller than the next expected one."},
		{Name: metricReorderings, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 4737 §4.1",
			Doc: "Received packets that a later one had overtaken."},
		{Name: metricDuplicated, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 5560 §5",
			Doc: "Share of the received packets of which more than one copy arrived."},
		{Name: metricDuplicates, Unit: "packets", Shape: netp.CountShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 5560 §3",
			Doc: "Copies that arrived in addition to the first ones."},
		{Name: metricRate, Unit: "bit/s", Shape: netp.DistributionShape, Basis: netp.PerInterval, Better: "higher", Source: "RFC 9097 §5",
			Doc: "UDP payload received per time, copies not counted, as a distribution over intervals of 100 ms to 1 s."},
	}
	if p.Has("playout") {
		list = append(list, netp.MetricSpec{Name: metricEffective, Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket, Better: "lower", Source: "RFC 3611 §4.7.1",
			Doc: "Share of the packets sent that are of no use to a playout buffer: lost, or delayed by more than playout beyond the smallest delay seen until then (the first 64 packets are judged together). There only when playout is declared."})
	}
	return netp.Directed(p.Direction(), list)
}

// demand is what a session takes from the network.
func demand(p netp.Params) netp.Demand {
	s := newSettings(p)
	span := s.span()
	d := netp.Demand{Duration: s.omit + span, Patience: s.timeout + s.overrun(), Intervals: int(span / s.rateInterval())}
	data, control := s.load(), s.control(d.Duration)
	switch s.direction {
	case netp.Forward:
		d.Forward, d.Reverse = data, control
	case netp.Reverse:
		d.Forward, d.Reverse = control, data
	default:
		if !data.Exclusive { // else the reports are nothing beside the data
			data.Packets += control.Packets
			data.Bytes += control.Bytes
			data.Rate += control.Rate
		}
		d.Forward, d.Reverse = data, data
	}
	return d
}

// load is the data of one direction, on the IP layer, with what tells departures where that cannot ride in the data.
func (s settings) load() netp.Load {
	if s.flood() {
		// With a count the number is known; how fast it goes never is.
		bytes := float64(s.count) * (s.meanSize() + s.headers())
		return netp.Load{Packets: s.count, Bytes: uint64(bytes), Exclusive: true}
	}
	packets := float64(s.asked()) + math.Ceil(s.pps()*s.omit.Seconds())
	perPacket := s.meanSize() + s.headers()
	if s.traced() && s.riding() == 0 {
		perPacket += 2*2 + (departuresHead+port.TagSize+s.headers())/float64(tellAfter)
	}
	return netp.Load{Packets: uint64(packets), Bytes: uint64(packets * perPacket), Rate: s.pps() * perPacket * 8}
}

// headers are the bytes of IP and UDP before a payload: of IPv4 unless the profile asks for IPv6.
func (s settings) headers() float64 {
	if s.ip == 6 {
		return headers6
	}
	return headers4
}

// control is the feedback of one direction, on the IP layer; the answers to it, a fifth of that, are left out.
func (s settings) control(length time.Duration) netp.Load {
	perSecond := float64(s.streams) * float64(time.Second/reportEvery)
	packets := math.Ceil(perSecond * length.Seconds())
	return netp.Load{Packets: uint64(packets), Bytes: uint64(packets * (controlSize + s.headers())), Rate: perSecond * (controlSize + s.headers()) * 8}
}
