package pace

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"
)

// exact is the due time after so many units, in arithmetic without bounds.
func exact(start int64, rate Rate, spent uint64) int64 {
	ns := new(big.Int).Mul(new(big.Int).SetUint64(spent), big.NewInt(int64(rate.Per)))
	ns.Quo(ns, new(big.Int).SetUint64(rate.Units))
	return start + ns.Int64()
}

func TestConstantIsExact(t *testing.T) {
	for name, c := range map[string]struct {
		rate Rate
		cost uint64
	}{
		"3 pps":                {Rate{3, time.Second}, 1},
		"7 per minute":         {Rate{7, time.Minute}, 1},
		"10 Mbit/s of 200 B":   {Rate{10_000_000, time.Second}, 1600},
		"100 Gbit/s of 64 B":   {Rate{100_000_000_000, time.Second}, 512},
		"999 999 937 bit/s":    {Rate{999_999_937, time.Second}, 11_201},
		"one packet in a year": {Rate{1, 365 * 24 * time.Hour}, 1},
	} {
		const start = 1_234_567
		s := Constant(start, c.rate)
		for i := range uint64(200_000) { // 3 pps: more than 18 hours
			if i == 200 && c.rate.Units == 1 {
				break // 200 years
			}
			if got, want := s.next(c.cost), exact(start, c.rate, i*c.cost); got != want {
				t.Fatalf("%s: packet %d is due at %d; want %d", name, i, got, want)
			}
		}
	}
}

func TestMixedCostsAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	rate := Rate{1_544_000, time.Second}
	s, spent := Constant(0, rate), uint64(0)
	for i := range 100_000 {
		cost := 8 * uint64(64+random.IntN(1400))
		if got, want := s.next(cost), exact(0, rate, spent); got != want {
			t.Fatalf("packet %d is due at %d; want %d", i, got, want)
		}
		spent += cost
	}
}

func TestBurstsLeaveTogether(t *testing.T) {
	s := Burst(0, Rate{1000, time.Second}, 10)
	for i := range int64(1000) {
		if got, want := s.next(1), i/10*10_000_000; got != want {
			t.Fatalf("packet %d is due at %d; want %d", i, got, want)
		}
	}
}

func TestPoissonGaps(t *testing.T) {
	const n, mean = 200_000, 1e6
	s, again := Poisson(0, Rate{1000, time.Second}, 7, 8), Poisson(0, Rate{1000, time.Second}, 7, 8)
	var sum, squares float64
	over, last := 0, s.next(1)
	again.next(1)
	for range n {
		due := s.next(1)
		if due != again.next(1) {
			t.Fatal("the same seeds give different schedules")
		}
		gap := float64(due - last)
		sum, squares, last = sum+gap, squares+gap*gap, due
		if gap > mean {
			over++
		}
	}
	got := sum / n
	deviation := math.Sqrt(squares/n - got*got)
	share := float64(over) / n
	if math.Abs(got-mean) > 0.01*mean || math.Abs(deviation-mean) > 0.02*mean || math.Abs(share-1/math.E) > 0.005 {
		t.Errorf("gaps have mean %.0f, deviation %.0f, %.4f of them over the mean; want those of an exponential with mean %.0f", got, deviation, share, mean)
	}
}

// TestOverrun: no schedule outlasts its mean by more, and few come near.
func TestOverrun(t *testing.T) {
	for _, n := range []int{1, 2, 9, 100} {
		longest := int64(0)
		for seed := range uint64(5000) {
			s := Poisson(0, Rate{1, time.Second}, seed, 1)
			for range n {
				s.next(1)
			}
			longest = max(longest, s.due)
		}
		mean := time.Duration(n) * time.Second
		if bound := Overrun(uint64(n), time.Second); longest > int64(mean+bound) || longest < int64(mean+bound/5) {
			t.Errorf("%d packets: the longest of 5000 schedules takes %v, the bound is %v", n, time.Duration(longest), mean+bound)
		}
	}
}

func TestScheduleNeverOverflows(t *testing.T) {
	for _, s := range []Schedule{
		Constant(math.MaxInt64-10, Rate{1, time.Hour}),
		Constant(0, Rate{1, math.MaxInt64}),
		Poisson(0, Rate{1, math.MaxInt64}, 1, 2),
		Constant(math.MinInt64/2, Rate{math.MaxUint64, 1}),
	} {
		last := s.due
		for range 100 {
			s.next(math.MaxUint64 / 200)
			if s.due < last {
				t.Fatalf("%+v: due went back from %d", s, last)
			}
			last = s.due
		}
	}
}

func TestInvalidSchedules(t *testing.T) {
	for name, s := range map[string]Schedule{
		"none": {}, "no rate": Constant(0, Rate{0, time.Second}), "no time": Constant(0, Rate{1, 0}),
		"time runs back": Constant(0, Rate{1, -1}), "negative burst": Burst(0, Rate{1, 1}, -1), "empty burst": Burst(0, Rate{1, 1}, 0),
	} {
		if _, err := New(Config{Schedule: s}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
