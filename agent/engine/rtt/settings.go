package rtt

import (
	"math"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/pace"
)

// The spacings.
const (
	spacingPeriodic = "periodic"
	spacingPoisson  = "poisson"
)

// settings are the parameters of a session, typed.
type settings struct {
	mode     string
	count    uint64        // counted probes; 0 when the length decides
	measured time.Duration // time in which counted probes are sent; 0 when the count decides
	interval time.Duration
	poisson  bool
	size     int // 0: the smallest
	dscp     int
	ip       int // 0: any
	timeout  time.Duration
	omit     time.Duration
}

// newSettings reads parameters, complete or not.
func newSettings(p netp.Params) settings {
	s := settings{
		mode:     p.String("mode"),
		count:    uint64(max(p.Int("count"), 0)),
		measured: p.Duration("duration"),
		interval: p.Duration("interval"),
		poisson:  p.String("spacing") == spacingPoisson,
		size:     p.Int("size"),
		dscp:     p.Int("dscp"),
		ip:       p.Int("ip"),
		timeout:  p.Duration("timeout"),
		omit:     p.Duration("omit"),
	}
	if s.mode == "" {
		s.mode = modeStamp
	}
	if s.mode == modeICMP && s.size == 0 {
		s.size = defaultICMPSize
	}
	if s.interval <= 0 {
		s.interval = defaultInterval
	}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	if s.count == 0 && s.measured <= 0 {
		s.measured = defaultDuration
	}
	return s
}

// warmup is the number of probes that are sent before the counted ones, when the schedule is even.
func (s settings) warmup() uint64 { return probes(s.omit, s.interval) }

// asked is the number of counted probes, with poisson spacing its mean.
func (s settings) asked() uint64 {
	if s.count > 0 {
		return s.count
	}
	return probes(s.measured, s.interval)
}

// total is the number of probes, warm-up included.
func (s settings) total() uint64 { return s.warmup() + s.asked() }

// duration is how long counted probes are sent, on average.
func (s settings) duration() time.Duration {
	if s.count > 0 {
		return time.Duration(s.count) * s.interval
	}
	return s.measured
}

// length is how long probes are sent, warm-up included.
func (s settings) length() time.Duration { return s.omit + s.duration() }

// overrun is how much longer than that it may take by chance.
func (s settings) overrun() time.Duration {
	if s.poisson && s.count > 0 {
		return pace.Overrun(s.count, s.interval)
	}
	return 0
}

// probes is how many probes are due before the time is over, the first at its beginning.
func probes(length, interval time.Duration) uint64 {
	return uint64(math.Ceil(float64(length) / float64(interval)))
}
