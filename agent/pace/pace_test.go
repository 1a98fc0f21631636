package pace

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/netpupper/netp/agent/clock"
)

// bench is a clock that moves only when it is read or slept on.
type bench struct {
	time    int64
	late    func() int64 // of each wake-up
	longest int64        // sleep
}

func (b *bench) now() int64 { b.time += 30; return b.time }

func (b *bench) sleep(until int64) int64 {
	b.longest = max(b.longest, until-b.time)
	b.time = max(b.time, until+b.late())
	return b.time
}

func onBench(t *testing.T, cfg Config, late func() int64) (*Pacer, *bench) {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{late: late}
	p.now, p.sleep = b.now, b.sleep
	return p, b
}

func TestWaitNeverReturnsEarly(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, cheap := range []bool{false, true} {
		p, _ := onBench(t, Config{Schedule: Poisson(1000, Rate{5000, time.Second}, 1, 2), Cheap: cheap}, func() int64 {
			return random.Int64N(40_000) - 5_000 // some wake-ups come early, by a signal
		})
		for range 20_000 {
			due := p.Next(1)
			now, err := p.Wait(t.Context(), due)
			if err != nil || now < due {
				t.Fatalf("cheap %v: waited until %d, %v; due %d", cheap, now, err, due)
			}
			p.Sent(1, due, now)
		}
		r := p.Report()
		if cheap && (r.Spun != 0 || r.Lead != 0) {
			t.Errorf("the cheap mode watched the clock for %v", r.Spun)
		}
		if !cheap && r.P50 > time.Microsecond {
			t.Errorf("half of the packets left %v late or more; want nanoseconds", r.P50)
		}
		if r.Sent != 20_000 {
			t.Errorf("%d packets recorded", r.Sent)
		}
	}
}

