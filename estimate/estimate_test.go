package estimate

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"

	"github.com/netpupper/netp"
)

var (
	ratioSpec = netp.MetricSpec{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket}
	delaySpec = netp.MetricSpec{Name: "delay", Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, OneWay: true}
	countSpec = netp.MetricSpec{Name: "retransmits", Unit: "packets", Shape: netp.CountShape}
)

func must(t *testing.T, metric string, spec netp.MetricSpec, m netp.Measurement) netp.Estimate {
	t.Helper()
	_, member, _ := netp.FindMetric([]netp.MetricSpec{spec}, metric)
	e, err := Of(metric, spec, member, m, 0.95)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func distribution(values ...int64) netp.Measurement {
	d := netp.NewDistribution(1e-3)
	for _, v := range values {
		d.Record(v)
	}
	return netp.Measurement{Distribution: d}
}

// spread is n trials of which every step-th has an event.
func spread(n, step uint64) netp.Measurement {
	var t netp.Tally
	for i := step / 2; i < n; i += step {
		t.Hit(i)
	}
	return netp.Measurement{Ratio: t.Hits(n)}
}

func TestRatioIsClopperPearsonWithoutBursts(t *testing.T) {
	for _, c := range []struct {
		k, n      float64
		low, high float64 // from the tables of Clopper and Pearson
	}{
		{0, 10, 0, 0.3085},
		{5, 10, 0.1871, 0.8129},
		{10, 10, 0.6915, 1},
		{13, 3000, 0.002309, 0.007398},
		{0, 3688, 0, 0.00099975},
	} {
		low, high := clopperPearson(c.k, c.n, 0.95)
		if math.Abs(low-c.low) > 1e-4*math.Max(c.low, 1e-2) || math.Abs(high-c.high) > 3e-4*c.high {
			t.Errorf("%g of %g: got %.6f to %.6f, want %.6f to %.6f", c.k, c.n, low, high, c.low, c.high)
		}
	}
	e := must(t, "loss.ratio", ratioSpec, spread(3000, 230))
	low, high := clopperPearson(13, 3000, 0.95)
	if e.Low != low || e.High != high || e.Effective != 3000 {
		t.Errorf("13 spread events of 3000: %+v, want %g to %g", e, low, high)
	}
}

func TestRatioWidensForBursts(t *testing.T) {
	var burst netp.Tally
	for _, start := range []uint64{400, 1900} {
		for i := range uint64(20) {
			burst.Hit(start + i)
		}
	}
	even := must(t, "loss.ratio", ratioSpec, spread(3000, 75))
	bursty := must(t, "loss.ratio", ratioSpec, netp.Measurement{Ratio: burst.Hits(3000)})
	if even.Point != bursty.Point {
		t.Fatalf("points differ: %g, %g", even.Point, bursty.Point)
	}
	// Two bursts: Poisson alone allows 7.2 from them, their length is unknown too.
	if bursty.Effective > 300 || bursty.High < 7.2/2*bursty.Point || bursty.Low > bursty.Point/4 {
		t.Errorf("two bursts of 20 losses: %+v", bursty)
	}
}

// TestBurstsAtTheConfidenceOfAFamily: one of fifty assertions that share 95 % is held to 99.9 %, half of the rest above the interval.
func TestBurstsAtTheConfidenceOfAFamily(t *testing.T) {
	const runs, n, length, share = 4000, 1500, 5.0, 0.05 // 15 bursts a session
	r := rand.New(rand.NewPCG(17, 17))
	wrong := 0
	for range runs {
		var tally netp.Tally
		bad := r.Float64() < share
		for i := range uint64(n) {
			if bad {
				tally.Hit(i)
				bad = r.Float64() >= 1/length
			} else {
				bad = r.Float64() < share/(1-share)/length
			}
		}
		e, err := Of("loss.ratio", ratioSpec, "", netp.Measurement{Ratio: tally.Hits(n)}, 0.999)
		if err != nil {
			t.Fatal(err)
		}
		if e.High < share {
			wrong++
		}
	}
	if wrong > runs/1000 {
		t.Errorf("%d of %d sessions have the truth above an interval of 99.9 %%", wrong, runs)
	}
}

func TestRatioIsTheSameSeenFromTheOtherSide(t *testing.T) {
	check := func(t rapid.TB, n uint64, events ...uint64) {
		var tally netp.Tally
		for _, i := range events {
			tally.Hit(i)
		}
		a, err := Of("loss.ratio", ratioSpec, "", netp.Measurement{Ratio: tally.Hits(n)}, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Of("loss.ratio", ratioSpec, "", netp.Measurement{Ratio: tally.Misses(n)}, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(a.Low-(1-b.High)) > 1e-6 || math.Abs(a.High-(1-b.Low)) > 1e-6 {
			t.Fatalf("hits %g to %g, misses %g to %g", a.Low, a.High, b.Low, b.High)
		}
		if !(a.Low <= a.Point && a.Point <= a.High && a.Low >= 0 && a.High <= 1) {
			t.Fatalf("the point is not within: %+v", a)
		}
	}
	check(t, 25, 0, 1, 3, 5, 7) // the correlation of neighbours is what it is compared with, but for the last digit
	check(t, 10, 0, 1, 3, 4, 7)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint64Range(1, 500).Draw(t, "n")
		check(t, n, rapid.SliceOfDistinct(rapid.Uint64Range(0, n-1), rapid.ID).Draw(t, "events")...)
	})
}

func TestQuantileRanksAreThoseOfTheBinomial(t *testing.T) {
	for _, q := range []float64{0.5, 0.9, 0.99} {
		for _, n := range []float64{1, 5, 6, 50, 367, 368, 1000} {
			got, ok := beyond(n, 1-q, 1, 0.95)
			want, exists := binomialRank(int(n), 1-q, 0.025)
			if ok != exists || got != want {
				t.Errorf("q %g, n %g: %d beyond (%t), want %d (%t)", q, n, got, ok, want, exists)
			}
		}
	}
}

// binomialRank is the largest k with P(Bin(n, p) ≤ k) ≤ alpha, by adding up.
func binomialRank(n int, p, alpha float64) (uint64, bool) {
	sum, rank, found := 0.0, uint64(0), false
	for k := 0; k <= n; k++ {
		a, _ := math.Lgamma(float64(n) + 1)
		b, _ := math.Lgamma(float64(k) + 1)
		c, _ := math.Lgamma(float64(n-k) + 1)
		sum += math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
		if sum > alpha {
			break
		}
		rank, found = uint64(k), true
	}
	return rank, found
}

// scattered is 1..n ms, evenly spread over the session.
func scattered(n int) netp.Measurement {
	values := make([]int64, n)
	for i := range values {
		values[i] = int64(i*617%n) + 1
	}
	return distribution(values...)
}

func TestQuantileIsOpenWithoutEnoughSamples(t *testing.T) {
	few := must(t, "delay.p99", delaySpec, scattered(300))
	if !few.OpenHigh || few.High != few.Point || few.OpenLow {
		t.Errorf("p99 of 300 samples: %+v, want open above", few)
	}
	many := must(t, "delay.p99", delaySpec, scattered(2000))
	if many.OpenHigh || many.OpenLow || many.Low > 1.98 || many.High < 1.98 || many.High > 2 {
		t.Errorf("p99 of 2000 samples: %+v, want bounds around 1.98", many)
	}
	one := must(t, "delay.p50", delaySpec, distribution(5))
	if !one.OpenHigh || !one.OpenLow {
		t.Errorf("p50 of one sample: %+v, want open on both sides", one)
	}
}

func TestMemoryOfNarrowSeriesIsSeen(t *testing.T) {
	d := netp.NewDistribution(1e-9)
	r := rand.New(rand.NewPCG(1, 1))
	z := 0.0
	for range 3000 {
		z = 0.95*z + math.Sqrt(1-0.95*0.95)*r.NormFloat64()
		d.Record(int64(30e6 + 0.1e6*z))
	}
	for _, metric := range []string{"delay.p50", "delay.mean"} {
		e := must(t, metric, delaySpec, netp.Measurement{Distribution: d})
		// 39 samples count as one.
		if e.Effective > 3000/20 || e.Effective < 3000/400 {
			t.Errorf("%s rests on %g independent samples, want about 77", metric, e.Effective)
		}
	}
}

func TestMeanOfIndependentSamplesIsStudents(t *testing.T) {
	e := must(t, "delay.mean", delaySpec, scattered(1000))
	half := 1.96 * 0.2888 / math.Sqrt(1000)
	if e.Low > e.Point-half || e.Low < e.Point-1.6*half || e.High < e.Point+half || e.High > e.Point+1.6*half {
		t.Errorf("%+v, want ± %g or a little more", e, half)
	}
	s := must(t, "delay.stddev", delaySpec, scattered(1000))
	if math.Abs(s.Point-0.2888) > 1e-3 || s.Low > 0.2888 || s.Low < 0.25 || s.High < 0.2888 || s.High > 0.33 {
		t.Errorf("stddev: %+v", s)
	}
	if one := must(t, "delay.mean", delaySpec, distribution(5)); !one.OpenLow || !one.OpenHigh {
		t.Errorf("mean of one sample: %+v", one)
	}
}

// TestStandardDeviationOfFewSamples: two samples tell nothing of how far others scatter, and a handful little.
func TestStandardDeviationOfFewSamples(t *testing.T) {
	if two := must(t, "delay.stddev", delaySpec, distribution(30, 40)); !two.OpenHigh && two.High < 20*two.Point {
		t.Errorf("stddev of two samples: %+v, want no upper bound, or one far away", two)
	}
	const runs, truth = 400, 0.1e-3
	for _, n := range []int{3, 5, 9, 20} {
		r := rand.New(rand.NewPCG(3, uint64(n)))
		wrong, open := 0, 0
		for range runs {
			d := netp.NewDistribution(1e-9)
			for range n {
				d.Record(int64(30e6 + 0.1e6*r.NormFloat64()))
			}
			e := must(t, "delay.stddev", delaySpec, netp.Measurement{Distribution: d})
			if e.OpenHigh {
				open++
			} else if e.Low > truth || e.High < truth {
				wrong++
			}
		}
		if wrong > runs/20 || n >= 9 && open > runs/20 {
			t.Errorf("%d samples: %d of %d exclude the truth, %d are open", n, wrong, runs, open)
		}
	}
}

// TestFewEqualSamplesBoundNothing: of a delay that is 10 ms as often as 20 ms, every fourth session of three packets sees one of them only.
func TestFewEqualSamplesBoundNothing(t *testing.T) {
	for _, member := range []string{"mean", "p50", "stddev"} {
		if e := must(t, "delay."+member, delaySpec, distribution(10, 10, 10, 10, 10)); !e.OpenHigh {
			t.Errorf("%s of five equal samples: %+v, want no bounds", member, e)
		}
		if e := must(t, "delay."+member, delaySpec, distribution(10, 10, 10, 10, 10, 10)); e.OpenHigh || e.High != e.Point {
			t.Errorf("%s of six equal samples: %+v, want the point", member, e)
		}
	}
}

// TestBoundsAreTheNearestDecimals: a bound of 9 ms keeps a limit of 9 ms.
func TestBoundsAreTheNearestDecimals(t *testing.T) {
	d := netp.NewDistribution(1e-9)
	d.RecordN(9e6, 1000)
	for _, member := range []string{"min", "p50", "p99", "max", "mean"} {
		if e := must(t, "delay."+member, delaySpec, netp.Measurement{Distribution: d}); e.Low != 0.009 || e.High != 0.009 {
			t.Errorf("%s: %v to %v, want 0.009", member, e.Low, e.High)
		}
	}
}

func TestClockErrorWidens(t *testing.T) {
	m := scattered(1000)
	plain := must(t, "delay.p50", delaySpec, m)
	spreadOf := must(t, "delay.stddev", delaySpec, m)
	m.Uncertainty = 0.038
	wide := must(t, "delay.p50", delaySpec, m)
	if wide.Low != plain.Low-0.038 || wide.High != plain.High+0.038 || wide.Point != plain.Point || wide.Uncertainty != 0.038 {
		t.Errorf("got %+v from %+v", wide, plain)
	}
	if got := must(t, "delay.stddev", delaySpec, m); got != spreadOf {
		t.Errorf("stddev: got %+v, want %+v", got, spreadOf)
	}
	if got := must(t, "delay.count", delaySpec, m); got.Low != 1000 || got.High != 1000 {
		t.Errorf("count: got %+v", got)
	}
	variation := delaySpec
	variation.OneWay = false // but taken with an offset of clocks that moved
	if got := must(t, "delay.p50", variation, m); got != wide {
		t.Errorf("variation: got %+v, want %+v", got, wide)
	}
	for _, bad := range []float64{math.Inf(1), math.NaN(), -1} {
		m.Uncertainty = bad
		if got := must(t, "delay.p50", delaySpec, m); !got.OpenLow || !got.OpenHigh {
			t.Errorf("clock error %g: got %+v, want no bounds", bad, got)
		}
	}
}

func TestFactsAreExact(t *testing.T) {
	m := distribution(3, 1, 2)
	for metric, want := range map[string]float64{"delay.min": 0.001, "delay.max": 0.003, "delay.count": 3} {
		e := must(t, metric, delaySpec, m)
		if e.Point != want || e.Low != want || e.High != want || e.Confidence != 1 || e.Method != MethodExact {
			t.Errorf("%s: %+v, want exactly %g", metric, e, want)
		}
	}
	if e := must(t, "retransmits", countSpec, netp.Value(17)); e.Low != 17 || e.High != 17 {
		t.Errorf("a count: %+v", e)
	}
}

func TestNothingToEstimateFrom(t *testing.T) {
	for name, c := range map[string]struct {
		spec   netp.MetricSpec
		member string
		m      netp.Measurement
	}{
		"no ratio":        {ratioSpec, "", netp.Measurement{}},
		"no trials":       {ratioSpec, "", netp.Measurement{Ratio: &netp.Ratio{}}},
		"no distribution": {delaySpec, "p50", netp.Measurement{}},
		"no samples":      {delaySpec, "p50", distribution()},
		"one sample":      {delaySpec, "stddev", distribution(4)},
		"no value":        {countSpec, "", netp.Measurement{}},
		"not a number":    {countSpec, "", netp.Value(math.NaN())},
	} {
		_, err := Of("m", c.spec, c.member, c.m, 0.95)
		var none *NoDataError
		if !errors.As(err, &none) || !strings.HasSuffix(none.Reason, ".") {
			t.Errorf("%s: got %v, want a *NoDataError with a sentence", name, err)
		}
	}
	if e, err := Of("delay.count", delaySpec, "count", distribution(), 0.95); err != nil || e.Point != 0 {
		t.Errorf("the count of no samples: %+v, %v", e, err)
	}
	for name, c := range map[string]struct {
		member     string
		confidence float64
	}{"no such member": {"p98", 0.95}, "confidence 1": {"p50", 1}, "confidence 0": {"p50", 0}, "confidence NaN": {"p50", math.NaN()}} {
		_, err := Of("delay."+c.member, delaySpec, c.member, distribution(1, 2), c.confidence)
		var none *NoDataError
		if err == nil || errors.As(err, &none) {
			t.Errorf("%s: got %v, want a plain error", name, err)
		}
	}
}

// TestFiguresBeyondNumbers: an agent at fault may deliver what has no place in a record, which would then be lost with all others.
func TestFiguresBeyondNumbers(t *testing.T) {
	huge := netp.NewDistribution(1e300)
	huge.Record(math.MaxInt64)
	huge.Record(math.MaxInt64 - 1)
	most := math.MaxFloat64
	for name, m := range map[string]netp.Measurement{
		"samples": {Distribution: huge}, "bound": {Distribution: distribution(1, 2, 3).Distribution, Uncertainty: most}, "value": {Value: &most, Uncertainty: most},
	} {
		spec := netp.MetricSpec{Name: "delay", Unit: "s", Shape: netp.DistributionShape, OneWay: true}
		members := netp.Members()
		if m.Value != nil {
			spec.Shape, members = netp.ValueShape, []string{""}
		}
		for _, member := range members {
			e, err := Of("delay", spec, member, m, 0.95)
			if none := (*NoDataError)(nil); err != nil && !errors.As(err, &none) {
				t.Errorf("%s, %s: %v", name, member, err)
			}
			if text, err := json.Marshal(e); err != nil {
				t.Errorf("%s, %s: %v, %s", name, member, err, text)
			}
		}
	}
}

func TestEveryEstimateIsSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Int64Range(-50, 50), rapid.Int64Range(-1<<50, 1<<50), rapid.Just(int64(7)))
		values := rapid.SliceOfN(value, 1, 400).Draw(t, "values")
		m := distribution(values...)
		m.Uncertainty = rapid.SampledFrom([]float64{0, 1e-3}).Draw(t, "uncertainty")
		confidence := rapid.SampledFrom([]float64{0.5, 0.95, 0.999999}).Draw(t, "confidence")
		for _, member := range netp.Members() {
			e, err := Of("delay."+member, delaySpec, member, m, confidence)
			var none *NoDataError
			if errors.As(err, &none) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := json.Marshal(e); err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			slack := 1e-9 * (1 + math.Abs(e.Point))
			if !(e.OpenLow || e.Low <= e.Point+slack) || !(e.OpenHigh || e.High >= e.Point-slack) {
				t.Fatalf("the point is not within: %+v", e)
			}
		}
	})
}

