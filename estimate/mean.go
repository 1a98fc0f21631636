package estimate

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/netpupper/netp"
)

// skewPenalty widens the side of a mean on which few groups carry much of it. With
// share the part of the interval's half width that the most extreme group alone
// accounts for, the half width grows by skewPenalty · share². For series near the
// normal distribution that is some percent; for long tails it makes up for the
// variance that the samples have not seen yet.
const skewPenalty = 12

// ofMean estimates a mean by batch means with Student's t.
func ofMean(e netp.Estimate, d *netp.Distribution) netp.Estimate {
	spread := meanDispersion(d, e.Confidence)
	e.Method = MethodBatchMeans
	e.Effective = float64(d.All.Count()) / spread.factor
	down, up := meanMargins(spread, variance(d), float64(d.All.Count()), e.Confidence)
	e.Low, e.High = e.Point-down*d.Resolution, e.Point+up*d.Resolution
	if e.Unit == "bit/s" && !math.IsInf(e.Low, -1) { // a rate is never negative
		e.Low = math.Max(e.Low, 0)
	}
	return open(e)
}

// meanMargins are the half widths to both sides, infinite with fewer than two samples, and with so few equal ones that they may all lie
// on one side of the median.
func meanMargins(d dispersion, variance, n, confidence float64) (down, up float64) {
	half := normal(confidence) * math.Sqrt(variance*d.factor/n)
	switch {
	case n < 2, half == 0 && n < float64(QuantileNeeded(0.5, confidence)):
		return math.Inf(1), math.Inf(1)
	case half == 0:
		return 0, 0
	}
	grow := func(reach float64) float64 { return half * (1 + skewPenalty*(reach/half)*(reach/half)) }
	return grow(d.down), grow(d.up)
}

// meanDispersion is that of the samples themselves.
func meanDispersion(d *netp.Distribution, confidence float64) dispersion {
	return dispersionOf(sums(d), d.All.Mean()-float64(d.Base), variance(d), confidence)
}

func sums(d *netp.Distribution) series {
	s := make(series, 0, len(d.Batches))
	for _, b := range d.Batches {
		s = append(s, batch{n: float64(b.Count()), sum: b.Sum})
	}
	return s
}

func variance(d *netp.Distribution) float64 {
	s := d.All.StdDev()
	return s * s
}

// ofStdDev estimates a standard deviation: the variance is a mean, that of the squared distances from the mean, and is estimated like
// one. The distances are known from the mean of the samples, which is nearer to them than the true one by up to its own half width.
func ofStdDev(e netp.Estimate, d *netp.Distribution) (netp.Estimate, error) {
	n := float64(d.All.Count())
	if n < 2 {
		return e, &NoDataError{e.Metric, fmt.Sprintf("A standard deviation needs two samples, there is %g.", n)}
	}
	low, high, factor := ofVariance(d, e.Confidence)
	e.Method = MethodBatchMeans
	e.Effective = n / factor
	left, right := meanMargins(meanDispersion(d, e.Confidence), variance(d), n, e.Confidence)
	away := math.Max(left, right)
	least, most := normalSpread(e.Effective, e.Confidence)
	low = math.Min(least*variance(d), low*(n-1)/n)
	high = math.Max(most*variance(d), high+away*away)
	e.Low, e.High = math.Sqrt(low)*d.Resolution, math.Sqrt(high)*d.Resolution
	return open(e), nil
}

// ofVariance are the bounds of a variance as those of the mean of the squares, and how many squares count as one.
func ofVariance(d *netp.Distribution, confidence float64) (low, high, factor float64) {
	s := squares(d)
	mean, spread := s.moments(d)
	v := dispersionOf(s, mean, spread, confidence)
	// Squares have twice the tail of the samples.
	v.up, v.down = 2*v.up, 2*v.down
	down, up := meanMargins(v, spread, float64(d.All.Count()), confidence)
	// The batches know squares only roughly; the point is exact and scales them.
	scale := variance(d) / mean
	if mean == 0 {
		scale = 1
	}
	return math.Max(0, mean-down) * scale, (mean + up) * scale, v.factor
}

// normalSpread is between which multiples of the variance of n independent samples of the normal distribution the true one lies: squares of
// a handful tell little of how they vary themselves.
func normalSpread(n, confidence float64) (low, high float64) {
	if n <= 1 {
		return 0, math.Inf(1)
	}
	chi := distuv.ChiSquared{K: n - 1}
	return (n - 1) / chi.Quantile((1+confidence)/2), (n - 1) / chi.Quantile((1-confidence)/2)
}

// squares are the squared distances from the mean, by batch.
func squares(d *netp.Distribution) series {
	s := make(series, 0, len(d.Batches))
	for _, b := range d.Batches {
		out := batch{n: float64(b.Count())}
		eachDistance(d, b, func(distance, n float64) { out.sum += distance * distance * n })
		s = append(s, out)
	}
	return s
}

// moments are the mean of the squares and the variance of a single one.
func (s series) moments(d *netp.Distribution) (mean, variance float64) {
	var n, sum, fourth float64
	for i, b := range s {
		n += b.n
		sum += b.sum
		eachDistance(d, d.Batches[i], func(distance, n float64) { fourth += distance * distance * distance * distance * n })
	}
	mean = sum / n
	return mean, math.Max(0, fourth/n-mean*mean)
}

// eachDistance gives the distances of a batch from the mean, and how many samples have each: of a single sample it is exact.
func eachDistance(d *netp.Distribution, b *netp.Batch, f func(distance, n float64)) {
	center := d.All.Mean() - float64(d.Base)
	if b.Count() == 1 {
		f(b.Sum-center, 1)
		return
	}
	for _, c := range b.Counts {
		f(middle(c[0])-center, float64(c[1]))
	}
}

// middle is the middle of the batch bucket that starts at v: buckets hold the five
// leading bits of a value.
func middle(v int64) float64 {
	width := 1.0
	for u := math.Abs(float64(v)); u >= 32; u /= 2 {
		width *= 2
	}
	return float64(v) + (width-1)/2
}
