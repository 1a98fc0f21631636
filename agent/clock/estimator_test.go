package clock

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// world makes exchanges between two clocks whose truth is known.
type world struct {
	random     *rand.Rand
	offset     float64 // ns, at time 0
	drift      float64 // ns per ns
	there      int64   // least delay of each direction, ns
	back       int64
	queue      float64 // mean of the exponential wait of each direction, ns
	resolution int64
}

func (w world) truth(t int64) float64 { return w.offset + w.drift*float64(t) }

func (w world) exchange(t1 int64) (int64, int64, int64, int64) {
	blur := func() int64 {
		if w.resolution == 0 {
			return 0
		}
		return w.random.Int64N(w.resolution+1) - w.resolution/2
	}
	arrive := t1 + w.there + int64(w.random.ExpFloat64()*w.queue)
	leave := arrive + 20_000
	t4 := leave + w.back + int64(w.random.ExpFloat64()*w.queue)
	return t1 + blur(), arrive + int64(w.truth(arrive)) + blur(), leave + int64(w.truth(leave)) + blur(), t4 + blur()
}

// TestEstimateHoldsItsBound: whatever the path and the clocks, the truth is within the bound at every moment of the window.
func TestEstimateHoldsItsBound(t *testing.T) {
	random, told := rand.New(rand.NewPCG(1, 2)), 0
	for n := range 2000 {
		w := world{
			random: random, resolution: random.Int64N(2000),
			offset: random.NormFloat64() * 1e9,
			drift:  (random.Float64()*2 - 1) * 100e-6,
			there:  random.Int64N(20e6), back: random.Int64N(20e6),
			queue: random.Float64() * 5e6,
		}
		count, interval := 2+random.IntN(300), 1+random.Int64N(int64(time.Second))
		e := NewEstimator(time.Duration(w.resolution))
		if n%2 == 0 {
			w.drift *= 0.3
		}
		if n%4 < 2 { // short trips, so that the drift can be told
			w.there, w.back, w.queue = w.there/1000, w.back/1000, w.queue/1000
		}
		var end int64
		for i := range count {
			end = int64(i) * interval
			e.Add(w.exchange(end))
		}
		offset, bound, ok := e.Estimate()
		if !ok {
			t.Fatalf("world %d %+v: no estimate; stepped %v, rejected %d", n, w, e.Stepped(), e.Rejected())
		}
		for _, at := range []int64{0, end / 2, end} {
			if miss := math.Abs(w.truth(at) - float64(offset)); miss > float64(bound)+1 {
				t.Errorf("world %d %+v: at %d the estimate %v misses the truth by %.0f ns, bound %v", n, w, at, offset, miss, bound)
			}
			offset, bound, _ := e.At(at)
			if miss := math.Abs(w.truth(at) - float64(offset)); miss > float64(bound)+1 {
				t.Errorf("world %d %+v: At(%d) %v misses the truth by %.0f ns, bound %v", n, w, at, offset, miss, bound)
			}
		}
		ppm, ppmBound, ok := e.Drift()
		if ok {
			told++
		}
		if ok && math.Abs(ppm-w.drift*1e6) > ppmBound+0.01 {
			t.Errorf("world %d %+v: drift %.3f ppm, bound %.3f; want %.3f", n, w, ppm, ppmBound, w.drift*1e6)
		}
		if t.Failed() {
			return // one world is enough to look at
		}
	}
	if told < 500 {
		t.Errorf("the drift was told in %d worlds of 2000 only", told)
	}
}

func TestEstimateBoundIsHalfTheSmallestTrip(t *testing.T) {
	e := NewEstimator(time.Microsecond)
	e.Add(0, 5_000_000+100_000, 5_000_000+150_000, 300_000)  // offset about 5 ms, trip 250 us
	e.Add(1000, 5_000_000+51_000, 5_000_000+61_000, 111_000) // trip 100 us
	offset, bound, ok := e.Estimate()
	if !ok || offset != 5*time.Millisecond || bound < 51*time.Microsecond || bound > 52*time.Microsecond {
		t.Errorf("got %v ± %v, %v; want 5ms ± 51 us", offset, bound, ok)
	}
}

func TestEstimatorSeesSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 10 * time.Millisecond, -10 * time.Millisecond} {
		w := world{random: rand.New(rand.NewPCG(3, 4)), offset: 7e6, there: 1e6, back: 1e6, queue: 1e5}
		e := NewEstimator(0)
		for i := range 100 {
			if i == 50 {
				w.offset += float64(step)
			}
			e.Add(w.exchange(int64(i) * 1e8))
		}
		if _, _, ok := e.Estimate(); ok || !e.Stepped() {
			t.Errorf("step %v: estimate ok %v, stepped %v; want the step seen", step, ok, e.Stepped())
		}
	}
}

func TestEstimatorRefusesImpossibleStamps(t *testing.T) {
	e := NewEstimator(time.Microsecond)
	e.Add(100, 50, 40, 200)
	e.Add(100, 0, 1, 99)
	e.Add(0, 0, 1_000_000, 10)
	if _, _, ok := e.Estimate(); ok || e.Rejected() != 3 {
		t.Errorf("ok %v, rejected %d; want 3 rejected", ok, e.Rejected())
	}
}

func TestSameKernelIsZero(t *testing.T) {
	near, far := world{random: rand.New(rand.NewPCG(5, 6)), there: 1e4, back: 1e4, queue: 1e4}, world{random: rand.New(rand.NewPCG(5, 6)), offset: 1e9}
	for name, c := range map[string]struct {
		ours, peers string
		w           world
		want, bound time.Duration
	}{
		"one kernel":                  {"a", "a", near, 0, 0},
		"one name, but another clock": {"a", "a", far, time.Second, time.Millisecond},
		"unknown hosts are not one":   {"", "", near, 0, time.Millisecond},
	} {
		e := NewEstimator(0)
		e.Same(c.ours, c.peers)
		e.Add(c.w.exchange(0))
		offset, bound, ok := e.Estimate()
		if !ok || (offset-c.want).Abs() > time.Millisecond || (c.bound == 0) != (bound == 0 && c.want == 0) && c.want == 0 {
			t.Errorf("%s: %v ± %v, %v; want %v", name, offset, bound, ok, c.want)
		}
	}
}

// TestMemoryIsFixed: the cells reach as far as an int64 of nanoseconds, and adding allocates nothing.
func TestMemoryIsFixed(t *testing.T) {
	e := NewEstimator(0)
	e.Add(0, 10, 20, 30)
	e.Add(math.MaxInt64/4, math.MaxInt64/4+10, math.MaxInt64/4+20, math.MaxInt64/4+30)
	at := int64(0)
	if n := testing.AllocsPerRun(1000, func() { at += 1e9; e.Add(at, at+10, at+20, at+30) }); n != 0 {
		t.Errorf("%v allocations per exchange", n)
	}
}
