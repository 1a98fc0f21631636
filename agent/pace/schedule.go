package pace

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// Rate is a number of units in a time, exactly: {3, time.Second} is three packets per second where packets cost 1, and
// {10_000_000, time.Second} is 10 Mbit/s where a packet costs its bits.
type Rate struct {
	Units uint64
	Per   time.Duration
}

// Schedule is a sequence of due times. Make one with Constant, Poisson or Burst.
//
// A packet is due when the packets before it have taken their time of the rate: start + floor(cost of all before × Per / Units).
// The sum is exact, so packet one million of 3 pps is due at the nanosecond where it belongs.
type Schedule struct {
	rate  Rate
	start int64
	due   int64  // of the next packet
	spent uint64 // units taken since start

	size int // packets that are due together
	left int // of these, still to come

	poisson bool
	random  rand.PCG
	rest    float64 // ns, what truncation has left over
}

// Constant is a schedule of evenly spaced packets, the first at start (clock.Mono, ns).
func Constant(start int64, rate Rate) Schedule { return Burst(start, rate, 1) }

// Burst is a schedule on which size packets are due at the same time, so that the rate holds on average.
func Burst(start int64, rate Rate, size int) Schedule {
	return Schedule{rate: rate, start: start, due: start, size: size, left: size}
}

// Poisson is a schedule with exponentially distributed gaps whose mean is what the packet before takes of the rate (RFC 2330
// §11.1.1), so that nothing periodic can be in step with it. The same seeds give the same schedule.
func Poisson(start int64, rate Rate, seed1, seed2 uint64) Schedule {
	s := Burst(start, rate, 1)
	s.poisson = true
	s.random = *rand.NewPCG(seed1, seed2)
	return s
}

// Overrun is by how much a Poisson schedule of n packets may outlast n mean gaps: by more once in ten million schedules (Chernoff's
// bound for the sum of n exponential gaps).
func Overrun(n uint64, gap time.Duration) time.Duration {
	return time.Duration((6*math.Sqrt(float64(n)) + 18) * float64(gap))
}

func (s *Schedule) valid() error {
	switch {
	case s.size == 0:
		return errors.New("pace: no schedule")
	case s.size < 0:
		return fmt.Errorf("pace: burst of %d packets: must be at least 1", s.size)
	case s.rate.Units == 0 || s.rate.Per <= 0:
		return fmt.Errorf("pace: rate of %d per %v: must be positive", s.rate.Units, s.rate.Per)
	}
	return nil
}

// next takes one packet.
func (s *Schedule) next(cost uint64) (due int64) {
	due = s.due
	s.spent += cost
	if s.left--; s.left > 0 {
		return due
	}
	s.left = s.size
	if s.poisson {
		s.due += min(s.gap(cost), math.MaxInt64-max(s.due, 0))
	} else {
		s.due = s.at(s.spent)
	}
	return due
}

// shift moves the rest of the schedule.
func (s *Schedule) shift(ns int64) {
	s.start += ns
	s.due += ns
}

// at is when a packet is due before which so many units were taken.
func (s *Schedule) at(spent uint64) int64 {
	high, low := bits.Mul64(spent, uint64(s.rate.Per))
	if high >= s.rate.Units {
		return math.MaxInt64
	}
	ns, _ := bits.Div64(high, low, s.rate.Units)
	if ns > uint64(math.MaxInt64-max(s.start, 0)) {
		return math.MaxInt64
	}
	return s.start + int64(ns)
}

// gap draws the time to the next packet.
func (s *Schedule) gap(cost uint64) int64 {
	uniform := (float64(s.random.Uint64()>>11) + 0.5) / (1 << 53) // never 0, never 1
	mean := float64(cost) * float64(s.rate.Per) / float64(s.rate.Units)
	exact := s.rest - math.Log(uniform)*mean
	whole := math.Floor(exact)
	s.rest = exact - whole
	if whole >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(whole)
}
