package estimate

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"

	"github.com/netpupper/netp"
)

// ofRatio estimates the probability of an event per trial: the exact binomial
// interval, on an effective number of trials when events come in bursts.
func ofRatio(e netp.Estimate, r *netp.Ratio) (netp.Estimate, error) {
	if r == nil || r.Trials == 0 {
		return e, &NoDataError{e.Metric, "The session produced no trials."}
	}
	e.Samples, e.Point, e.Method = r.Trials, r.Value(), MethodClopperPearson
	if r.Events > r.Trials {
		return e, fmt.Errorf("estimate %s: %d events of %d trials", e.Metric, r.Events, r.Trials)
	}
	k, n := float64(r.Events), float64(r.Trials)
	d := burstsOf(r, e.Confidence)
	up, down := fewEvents(d.factor, k, e.Confidence), fewEvents(d.factor, n-k, e.Confidence)
	_, e.High = clopperPearson(k/up, n/up, e.Confidence)
	e.Low, _ = clopperPearson(k/down, n/down, e.Confidence)
	e.Effective = n / d.factor
	switch {
	case k == 0 || k == n:
		e.Detail = "no sign of bursts, as the session saw only one outcome; bursts rarer than the session cannot be excluded"
	case d.factor >= 2:
		e.Detail = fmt.Sprintf("in bursts: %.2g %s count as one", d.factor, basisOf(e))
	}
	return e, nil
}

// burstsOf is the dispersion of the rarer outcome, so that it is the same to the last digit seen from either side: whether neighbours depend on
// each other can hang on that.
func burstsOf(r *netp.Ratio, confidence float64) dispersion {
	s := countSeries(r)
	events := r.Events
	excess := 2*float64(events) - float64(r.Trials)
	for i := 0; excess == 0 && i < len(s); i++ { // of two that are as frequent, the one that is rarer first
		excess = 2*s[i].sum - s[i].n
	}
	if excess > 0 {
		events = r.Trials - r.Events
		for i := range s {
			s[i].sum = s[i].n - s[i].sum
		}
	}
	share := float64(events) / float64(r.Trials)
	return dispersionOf(s, share, share*(1-share), confidence)
}

// countSeries turns batches of event counts into a series.
func countSeries(r *netp.Ratio) series {
	var s series
	left := r.Trials
	for _, x := range r.Batches {
		n := min(r.BatchLength, left)
		if n == 0 {
			break
		}
		left -= n
		s = append(s, batch{n: float64(n), sum: float64(min(x, n))})
	}
	return s
}

// clopperPearson is the exact two-sided interval of a binomial probability after k
// events in n trials. k and n need not be whole.
func clopperPearson(k, n, confidence float64) (low, high float64) {
	alpha := (1 - confidence) / 2
	low, high = 0, 1
	if k > 0 {
		low = mathext.InvRegIncBeta(k, n-k+1, alpha)
	}
	if k < n {
		high = mathext.InvRegIncBeta(k+1, n-k, 1-alpha)
	}
	return low, math.Max(high, low)
}
