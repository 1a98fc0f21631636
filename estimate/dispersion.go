package estimate

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// batch is the sum of some consecutive samples.
type batch struct{ n, sum float64 }

func (b batch) mean() float64 { return b.sum / b.n }

// series is the consecutive batches of one session.
type series []batch

// dispersion says how much more a series varies than independent samples would.
type dispersion struct {
	// factor is the number of samples that count as one independent sample, at
	// least 1; that it is itself an estimate from few groups is in it.
	factor float64
	// up and down are the shares that the highest and the lowest group have in the
	// mean: how far it lies from where it would be without them.
	up, down float64
}

const (
	// minGroups is the smallest number of groups a variance is taken from.
	minGroups = 6
	// remembers is the correlation of neighbouring groups, in standard errors, from
	// which on they are joined further: a small one, so that weak memory is followed.
	remembers = 0.4
	// maxMemory bounds the correlation that is extrapolated.
	maxMemory = 0.9
)

// dispersionOf compares the variance of group means with that of independent
// samples. Batches may be shorter than a burst, so neighbours are joined until
// groups stop depending on each other, and the largest answer counts. If they
// still do when only a few groups are left, the rest is extrapolated as for an
// autoregressive series.
func dispersionOf(s series, mean, variance, confidence float64) dispersion {
	d := dispersion{factor: 1}
	if !(variance > 0) || len(s) < 2 {
		return d
	}
	d.up, d.down = s.reach(mean)
	for size := 1; ; size *= 2 {
		g := s.joined(size)
		m := float64(len(g))
		widening := student(len(g)-1, confidence) / normal(confidence)
		f := g.variation(mean, variance) * widening * widening
		memory := g.memory(mean)
		depend := memory > remembers/math.Sqrt(m)
		last := len(s)/(2*size) < minGroups
		if depend && last {
			r := math.Min(memory, maxMemory)
			f *= (1 + r) / (1 - r)
		}
		if f > d.factor {
			d.factor = f
			d.up, d.down = g.reach(mean)
		}
		if last || !depend {
			return d
		}
	}
}

// joined adds neighbours up in groups of the given size; a shorter rest joins the
// last group.
func (s series) joined(size int) series {
	if size == 1 {
		return s
	}
	out := make(series, len(s)/size)
	for i, b := range s {
		g := &out[min(i/size, len(out)-1)]
		g.n += b.n
		g.sum += b.sum
	}
	return out
}

// variation is the variance of the group means as a multiple of what independent
// samples of the given variance would show.
func (s series) variation(mean, variance float64) float64 {
	var sum float64
	for _, b := range s {
		d := b.mean() - mean
		sum += b.n * d * d
	}
	return sum / float64(len(s)-1) / variance
}

// memory is the correlation of neighbours, without the bias of 1/n.
func (s series) memory(mean float64) float64 {
	var together, alone float64
	for i, b := range s {
		d := b.mean() - mean
		alone += d * d
		if i > 0 {
			together += d * (s[i-1].mean() - mean)
		}
	}
	if alone == 0 {
		return 0
	}
	return together/alone + 1/float64(len(s))
}

func (s series) reach(mean float64) (up, down float64) {
	for _, b := range s {
		up = math.Max(up, b.mean()-mean)
		down = math.Max(down, mean-b.mean())
	}
	return up / float64(len(s)), down / float64(len(s))
}

// fewEvents raises a dispersion factor that rests on few events. What is known of
// the length of bursts is known from the bursts seen, events/factor of them; with
// bursts of random length it takes fewBursts more each to be sure. Without a sign
// of bursts nothing is raised.
func fewEvents(factor, events, confidence float64) float64 {
	if factor <= 1 || events <= 0 {
		return math.Max(factor, 1)
	}
	sure := normal(confidence) / normal(0.95)
	return 1 + (factor-1)*(1+fewBursts*sure*sure*factor/events)
}

// fewBursts makes the bound of a ratio that of a sum of exponentially distributed
// bursts, for which λ and mean length are both unknown: within 10 % of
// (N+1)/N · F(2N+2, 2N) from N = 3 bursts on. It is that for 95 %, and grows with
// the square of the normal factor: at 99.9 %, which one of fifty assertions of a
// family is held to, F asks for 2.5 to 2.8 times as much from N = 6 on.
const fewBursts = 4

// student is the two-sided factor of the t distribution; infinite without freedom.
func student(freedom int, confidence float64) float64 {
	if freedom < 1 {
		return math.Inf(1)
	}
	return distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(freedom)}.Quantile((1 + confidence) / 2)
}

// normal is the two-sided factor of the normal distribution.
func normal(confidence float64) float64 { return distuv.UnitNormal.Quantile((1 + confidence) / 2) }
