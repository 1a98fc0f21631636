package main

import (
	"math"
	"math/rand/v2"

	"github.com/netpupper/netp"
)

// losses tells of each packet of a session whether it is lost.
type losses func(r *rand.Rand, n int, hit func(i int))

// independent loses each packet with probability p.
func independent(p float64) losses {
	return func(r *rand.Rand, n int, hit func(int)) {
		for i := range n {
			if r.Float64() < p {
				hit(i)
			}
		}
	}
}

// gilbertElliott loses packets in bad times only, each with probability bad, so
// that a share p is lost in the long run; bad times last length packets on average.
func gilbertElliott(p, length, bad float64) losses {
	share := p / bad // of time that is bad
	leave := 1 / length
	enter := leave * share / (1 - share)
	return func(r *rand.Rand, n int, hit func(int)) {
		isBad := r.Float64() < share
		for i := range n {
			if isBad && r.Float64() < bad {
				hit(i)
			}
			if isBad {
				isBad = r.Float64() >= leave
			} else {
				isBad = r.Float64() < enter
			}
		}
	}
}

// swinging loses packets independently with a probability that swings between 0
// and 2p over a cycle of the given length: load that comes and goes.
func swinging(p float64, cycle int) losses {
	return func(r *rand.Rand, n int, hit func(int)) {
		phase := r.Float64() * 2 * math.Pi
		for i := range n {
			if r.Float64() < p*(1+math.Sin(phase+2*math.Pi*float64(i)/float64(cycle))) {
				hit(i)
			}
		}
	}
}

// over adds single losses, each with probability p, to others.
func (l losses) over(p float64) losses {
	return func(r *rand.Rand, n int, hit func(int)) {
		lost := make([]bool, n)
		l(r, n, func(i int) { lost[i] = true })
		independent(p)(r, n, func(i int) { lost[i] = true })
		for i, is := range lost {
			if is {
				hit(i)
			}
		}
	}
}

func (l losses) measure(r *rand.Rand, n int) netp.Measurement {
	var t netp.Tally
	l(r, n, func(i int) { t.Hit(uint64(i)) })
	return netp.Measurement{Ratio: t.Hits(uint64(n))}
}

// marginal is a distribution of delays [s] as a function of a standard normal
// deviate, so that each can be given memory.
type marginal struct {
	of       func(z float64) float64
	mean, sd float64
}

// narrow is an idle path: 30 ms ± 0.1 ms.
func narrow() marginal {
	return marginal{func(z float64) float64 { return 0.030 + 0.0001*z }, 0.030, 0.0001}
}

func lognormal(sigma float64) marginal {
	mean := 0.010 * math.Exp(sigma*sigma/2)
	return marginal{func(z float64) float64 { return 0.010 * math.Exp(sigma*z) },
		mean, mean * math.Sqrt(math.Expm1(sigma*sigma))}
}

// pareto has the tail index a > 1: P(X > x) = (10 ms/x)^a. Its variance is infinite
// for a ≤ 2.
func pareto(a float64) marginal {
	sd := math.Inf(1)
	if a > 2 {
		sd = 0.010 * math.Sqrt(a/(a-2)) / (a - 1)
	}
	return marginal{func(z float64) float64 { return 0.010 * math.Pow(math.Erfc(z/math.Sqrt2)/2, -1/a) },
		0.010 * a / (a - 1), sd}
}

func (m marginal) quantile(q float64) float64 { return m.of(math.Sqrt2 * math.Erfinv(2*q-1)) }

// measure makes samples of which neighbours correlate by rho before the marginal
// is applied, shifted by a clock offset [s].
func (m marginal) measure(r *rand.Rand, n int, rho, offset float64) netp.Measurement {
	d := netp.NewDistribution(1e-9)
	z, step := r.NormFloat64(), math.Sqrt(1-rho*rho)
	for range n {
		d.Record(int64(math.Round((m.of(z) + offset) * 1e9)))
		z = rho*z + step*r.NormFloat64()
	}
	return netp.Measurement{Distribution: d}
}

// spikes are delays of 19.8 to 20 ms that rise by 30 ms on average in 3 % of the
// time, in spikes of the given mean length.
type spikes float64

const spikeShare = 0.03

func (s spikes) mean() float64 { return 0.0199*(1-spikeShare) + 0.050*spikeShare }

// quantile holds for q beyond the share of quiet time.
func (s spikes) quantile(q float64) float64 { return 0.020 + 0.030*math.Log(spikeShare/(1-q)) }

func (s spikes) measure(r *rand.Rand, n int) netp.Measurement {
	bad := make([]bool, n)
	gilbertElliott(spikeShare, float64(s), 1)(r, n, func(i int) { bad[i] = true })
	d := netp.NewDistribution(1e-9)
	for i := range n {
		v := 0.0198 + 0.0002*r.Float64()
		if bad[i] {
			v = 0.020 + 0.030*r.ExpFloat64()
		}
		d.Record(int64(v * 1e9))
	}
	return netp.Measurement{Distribution: d}
}

// onOff is a throughput of 1000 or 400 Mbit/s ± 5 % per interval that stays at one
// level for the given mean number of intervals: cross traffic that comes and goes.
type onOff float64

func (o onOff) mean() float64 { return 700e6 }

func (o onOff) measure(r *rand.Rand, n int) netp.Measurement {
	d := netp.NewDistribution(1)
	high := r.IntN(2) == 0
	for range n {
		level := 400e6
		if high {
			level = 1000e6
		}
		d.Record(int64(level * (1 + 0.05*r.NormFloat64())))
		if r.Float64() < 1/float64(o) {
			high = !high
		}
	}
	return netp.Measurement{Distribution: d}
}
