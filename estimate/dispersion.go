package estimate

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// batch is the sum of some consecutive samples.
type batch struct{ n, sum float64 }

// series is consecutive batches of one session.
type series []batch

// dispersion says how much more a series varies than independent samples would.
type dispersion struct {
	// factor is the number of samples that count as one independent sample, ≥ 1.
	factor float64
	groups int
}

// joined adds neighbours up in groups of size k; a shorter rest joins the last group.
func (s series) joined(k int) series {
	var out series
	for i := 0; i < len(s); i += k {
		if i > 0 && len(s)-i < k {
			break
		}
		var g batch
		end := i + k
		if len(s)-end < k {
			end = len(s)
		}
		for _, b := range s[i:end] {
			g.n += b.n
			g.sum += b.sum
		}
		out = append(out, g)
	}
	return out
}

// variation is the variance of the group means around mean, as a multiple of what
// independent samples of the given variance would show.
func (s series) variation(mean, variance float64) float64 {
	var sum float64
	for _, b := range s {
		d := b.sum/b.n - mean
		sum += b.n * d * d
	}
	return sum / float64(len(s)-1) / variance
}

// minGroups is the smallest number of groups a variance is taken from.
const minGroups = 8

func dispersionOf(s series, mean, variance, confidence float64) dispersion {
	d := dispersion{factor: 1, groups: len(s)}
	if !(variance > 0) {
		return d
	}
	z := distuv.UnitNormal.Quantile((1 + confidence) / 2)
	for k := 1; len(s)/k >= minGroups; k *= 2 {
		g := s.joined(k)
		t := student(len(g)-1, confidence)
		if f := g.variation(mean, variance) * (t / z) * (t / z); f > d.factor {
			d.factor, d.groups = f, len(g)
		}
	}
	return d
}

func student(df int, confidence float64) float64 {
	if df < 1 {
		return math.Inf(1)
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(df)}.Quantile((1 + confidence) / 2)
}
