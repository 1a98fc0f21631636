package estimate

import (
	"math"

	"gonum.org/v1/gonum/mathext"

	"github.com/netpupper/netp"
)

// ofQuantile estimates a quantile by order statistics: the ranks between which the
// quantile lies at the confidence, on an effective number of samples.
func ofQuantile(e netp.Estimate, d *netp.Distribution, q float64) netp.Estimate {
	e.Method = MethodOrderStatistics
	n := float64(d.All.Count())
	factor := 1.0
	e.Effective = n / factor
	low, high := ranks(e.Effective, q, e.Confidence)
	e.Low, e.High = math.Inf(-1), math.Inf(1)
	if low > 0 {
		v, _ := d.All.RankBounds(uint64(math.Ceil(low * factor)))
		e.Low = float64(v) * d.Resolution
	}
	if high > 0 {
		_, v := d.All.RankBounds(uint64(math.Ceil(high * factor)))
		e.High = float64(v) * d.Resolution
	}
	return open(e)
}

// ranks gives the ranks of the order statistics of n independent samples that lie
// below and above the q-quantile, each with probability (1+confidence)/2; 0 when
// there is no such rank.
func ranks(n, q, confidence float64) (low, high float64) {
	alpha := (1 - confidence) / 2
	whole := math.Floor(n)
	// P(X₍k₎ ≤ quantile) = P(Bin(n, q) ≥ k) = I_q(k, n−k+1).
	for k := math.Floor(n * q); k >= 1; k-- {
		if mathext.RegIncBeta(k, whole-k+1, q) >= 1-alpha {
			low = k
			break
		}
	}
	// P(X₍k₎ ≥ quantile) ≥ P(Bin(n, q) ≤ k−1) = 1 − I_q(k, n−k+1).
	for k := math.Max(1, math.Floor(n*q)); k <= whole; k++ {
		if mathext.RegIncBeta(k, whole-k+1, q) <= alpha {
			high = k
			break
		}
	}
	return low, high
}
