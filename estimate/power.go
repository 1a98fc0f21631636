package estimate

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// RatioNeeded is the smallest number of trials that, without a single event, puts
// the upper bound of the ratio at or below limit: 3688 for 0.1 % at 95 %. It is 0
// for a limit of 1 or more and the largest uint64 for a limit of 0 or less, which
// no number of trials can show.
func RatioNeeded(limit, confidence float64) uint64 {
	switch {
	case limit >= 1:
		return 0
	case !(limit > 0):
		return math.MaxUint64
	}
	n := math.Ceil(math.Log((1-confidence)/2) / math.Log1p(-limit))
	if !(n < math.MaxUint64) {
		return math.MaxUint64
	}
	return uint64(math.Max(n, 1))
}

// RatioDetects is the smallest true ratio that independent events make exceed
// limit visibly: with probability power, about, n trials put the lower bound
// above limit. 1 when there is no such ratio.
func RatioDetects(n uint64, limit, confidence, power float64) float64 {
	if n == 0 || !(limit < 1) {
		return 1
	}
	size, usual := float64(n), usualFactor(n, confidence)
	shows := func(k float64) bool {
		factor := fewEvents(usual, size-k, confidence)
		low, _ := clopperPearson(k/factor, size/factor, confidence)
		return low > limit
	}
	k := search(size, shows)
	if !shows(k) {
		return 1
	}
	// P(Bin(n, p) ≥ k) = I_p(k, n−k+1) ≥ power.
	return distuv.Beta{Alpha: k, Beta: size - k + 1}.Quantile(power)
}

// usualFactor is the dispersion that nine sessions in ten of n independent events do not show by chance: two standard deviations of the
// variance of their groups, widened as any.
func usualFactor(n uint64, confidence float64) float64 {
	groups := n
	for groups > maxGroups {
		groups = (groups + 1) / 2
	}
	if groups < 2 {
		return 1
	}
	widening := student(int(groups)-1, confidence) / normal(confidence)
	return widening * widening * (1 + 2*math.Sqrt(2/float64(groups)))
}

// maxGroups is the largest number of batches that a series keeps.
const maxGroups = 128

// search finds the smallest whole k in [0, n] for which ok holds, given that it
// holds for all greater ones too; n when it holds for none.
func search(n float64, ok func(k float64) bool) float64 {
	low, high := 0.0, n
	for low < high {
		mid := math.Floor((low + high) / 2)
		if ok(mid) {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return low
}

// QuantileNeeded is the smallest number of independent samples that bounds the
// q-quantile on both sides: 368 for the 99th percentile at 95 %. With fewer the
// estimate is open on one side and cannot pass a limit there.
func QuantileNeeded(q, confidence float64) uint64 {
	tail := math.Min(q, 1-q)
	return RatioNeeded(tail, confidence)
}

// QuantileUsual is how many independent samples bound a quantile by some of them, on the side where the share tail of the traffic lies, in most
// sessions (82 to 95 % of them, measured for p50 to p999): by chance some look dependent, and few tell little of how much.
func QuantileUsual(tail, confidence float64) uint64 {
	return max(ofUsual*RatioNeeded(tail, confidence), leastUsual)
}

const (
	ofUsual    = 3
	leastUsual = 12 // with fewer Student's t makes one of several
)

// MeanMargin is the half width of the interval of a mean of n independent samples,
// as a share of the mean, when a sample varies by variation (standard deviation
// over mean). Infinite for n < 2.
func MeanMargin(n uint64, variation, confidence float64) float64 {
	if n < 2 {
		return math.Inf(1)
	}
	return student(int(min(n, math.MaxInt32))-1, confidence) * variation / math.Sqrt(float64(n))
}
