package pace

import "time"

// spin decides how long before a due time to wake up: as long as wake-ups are late in 99 of 100 cases, not more than is allowed.
type spin struct {
	ns, max int64
}

// The steps of the estimate: 99 % of the wake-ups make it a little shorter, 1 % much longer, so it rests at the 99th percentile.
const (
	spinShorter = 100
	spinLonger  = 99 * spinShorter
	minSpin     = 2_000
)

// newSpin begins with the longest and learns to do with less.
func newSpin(max time.Duration) spin { return spin{ns: int64(max), max: int64(max)} }

func (s *spin) lead() int64 { return s.ns }

// woke learns from one wake-up.
func (s *spin) woke(late int64) {
	switch {
	case s.max == 0:
	case late > s.ns:
		s.ns = min(s.ns+spinLonger, s.max)
	default:
		s.ns = max(s.ns-spinShorter, min(minSpin, s.max))
	}
}
