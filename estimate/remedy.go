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
	// Bounds says that they only give a bound where there is none yet, or one far away: whether it decides nobody knows before.
	Bounds bool
	// Uncertainty is the systematic error bound [SI] under which the samples at hand
	// decide; 0 when it is not what stands in the way.
	Uncertainty float64
}

// Settle finds what would decide an estimate against a limit. The zero Remedy
// means that nothing would: the point lies on the limit, or the samples have no
// bound there.
func Settle(e netp.Estimate, limit float64) Remedy {
	distance := math.Abs(limit - e.Point)
	q := memberQuantile(e.Metric)
	side, isOpen, tail := e.High-e.Point, e.OpenHigh, 1-q
	if limit < e.Point {
		side, isOpen, tail = e.Point-e.Low, e.OpenLow, q
	}
	random := math.Max(0, side-e.Uncertainty)
	if distance == 0 && !(e.Method == MethodClopperPearson && limit > 0 && e.Point == 0) {
		return Remedy{}
	}
	if factor := openFactor(e, tail); isOpen || factor > 1 {
		return Remedy{Factor: factor, Bounds: factor > 0}
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

// openFactor is how many times the samples it usually takes to be bounded: a quantile by some of them on the side where the share tail of the
// traffic lies, a mean at all; 1 when these do.
func openFactor(e netp.Estimate, tail float64) float64 {
	switch {
	case e.Method == MethodBatchMeans && (e.OpenLow || e.OpenHigh) && e.Samples > 0:
		return math.Max(1, float64(QuantileNeeded(0.5, e.Confidence))/float64(e.Samples))
	case e.Method != MethodOrderStatistics || !(e.Effective > 0) || !(tail > 0 && tail < 1):
		return 0
	}
	n := float64(e.Samples)
	if _, ok := beyond(n, tail, fewEvents(n/e.Effective, n*tail, e.Confidence), e.Confidence); ok {
		return 1
	}
	return math.Max(1, float64(QuantileUsual(tail, e.Confidence))/e.Effective)
}

// openTail is openFactor on the side of a quantile that is harder to bound.
func openTail(e netp.Estimate) float64 {
	q := memberQuantile(e.Metric)
	return openFactor(e, math.Min(q, 1-q))
}

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
