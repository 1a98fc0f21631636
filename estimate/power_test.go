package estimate

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/netpupper/netp"
)

func TestRatioNeeded(t *testing.T) {
	for _, c := range []struct {
		limit, confidence float64
		want              uint64
	}{
		{0.001, 0.95, 3688},
		{0.0005, 0.95, 7376},
		{0.01, 0.95, 368},
		{0.5, 0.95, 6},
		{1, 0.95, 0},
		{0, 0.95, math.MaxUint64},
		{-1, 0.95, math.MaxUint64},
		{math.NaN(), 0.95, math.MaxUint64},
	} {
		got := RatioNeeded(c.limit, c.confidence)
		if got != c.want {
			t.Errorf("limit %g: got %d, want %d", c.limit, got, c.want)
		}
		if got == 0 || got == math.MaxUint64 {
			continue
		}
		if _, high := clopperPearson(0, float64(got), c.confidence); high > c.limit {
			t.Errorf("%d trials bound the ratio by %g, above %g", got, high, c.limit)
		}
		if _, high := clopperPearson(0, float64(got-1), c.confidence); high <= c.limit {
			t.Errorf("%d trials were enough for %g", got-1, c.limit)
		}
	}
}

func TestRatioDetects(t *testing.T) {
	last := 1.0
	for _, n := range []uint64{10, 100, 1000, 3000, 100000, 10_000_000} {
		p := RatioDetects(n, 0.001, 0.95, 0.9)
		if p > last || p <= 0.001 {
			t.Errorf("%d trials detect %g after %g", n, p, last)
		}
		last = p
		// The chance that the lower bound, as widened by chance, lies above the limit, from the binomial itself.
		power := 0.0
		b := distuv.Binomial{N: float64(n), P: p}
		for k := 0.0; k <= float64(n); k++ {
			factor := fewEvents(usualFactor(n, 0.95), float64(n)-k, 0.95)
			if low, _ := clopperPearson(k/factor, float64(n)/factor, 0.95); low > 0.001 {
				power = 1 - b.CDF(k-1)
				break
			}
		}
		if math.Abs(power-0.9) > 1e-3 {
			t.Errorf("%d trials: a ratio of %g is found with probability %g, want 0.9", n, p, power)
		}
	}
	for _, none := range []float64{RatioDetects(0, 0.1, 0.95, 0.9), RatioDetects(100, 1, 0.95, 0.9), RatioDetects(2, 0.9, 0.95, 0.9)} {
		if none != 1 {
			t.Errorf("got %g where nothing can be detected", none)
		}
	}
}

func TestQuantileNeeded(t *testing.T) {
	for q, want := range map[float64]uint64{0.5: 6, 0.9: 36, 0.99: 368, 0.999: 3688} {
		if got := QuantileNeeded(q, 0.95); got != want {
			t.Errorf("q %g: got %d, want %d", q, got, want)
		}
	}
}

func TestMeanMargin(t *testing.T) {
	if got := MeanMargin(10, 0.1, 0.95); math.Abs(got-2.2622*0.1/math.Sqrt(10)) > 1e-4 {
		t.Errorf("got %g", got)
	}
	if got := MeanMargin(1, 0.1, 0.95); !math.IsInf(got, 1) {
		t.Errorf("one sample: got %g", got)
	}
}

// TestWhatIsDetectedFails judges sessions on paths that lose as much as is said to be detected.
func TestWhatIsDetectedFails(t *testing.T) {
	const runs, power = 300, 0.9
	for _, c := range []struct {
		n     uint64
		limit float64
	}{{8, 0.05}, {10, 0.2}, {20, 0.5}, {30, 0.1}, {128, 0.02}, {600, 0.01}, {3000, 0.001}} {
		r := rand.New(rand.NewPCG(5, c.n))
		p, found := RatioDetects(c.n, c.limit, 0.95, power), 0
		for range runs {
			var tally netp.Tally
			for i := range c.n {
				if r.Float64() < p {
					tally.Hit(i)
				}
			}
			if e := must(t, "loss.ratio", ratioSpec, netp.Measurement{Ratio: tally.Hits(c.n)}); e.Low > c.limit {
				found++
			}
		}
		if share := float64(found) / runs; share < power-0.1 {
			t.Errorf("%d packets, limit %g: with %g lost %g of sessions fail, want %g", c.n, c.limit, p, share, power)
		}
	}
}

// TestUsualSamplesBoundAQuantile counts the sessions in which a sample is the upper bound.
func TestUsualSamplesBoundAQuantile(t *testing.T) {
	const runs = 80
	for member, q := range map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99} {
		r := rand.New(rand.NewPCG(5, 5))
		bounded := 0
		for range runs {
			d := netp.NewDistribution(1e-9)
			for range QuantileUsual(1-q, 0.95) {
				d.Record(int64(r.ExpFloat64() * 1e6))
			}
			if e := must(t, "delay."+member, delaySpec, netp.Measurement{Distribution: d}); !e.OpenHigh && e.High <= d.Member("max") {
				bounded++
			}
		}
		if bounded < runs*3/4 {
			t.Errorf("%s: %d of %d sessions of %d samples bound it", member, bounded, runs, QuantileUsual(1-q, 0.95))
		}
	}
}