// TestSpinLearns: the lead settles where 99 % of the wake-ups are in time, and stays within its bound.
func TestSpinLearns(t *testing.T) {
	for name, c := range map[string]struct {
		late     func(*rand.Rand) int64
		low, top time.Duration
	}{
		"quick machine": {func(*rand.Rand) int64 { return 500 }, 1 * time.Microsecond, 4 * time.Microsecond},
		"uniform":       {func(r *rand.Rand) int64 { return r.Int64N(40_000) }, 35 * time.Microsecond, 50 * time.Microsecond},
		"slow machine":  {func(*rand.Rand) int64 { return 1_000_000 }, 150 * time.Microsecond, 150 * time.Microsecond},
	} {
		random := rand.New(rand.NewPCG(3, 4))
		p, _ := onBench(t, Config{Schedule: Constant(0, Rate{500, time.Second})}, func() int64 { return c.late(random) })
		for range 20_000 {
			if _, err := p.Wait(t.Context(), p.Next(1)); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.Report().Lead; got < c.low || got > c.top {
			t.Errorf("%s: the lead is %v; want %v to %v", name, got, c.low, c.top)
		}
	}
}

// TestSpinIsShortBeforeShortWaits: where wake-ups are late the clock is watched for long only after long waits.
func TestSpinIsShortBeforeShortWaits(t *testing.T) {
	p, _ := onBench(t, Config{Schedule: Constant(0, Rate{1, time.Second})}, func() int64 { return 0 })
	for wait, want := range map[time.Duration]time.Duration{10 * time.Millisecond: mostSpin, time.Millisecond: 125 * time.Microsecond, 100 * time.Microsecond: shortSpin} {
		if got := time.Duration(p.lead(int64(wait))); got != want {
			t.Errorf("after a wait of %v the clock is watched for %v, want %v", wait, got, want)
		}
	}
}

// TestRehearsal: after a long sleep there is time to rehearse and it is used, but for the last moment; after a short one there is no
// rehearsal.
func TestRehearsal(t *testing.T) {
	for rate, want := range map[uint64]bool{1000: true, 8000: false, 100_000: false} {
		var p *Pacer
		var b *bench
		var last int64
		calls := 0
		p, b = onBench(t, Config{Schedule: Constant(int64(time.Second), Rate{rate, time.Second}), Rehearse: func() {
			b.time += 700
			last = b.time
			calls++
		}}, func() int64 { return 2_000 })
		b.time = int64(time.Second) - 1
		for range 2000 {
			calls, last = 0, 0
			due := p.Next(1)
			now, err := p.Wait(t.Context(), due)
			if err != nil || now < due || now > due+100 {
				t.Fatalf("%d/s: waited until %d, %v; due %d", rate, now, err, due)
			}
			if first := due == int64(time.Second); !first && (calls > 20) != want || calls > 0 && due-last < 3_000 {
				t.Fatalf("%d/s: %d rehearsals until %d ns before the due time", rate, calls, due-last)
			}
		}
	}
}

// TestGentleCatchUp: what a short interruption held up leaves with three quarters of its gaps, a longer one is made up for at once but
// for the last half of what is late, and the gaps of a burst, which are none, stay none.
func TestGentleCatchUp(t *testing.T) {
	hundredK := Rate{100_000, time.Second}
	for name, c := range map[string]struct {
		schedule       Schedule
		stop           int64 // how long the sender is away after a packet
		atOnce, gently int   // gaps after it
	}{
		"40 µs":           {Constant(1000, hundredK), 40_000, 0, 12},
		"40 µs of bursts": {Burst(1000, hundredK, 4), 40_000, 2, 0},
		"3 ms":            {Constant(1000, hundredK), 3_000_000, 250, 190},
	} {
		p, b := onBench(t, Config{Schedule: c.schedule}, func() int64 { return 0 })
		send := func() int64 {
			at, err := p.Wait(t.Context(), p.Ready())
			if err != nil {
				t.Fatal(err)
			}
			p.Sent(1, p.Next(1), at)
			return at
		}
		send()
		b.time += c.stop
		before := send()
		for i := range c.atOnce + c.gently {
			at := send()
			gap, low, high := at-before, int64(0), int64(100)
			if i >= c.atOnce {
				low, high = 7_500, 7_600
			}
			if gap < low || gap > high {
				t.Errorf("%s: gap %d is %d ns; want %d to %d", name, i, gap, low, high)
				break
			}
			before = at
		}
	}
}

// TestLongWaitsAreSliced: a wait of an hour looks at its context every 100 ms.
func TestLongWaitsAreSliced(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	naps := 0
	p, b := onBench(t, Config{Schedule: Constant(int64(time.Hour), Rate{1, time.Second})}, func() int64 {
		if naps++; naps == 5 {
			cancel()
		}
		return 0
	})
	now, err := p.Wait(ctx, p.Due())
	if !errors.Is(err, context.Canceled) || naps != 5 || now > int64(600*time.Millisecond) || b.longest > int64(slice) {
		t.Errorf("waited until %d in %d naps of at most %d, %v; want the cancellation after 5 naps", now, naps, b.longest, err)
	}
}

// TestStallIsNotMadeUpFor: after a long stall one packet leaves and the schedule moves, so that the next packet is due now; after a
// short one everything is made up for.
func TestStallIsNotMadeUpFor(t *testing.T) {
	for stall, want := range map[time.Duration]int{30 * time.Millisecond: 1030, 500 * time.Millisecond: 1002} {
		p, _ := onBench(t, Config{Schedule: Constant(0, Rate{1000, time.Second})}, func() int64 { return 0 })
		sent := 0
		step := func(now int64) {
			for p.Due() <= now {
				p.Sent(1, p.Next(1), now)
				sent++
			}
		}
		for ms := range int64(1000) {
			step(ms * 1e6)
		}
		after := 999*int64(time.Millisecond) + int64(stall)
		step(after)
		moved := p.Report().Moved
		if sent != want {
			t.Errorf("stall of %v: %d packets sent right after it; want %d", stall, sent, want)
		}
		if (stall > 50*time.Millisecond) != (moved > 0) {
			t.Errorf("stall of %v: moved by %v", stall, moved)
		}
		if _, _, max, late := p.Errors(); max != stall-time.Millisecond || late == 0 {
			t.Errorf("stall of %v: largest error %v, %d late; want the stall to be seen", stall, max, late)
		}
	}
}

func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var h histogram
	var all []int64
	for range 10_000 {
		v := int64(math.Exp(random.Float64() * 43))
		h.add(v, 1)
		all = append(all, v)
	}
	slices.Sort(all)
	for _, share := range []float64{0.001, 0.5, 0.9, 0.99, 1} {
		want := all[int(math.Ceil(share*10_000))-1]
		got := int64(h.quantile(share))
		if got < want || float64(got) > 1.07*float64(want)+1 {
			t.Errorf("quantile %v is %d; want %d and up to 7 %% more", share, got, want)
		}
	}
	for _, v := range []int64{0, 1, 15, 16, 17, 31, 32, 1 << 40, math.MaxInt64} {
		index := bucket(uint64(v))
		if index >= bucketCount || highest(index) < v || index > 0 && highest(index-1) >= v {
			t.Errorf("%d is in bucket %d of %d, up to %d", v, index, bucketCount, highest(index))
		}
	}
}

