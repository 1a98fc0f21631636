package estimate

import (
	"fmt"
	"math"

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

// meanMargins are the half widths to both sides, infinite with fewer than two samples.
func meanMargins(d dispersion, variance, n, confidence float64) (down, up float64) {
	if n < 2 {
		return math.Inf(1), math.Inf(1)
	}
	half := normal(confidence) * math.Sqrt(variance*d.factor/n)
	if half == 0 {
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

// ofStdDev estimates a standard deviation: the variance is a mean, that of the
// squared distances from the mean, and is estimated like one.
func ofStdDev(e netp.Estimate, d *netp.Distribution) (netp.Estimate, error) {
	n := float64(d.All.Count())
	if n < 2 {
		return e, &NoDataError{e.Metric, fmt.Sprintf("A standard deviation needs two samples, there is %g.", n)}
	}
	s := squares(d)
	mean, spread := s.moments(d)
	v := dispersionOf(s, mean, spread, e.Confidence)
	// Squares have twice the tail of the samples.
	v.up, v.down = 2*v.up, 2*v.down
	e.Method = MethodBatchMeans
	e.Effective = n / v.factor
	down, up := meanMargins(v, spread, n, e.Confidence)
	// The batches know squares only roughly; the point is exact and scales them.
	scale := variance(d) / mean
	if mean == 0 {
		scale = 1
	}
	e.Low = math.Sqrt(math.Max(0, mean-down)*scale) * d.Resolution
	e.High = math.Sqrt((mean+up)*scale) * d.Resolution
	return open(e), nil
}

// squares are the squared distances from the mean, by batch.
func squares(d *netp.Distribution) series {
	center := d.All.Mean() - float64(d.Base)
	s := make(series, 0, len(d.Batches))
	for _, b := range d.Batches {
		out := batch{n: float64(b.Count())}
		for _, c := range b.Counts {
			distance := middle(c[0]) - center
			out.sum += distance * distance * float64(c[1])
		}
		s = append(s, out)
	}
	return s
}

// moments are the mean of the squares and the variance of a single one.
func (s series) moments(d *netp.Distribution) (mean, variance float64) {
	var n, sum, fourth float64
	center := d.All.Mean() - float64(d.Base)
	for i, b := range s {
		n += b.n
		sum += b.sum
		for _, c := range d.Batches[i].Counts {
			distance := middle(c[0]) - center
			fourth += distance * distance * distance * distance * float64(c[1])
		}
	}
	mean = sum / n
	return mean, math.Max(0, fourth/n-mean*mean)
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