// wandering is an autoregressive series around 20 ms.
func wandering(r *rand.Rand, n int, rho float64) *netp.Distribution {
	d := netp.NewDistribution(1e-9)
	x := r.NormFloat64()
	for range n {
		x = rho*x + math.Sqrt(1-rho*rho)*r.NormFloat64()
		d.Record(int64(20e6 + 1e6*x))
	}
	return d
}

// TestQuantileOfDependentSamplesIsBounded: far from the samples there is a bound however much they depend on each other, unless they are
// too few to show what lies beyond a quantile.
func TestQuantileOfDependentSamplesIsBounded(t *testing.T) {
	const runs = 200
	for _, c := range []struct {
		n       int
		q       float64
		bounded bool
	}{{2000, 0.9, true}, {100, 0.9, true}, {30, 0.9, false}, {400, 0.99, true}, {300, 0.99, false}} {
		r := rand.New(rand.NewPCG(11, 11))
		truth := 20e-3 + 1e-3*distuv.UnitNormal.Quantile(c.q)
		wrong, open := 0, 0
		for range runs {
			d := wandering(r, c.n, 1-2/float64(c.n)) // a memory length
			e := ofQuantile(netp.Estimate{Confidence: 0.95, Point: d.Member("p50")}, d, c.q)
			if e.OpenHigh {
				open++
			} else if e.Low > truth || e.High < truth || e.High > 0.4 {
				wrong++
			}
		}
		if wrong > runs/20 || c.bounded && open > 0 || !c.bounded && open < runs {
			t.Errorf("p%g of %d samples: %d of %d exclude the truth or are wider than 0.4 s, %d are open; want bounds: %v", 100*c.q, c.n, wrong, runs, open, c.bounded)
		}
	}
}

