package udp

import (
	"math"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/pace"
)

// The spacings.
const (
	spacingConstant = "constant"
	spacingPoisson  = "poisson"
	spacingBurst    = "burst"
)

// Defaults of the parameters.
const (
	defaultDuration = 10 * time.Second
	defaultSize     = 200
	defaultTimeout  = 2 * time.Second
	defaultRate     = "50pps"
	defaultBurst    = 10
)

// settings are the parameters of a session, typed. Rate and count are those of one direction, all streams together.
type settings struct {
	measured  time.Duration // time in which counted packets are sent; 0 when the count decides
	count     uint64        // counted packets; 0 when the time decides
	omit      time.Duration
	sizes     []int // UDP payload of consecutive packets, repeated from the start
	rate      netp.Rate
	spacing   string
	burst     int
	streams   int
	direction netp.Direction
	dscp      int
	ip        int // 0: any
	playout   time.Duration
	timeout   time.Duration
}

// newSettings reads parameters, complete or not.
func newSettings(p netp.Params) settings {
	s := settings{
		measured:  p.Duration("duration"),
		count:     uint64(max(p.Int("count"), 0)),
		omit:      p.Duration("omit"),
		rate:      p.Rate("rate"),
		spacing:   p.String("spacing"),
		burst:     max(p.Int("burst"), 0),
		streams:   max(p.Int("streams"), 1),
		direction: p.Direction(),
		dscp:      p.Int("dscp"),
		ip:        p.Int("ip"),
		playout:   p.Duration("playout"),
		timeout:   p.Duration("timeout"),
	}
	if !p.Has("rate") {
		s.rate, _ = netp.ParseRate(defaultRate)
	}
	if s.spacing == "" {
		s.spacing = spacingConstant
	}
	if s.spacing == spacingBurst && s.burst == 0 {
		s.burst = defaultBurst
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.count == 0 && s.measured <= 0 {
		s.measured = defaultDuration
	}
	s.sizes = sizes(p)
	return s
}

// sizes is the repeating sequence of packet sizes. The parts of a mix are interleaved as evenly as their weights allow: each
// packet has the size that is furthest behind its share.
func sizes(p netp.Params) []int {
	mix := p.Mix("mix")
	if len(mix) == 0 {
		if size := p.Int("size"); size > 0 {
			return []int{size}
		}
		return []int{defaultSize}
	}
	sum := 0
	for _, part := range mix {
		sum += max(part.Weight, 0)
	}
	credit := make([]int, len(mix))
	var out []int
	for range min(sum, maxWeights) {
		best := 0
		for i, part := range mix {
			credit[i] += part.Weight
			if credit[i] > credit[best] {
				best = i
			}
		}
		credit[best] -= sum
		out = append(out, mix[best].Size)
	}
	return out
}

// flood says that packets are sent as fast as it goes.
func (s settings) flood() bool { return s.rate == netp.Rate{} }

// largest and meanSize are of the packets' UDP payload [B].
func (s settings) largest() int {
	largest := 0
	for _, n := range s.sizes {
		largest = max(largest, n)
	}
	return largest
}

func (s settings) meanSize() float64 {
	sum := 0
	for _, n := range s.sizes {
		sum += n
	}
	return float64(sum) / float64(len(s.sizes))
}

// pps is the number of packets per second of one direction, on average; 0 for a flood.
func (s settings) pps() float64 {
	if s.rate.PacketsPerSecond > 0 {
		return s.rate.PacketsPerSecond
	}
	return s.rate.BitsPerSecond / (8 * s.meanSize())
}

// interval is the mean time between the packets of one stream; 0 for a flood.
func (s settings) interval() time.Duration {
	if s.flood() {
		return 0
	}
	return time.Duration(float64(s.streams) / s.pps() * 1e9)
}

// span is how long counted packets are sent; 0 when that is not known beforehand.
func (s settings) span() time.Duration {
	switch {
	case s.count == 0:
		return s.measured
	case s.flood():
		return 0
	}
	return time.Duration(math.Min(float64(s.count)/s.pps()*1e9, math.MaxInt64/4))
}

// random says that counted packets are sent for a time that chance decides.
func (s settings) random() bool { return s.spacing == spacingPoisson && s.count > 0 }

// overrun is how much longer than span that may be.
func (s settings) overrun() time.Duration {
	switch {
	case s.flood():
		return min(time.Duration(float64(s.count)/slowFlood*1e9), maxDuration)
	case s.random():
		return pace.Overrun(s.share(0), s.interval())
	}
	return 0
}

// slowFlood is how many packets per second a flood sends at least where the session is to end by itself: 10 Mbit/s of large ones.
const slowFlood = 1000.0

// floodLimit is more packets per second than any host sends.
const floodLimit = 100e6

// asked is the number of counted packets of one direction; 0 when that is not known beforehand.
func (s settings) asked() uint64 {
	switch {
	case s.count > 0:
		return s.count
	case s.flood():
		return 0
	}
	return uint64(math.Ceil(s.pps() * s.measured.Seconds()))
}

// share is how many of the asked packets a stream sends: the first ones take what does not divide evenly.
func (s settings) share(stream int) uint64 {
	n, of := s.count, uint64(s.streams)
	if uint64(stream) < n%of {
		return n/of + 1
	}
	return n / of
}

// limit is a sequence number that no honest sender reaches: with it a peer that misbehaves cannot make us work without end.
func (s settings) limit() uint64 {
	n := float64(s.asked())
	if n == 0 {
		n = floodLimit * s.measured.Seconds()
	}
	per := n / float64(s.streams)
	if s.flood() {
		per = n // streams of a flood share as it happens
	}
	return uint64(per+20*math.Sqrt(per)) + uint64(s.burst) + 1000
}

// windowSize is for how many sequence numbers of one stream a receiver remembers what arrived: at least those of twice the
// timeout, a power of two.
func (s settings) windowSize() int {
	want := 2 * s.pps() / float64(s.streams) * s.timeout.Seconds()
	if s.flood() {
		want = maxWindow
	}
	size := minWindow
	for float64(size) < want && size < maxWindow {
		size *= 2
	}
	return size
}

// Bytes (on the IP layer) that may leave in a bunch although the profile spaces them.
const (
	// bunchBytes is the first flight of a TCP connection (RFC 6928): what every path takes at once, all day long.
	bunchBytes = 15_000
	// stallBytes is what one write of a TCP sender with segmentation offload puts on the wire back to back.
	stallBytes = 64 << 10
)

// timeOf is how long a direction sends for a number of bytes, within reason.
func (s settings) timeOf(bytes float64) time.Duration {
	seconds := bytes / (s.pps() * (s.meanSize() + s.headers()))
	return min(max(time.Duration(seconds*1e9), time.Millisecond), time.Second/2)
}

// paceRate is the rate of one stream, and whether a packet costs its bits of it (else 1).
func (s settings) paceRate() (rate pace.Rate, bits bool) {
	units := s.rate.PacketsPerSecond
	if bits = units == 0; bits {
		units = s.rate.BitsPerSecond
	}
	per := time.Second * time.Duration(s.streams)
	for units != math.Trunc(units) && units < 1e9 && per < 1e6*time.Second {
		units, per = units*10, per*10 // 0.5 pps is 5 in ten seconds
	}
	return pace.Rate{Units: uint64(math.Round(units)), Per: per}, bits
}

// rateInterval is the length of the intervals that the metric rate is a distribution of: between 100 ms and 1 s, long enough
// for some twenty packets.
func (s settings) rateInterval() time.Duration {
	const shortest, longest = 100 * time.Millisecond, time.Second
	length := shortest
	if !s.flood() {
		length = time.Duration(20 / s.pps() * 1e9)
	}
	length = max(length, s.span()/600)
	length = min(max(length, shortest), longest)
	return length.Round(shortest)
}

// rowLength is the length of the rows of the time series: whole seconds, at most 600 rows.
func (s settings) rowLength() time.Duration {
	return time.Second * time.Duration(max(1, math.Ceil(s.span().Seconds()/maxRows)))
}