// TestSettleIsEnough scales the samples by the remedy and looks whether it decides.
func TestSettleIsEnough(t *testing.T) {
	e := must(t, "loss.ratio", ratioSpec, spread(3000, 600)) // 5 losses
	for _, limit := range []float64{0.001, 0.0025} {
		r := Settle(e, limit)
		n := math.Ceil(3000 * r.Factor)
		low, high := clopperPearson(n/600, n, 0.95)
		if r.Factor <= 1 || low <= limit && limit <= high {
			t.Errorf("limit %g: %g times the packets give %g to %g", limit, r.Factor, low, high)
		}
	}
	mean := netp.Estimate{Metric: "delay.mean", Method: MethodBatchMeans, Point: 50, Low: 46, High: 54, Confidence: 0.95}
	if r := Settle(mean, 52); r.Factor != 4 || r.Uncertainty != 0 {
		t.Errorf("mean 50 ± 4 against 52: %+v, want 4 times the samples", r)
	}
	clock := netp.Estimate{Metric: "delay.p99", Method: MethodOrderStatistics, Point: 0.052, Low: 0.014, High: 0.090, Uncertainty: 0.038}
	if r := Settle(clock, 0.060); math.Abs(r.Uncertainty-0.008) > 1e-9 {
		t.Errorf("clock ± 38 ms: %+v, want 8 ms", r)
	}
	open := must(t, "delay.p99", delaySpec, scattered(100))
	if r := Settle(open, 5); r.Factor*open.Effective < 367 {
		t.Errorf("an open quantile: %+v", r)
	}
	wide := netp.Estimate{Metric: "delay.p90", Point: 0.050, Low: 0.048, High: 0.208, Samples: 2000, Effective: 38, Confidence: 0.95, Method: MethodOrderStatistics}
	if r := Settle(wide, 0.080); r.Factor <= 1 || r.Factor > 3 || !r.Bounds {
		t.Errorf("%+v settles a quantile that is bounded by its spread only; want what it takes to be bounded by samples", r)
	}
	few := must(t, "delay.mean", delaySpec, distribution(10, 10, 10))
	if r := Settle(few, 5); r.Factor != 2 {
		t.Errorf("the mean of three equal samples: %+v, want twice as many", r)
	}
	if r := Settle(mean, 50); r != (Remedy{}) {
		t.Errorf("on the limit: %+v, want no remedy", r)
	}
}

// TestSettleBounds measures as many samples as the remedy says, and looks whether one of them is a bound.
func TestSettleBounds(t *testing.T) {
	const runs = 40
	for _, c := range []struct {
		member string
		n      int
		rho    float64
	}{{"p99", 200, 0}, {"p99", 200, 0.5}, {"p90", 50, 0}, {"p90", 200, 0.9}} {
		r := rand.New(rand.NewPCG(13, 13))
		told, bounded := 0, 0
		for range runs {
			e := must(t, "delay."+c.member, delaySpec, netp.Measurement{Distribution: wandering(r, c.n, c.rho)})
			s := Settle(e, e.Point*1.01)
			if !s.Bounds {
				continue
			}
			told++
			longer := wandering(r, int(math.Max(2, s.Factor)*float64(c.n)), c.rho)
			if e := must(t, "delay."+c.member, delaySpec, netp.Measurement{Distribution: longer}); e.High <= longer.Member("max") && !e.OpenHigh {
				bounded++
			}
		}
		if told == 0 || bounded < told*7/10 {
			t.Errorf("%s of %d, ρ = %g: %d of %d are bounded by a sample with as many as was said", c.member, c.n, c.rho, bounded, told)
		}
	}
}

func TestDescribe(t *testing.T) {
	for want, e := range map[string]netp.Estimate{
		"0.43 % (0.23 % to 0.74 %, 95 %; 13 of 3 000 packets)": must(t, "loss.ratio", ratioSpec, spread(3000, 230)),
		"17 packets": must(t, "retransmits", countSpec, netp.Value(17)),
		"52 ms (14 ms to 90 ms, 95 %, clock ± 38 ms)": {Unit: "s", Point: 0.052, Low: 0.014, High: 0.09, Uncertainty: 0.038, Confidence: 0.95},
		"3.0 ms (at least 1.0 ms, 95 %)":              {Unit: "s", Point: 0.003, Low: 0.001, High: 0.003, OpenHigh: true, Confidence: 0.95},
		// One of a thousand assertions of a family; what is not all does not read like it.
		"99.970 % (at most 99.995 %, 99.995 %)": {Unit: "1", Point: 0.9997, Low: 0.9997, High: 0.99995, OpenLow: true, Confidence: 0.99995},
		// Why bounds are as wide as that.
		"52 ms (-3 s to 7 s, 95 %; 3 000 packets, only about 4 of them independent)":  wanders("delay.p50", MethodOrderStatistics, 4.3),
		"52 ms (-3 s to 7 s, 95 %; 3 000 packets, only about 40 of them independent)": wanders("delay.p90", MethodOrderStatistics, 40),
		"52 ms (-3 s to 7 s, 95 %; 3 000 packets, only about 1 of them independent)":  wanders("delay.mean", MethodBatchMeans, 0.3),
		"52 ms (-3 s to 7 s, 95 %; 3 000 packets)":                                    wanders("delay.p50", MethodOrderStatistics, 77),
	} {
		if got := Describe(e); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// wanders is an estimate from samples of which few are independent.
func wanders(metric, method string, independent float64) netp.Estimate {
	return netp.Estimate{
		Metric: metric, Unit: "s", Point: 0.052, Low: -3, High: 7, Confidence: 0.95,
		Samples: 3000, Effective: independent, Basis: netp.PerPacket, Method: method,
	}
}
