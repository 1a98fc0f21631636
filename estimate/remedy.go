package estimate

import (
	"math"

	"github.com/netpupper/netp"
)

// Remedy says what would bring an interval to one side of a limit, if the point
// stays where it is.
type Remedy struct {
	// Factor is how many times as many samples it takes; 0 when no number helps.
	Factor float64
	// Uncertainty is the systematic error bound [SI] under which the samples at hand
	// decide; 0 when it is not what stands in the way.
	Uncertainty float64
}

// Settle finds what would decide an estimate against a limit. The zero Remedy
// means that nothing would: the point lies on the limit, or the samples have no
// bound there.
func Settle(e netp.Estimate, limit float64) Remedy {
	distance := math.Abs(limit - e.Point)
	side, isOpen := e.High-e.Point, e.OpenHigh
	if limit < e.Point {
		side, isOpen = e.Point-e.Low, e.OpenLow
	}
	random := math.Max(0, side-e.Uncertainty)
	if distance == 0 && !(e.Method == MethodClopperPearson && limit > 0 && e.Point == 0) {
		return Remedy{}
	}
	if factor := openFactor(e); isOpen || factor > 1 {
		return Remedy{Factor: factor}
	}
	if e.Uncertainty > 0 && random < distance {
		return Remedy{Uncertainty: distance - random}
	}
	if e.Method == MethodClopperPearson && e.Effective > 0 {
		return Remedy{Factor: ratioFactor(e, limit)}
	}
	if room := distance - e.Uncertainty; room > 0 && random > 0 {
		return Remedy{Factor: (random / room) * (random / room)}
	}
	return Remedy{}
}

// openFactor is how many times the samples it takes to be bounded: a quantile by some of them, a mean at all; 1 when these do.
func openFactor(e netp.Estimate) float64 {
	if e.Method == MethodBatchMeans && (e.OpenLow || e.OpenHigh) && e.Samples > 0 {
		return math.Max(1, float64(QuantileNeeded(0.5, e.Confidence))/float64(e.Samples))
	}
	if e.Method != MethodOrderStatistics || !(e.Effective > 0) {
		return 0
	}
	q := memberQuantile(e.Metric)
	if q == 0 {
		return 0
	}
	needed := float64(QuantileNeeded(q, e.Confidence))
	if 2*e.Effective < float64(e.Samples) {
		needed *= ofDependent
	}
	return math.Max(1, needed/e.Effective)
}

// ofDependent is how many times as many effective samples it takes when they depend on each other, because few tell little of how much
// (fewEvents): x = 1 + fewBursts/(3.7 x), with the 3.7 of QuantileNeeded beyond the quantile.
const ofDependent = 1.65

func memberQuantile(metric string) float64 {
	for i := len(metric) - 1; i >= 0; i-- {
		if metric[i] == '.' {
			q, _ := netp.QuantileOf(metric[i+1:])
			return q
		}
	}
	return 0
}

// ratioFactor finds by halving how much longer the same share of events must go on.
func ratioFactor(e netp.Estimate, limit float64) float64 {
	decided := func(f float64) bool {
		low, high := clopperPearson(e.Point*e.Effective*f, e.Effective*f, e.Confidence)
		return high < limit || low > limit
	}
	low, high := 1.0, 2.0
	for ; !decided(high); high *= 2 {
		if high > 1e9 {
			return 0
		}
		low = high
	}
	for high/low > 1.04 {
		if mid := math.Sqrt(low * high); decided(mid) {
			high = mid
		} else {
			low = mid
		}
	}
	return high
}