// TestOnlyOneWayFiguresAreNegative: no bound of a round trip is below nothing, however far it is.
func TestOnlyOneWayFiguresAreNegative(t *testing.T) {
	d := wandering(rand.New(rand.NewPCG(11, 11)), 2000, 0.999)
	for _, spec := range []netp.MetricSpec{
		{Name: "rtt", Shape: netp.DistributionShape},
		{Name: "delay", Shape: netp.DistributionShape, OneWay: true},
	} {
		name := spec.Name + ".p90"
		if e := must(t, name, spec, netp.Measurement{Distribution: d, Uncertainty: 0.1}); (e.Low < 0) != spec.OneWay || e.OpenLow {
			t.Errorf("%s: from %g", name, e.Low)
		}
	}
}

func TestMedianOfDependentSamplesIsBounded(t *testing.T) {
	const runs, truth = 300, 20e-3
	for _, c := range []struct {
		n   int
		rho float64
	}{{600, 0.97}, {250, 0.999}, {20, 0.987}} { // nine times, an eighth, and an eighth, of what it remembers
		r := rand.New(rand.NewPCG(7, 7))
		wrong, wide := 0, 0
		for range runs {
			d := wandering(r, c.n, c.rho)
			e := ofQuantile(netp.Estimate{Confidence: 0.95, Point: d.Member("p50")}, d, 0.5)
			span := d.Member("max") - d.Member("min")
			if e.OpenLow || e.OpenHigh || e.High-e.Low > 40*span {
				t.Errorf("ρ = %g: bounds from %g to %g for samples that span %g", c.rho, e.Low, e.High, span)
			}
			if e.High-e.Low <= span {
				continue
			}
			if wide++; e.Low > truth || e.High < truth {
				wrong++
			}
		}
		if wide == 0 || wrong > wide/20 {
			t.Errorf("ρ = %g: of %d wide intervals %d exclude the true median; want at most one in twenty", c.rho, wide, wrong)
		}
	}
}
