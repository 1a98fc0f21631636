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

// take takes n packets of the same cost.
func (s *Schedule) take(n int, cost uint64) (first int64) {
	first = s.due
	if s.even() {
		s.spent += uint64(n) * cost
		s.due = s.at(s.spent)
		return first
	}
	for range n {
		s.next(cost)
	}
	return first
}

// count says how many packets of the same cost are due at a time, at most limit.
func (s *Schedule) count(now int64, cost uint64, limit int) int {
	if now < s.due || limit <= 0 {
		return 0
	}
	if s.even() && cost > 0 {
		return int(min((s.reached(now)-s.spent)/cost, uint64(limit)-1)) + 1
	}
	ahead, n := *s, 0
	for n < limit && ahead.due <= now {
		ahead.next(cost)
		n++
	}
	return n
}

// shift moves the rest of the schedule.
func (s *Schedule) shift(ns int64) {
	s.start += ns
	s.due += ns
}

func (s *Schedule) even() bool { return s.size == 1 && !s.poisson }

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

// reached is the largest number of units after which a packet is due at the time or before.
func (s *Schedule) reached(now int64) uint64 {
	high, low := bits.Mul64(uint64(now-s.start)+1, s.rate.Units)
	low, borrow := bits.Sub64(low, 1, 0)
	high -= borrow
	if high >= uint64(s.rate.Per) {
		return math.MaxUint64
	}
	units, _ := bits.Div64(high, low, uint64(s.rate.Per))
	return units
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