func TestNothingAllocates(t *testing.T) {
	for name, s := range map[string]Schedule{
		"constant": Constant(0, Rate{1e6, time.Second}), "burst": Burst(0, Rate{1e6, time.Second}, 7), "poisson": Poisson(0, Rate{1e6, time.Second}, 1, 2),
	} {
		p, err := New(Config{Schedule: s})
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		n := testing.AllocsPerRun(100, func() {
			now, _ := p.Wait(ctx, p.Due())
			p.Sent(1, p.Next(1), now)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations per packet", name, n)
		}
	}
}

// TestRealClock: on the real clock too no packet leaves early, and the rate holds over all.
func TestRealClock(t *testing.T) {
	start := clock.Mono() + int64(time.Millisecond)
	p, err := New(Config{Schedule: Constant(start, Rate{2000, time.Second})})
	if err != nil {
		t.Fatal(err)
	}
	defer Pin()()
	for i := range int64(200) {
		due := p.Next(1)
		if want := start + i*500_000; due < want {
			t.Fatalf("packet %d is due at %d; want %d or, after a stall, more", i, due, want)
		}
		now, err := p.Wait(t.Context(), due)
		if err != nil || now < due {
			t.Fatalf("packet %d: %v, %d ns early", i, err, due-now)
		}
		p.Sent(1, due, now)
	}
	t.Logf("%+v", p.Report())
}

func TestConfigBounds(t *testing.T) {
	good := Constant(0, Rate{1, time.Second})
	for name, c := range map[string]Config{
		"negative late": {Schedule: good, Late: -1}, "negative catch-up": {Schedule: good, CatchUp: -1},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// BenchmarkPacing prints how precise the pacing is at some rates, and what it costs.
func BenchmarkPacing(b *testing.B) {
	for name, c := range map[string]struct {
		rate  uint64
		cheap bool
	}{"1k": {1000, false}, "10k": {10_000, false}, "50k": {50_000, false}, "1k cheap": {1000, true}} {
		b.Run(name, func(b *testing.B) {
			start := clock.Mono()
			p, err := New(Config{Schedule: Constant(start, Rate{c.rate, time.Second}), Cheap: c.cheap})
			if err != nil {
				b.Fatal(err)
			}
			defer Pin()()
			for range b.N {
				due := p.Next(1)
				now, _ := p.Wait(b.Context(), due)
				p.Sent(1, due, now)
			}
			r := p.Report()
			b.ReportMetric(float64(r.P50), "p50-ns")
			b.ReportMetric(float64(r.P99), "p99-ns")
			b.ReportMetric(float64(r.Max), "max-ns")
			b.ReportMetric(100*float64(r.Spun)/float64(clock.Mono()-start), "spin-%")
		})
	}
}
