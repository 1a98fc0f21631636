package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/netpupper/netp"
)

// scenario is a path of known truth and how a session measures it.
type scenario struct {
	name    string
	metric  string // as written in a condition
	n       int    // samples per session
	truth   float64
	measure func(r *rand.Rand) netp.Measurement
	// steps are the ratios of truth and limit that are judged, the smallest first.
	steps [3]float64
	// decides is the least share of sessions that must be judged rightly, on either
	// side, with truth and limit the last step apart; 0 where little can be known.
	decides float64
	// outside says why the scenario lies outside what is claimed; "" inside.
	outside string
}

// specs are the metrics the scenarios measure.
func specs() []netp.MetricSpec {
	return []netp.MetricSpec{
		{Name: "loss.ratio", Unit: "1", Shape: netp.RatioShape, Basis: netp.PerPacket},
		{Name: "delay", Unit: "s", Shape: netp.DistributionShape, Basis: netp.PerPacket, OneWay: true},
		{Name: "throughput", Unit: "bit/s", Shape: netp.DistributionShape, Basis: netp.PerInterval},
	}
}

var usualSteps = [3]float64{1.02, 1.2, 2}

func loss(name string, p float64, n int, l losses) scenario {
	return scenario{name: name, metric: "loss.ratio", n: n, truth: p, steps: usualSteps,
		measure: func(r *rand.Rand) netp.Measurement { return l.measure(r, n) }}
}

// bursts is a Gilbert–Elliott path; all packets of a bad time are lost.
func bursts(p, length float64, n int) scenario {
	return loss(fmt.Sprintf("bursts of %g, %.3g a session", length, p*float64(n)/length), p, n, gilbertElliott(p, length, 1))
}

func delay(name, member string, m marginal, rho float64, n int) scenario {
	truth := map[string]float64{"mean": m.mean, "stddev": m.sd}[member]
	if q, ok := netp.QuantileOf(member); ok {
		truth = m.quantile(q)
	}
	return scenario{name: fmt.Sprintf("%s, ρ = %g", name, rho), metric: "delay." + member, n: n, truth: truth, steps: usualSteps,
		measure: func(r *rand.Rand) netp.Measurement { return m.measure(r, n, rho, 0) }}
}

func spiky(member string, s spikes, n int) scenario {
	truth := s.mean()
	if q, ok := netp.QuantileOf(member); ok {
		truth = s.quantile(q)
	}
	return scenario{name: fmt.Sprintf("spikes of %g, %.3g a session", float64(s), spikeShare*float64(n)/float64(s)), metric: "delay." + member, n: n, truth: truth, steps: usualSteps,
		measure: func(r *rand.Rand) netp.Measurement { return s.measure(r, n) }}
}

func throughput(o onOff, n int) scenario {
	return scenario{name: fmt.Sprintf("on/off, %g intervals each", float64(o)), metric: "throughput.mean", n: n, truth: o.mean(), steps: usualSteps,
		measure: func(r *rand.Rand) netp.Measurement { return o.measure(r, n) }}
}

// clockOff is a delay whose clock is wrong by its whole bound.
func clockOff(m marginal, offset float64, n int) scenario {
	s := delay(fmt.Sprintf("lognormal σ = 0.5, clock off by %+g ms", offset*1e3), "p90", m, 0, n)
	s.measure = func(r *rand.Rand) netp.Measurement {
		out := m.measure(r, n, 0, offset)
		out.Uncertainty = 0.005
		return out
	}
	return s
}

func (s scenario) not(reason string) scenario {
	s.outside = reason
	return s
}

func (s scenario) closer(steps ...float64) scenario {
	copy(s.steps[:], steps)
	return s
}

func (s scenario) decided(share float64) scenario {
	s.decides = share
	return s
}

// scenarios lists what is claimed, then what is not.
func scenarios() []scenario {
	return []scenario{
		loss("independent", 0.002, 8000, independent(0.002)).decided(0.4),
		loss("independent", 0.01, 3000, independent(0.01)).decided(0.7),
		loss("independent", 0.05, 600, independent(0.05)).decided(0.7),
		bursts(0.02, 3, 3000).decided(0.4),
		bursts(0.05, 3, 600).decided(0.15),
		bursts(0.05, 10, 3000).decided(0.25),
		bursts(0.1, 50, 3000),
		loss("half lost in bad times of 30, 10 a session", 0.05, 3000, gilbertElliott(0.05, 30, 0.5)),
		loss("swinging, 3 cycles a session", 0.01, 3000, swinging(0.01, 1000)).decided(0.4),

		delay("30 ± 0.1 ms", "p50", narrow(), 0.9, 1500).closer(1.0001, 1.001, 1.01).decided(0.95),
		delay("lognormal σ = 1", "p50", lognormal(1), 0.9, 3000).decided(0.95),
		delay("lognormal σ = 1", "p90", lognormal(1), 0.5, 3000).decided(0.95),
		delay("lognormal σ = 1", "p99", lognormal(1), 0, 3000).decided(0.9),
		delay("lognormal σ = 1", "p99", lognormal(1), 0.5, 5000).decided(0.8),
		delay("30 ± 0.1 ms", "p90", narrow(), 0.98, 2000).closer(1.0001, 1.001, 1.2).decided(0.5),
		delay("Pareto a = 1.5", "p95", pareto(1.5), 0, 2000).decided(0.95),
		spiky("p99", 3, 5000).decided(0.8),
		clockOff(lognormal(0.5), 0.005, 1000),
		clockOff(lognormal(0.5), -0.005, 1000),

		delay("30 ± 0.1 ms", "mean", narrow(), 0.9, 1500).closer(1.00002, 1.0005, 1.002).decided(0.8),
		delay("lognormal σ = 1", "mean", lognormal(1), 0, 600).decided(0.95),
		delay("lognormal σ = 1", "mean", lognormal(1), 0.9, 3000).decided(0.9),
		delay("Pareto a = 3", "mean", pareto(3), 0.5, 1500).decided(0.95),
		delay("Pareto a = 2.2", "mean", pareto(2.2), 0, 1500).decided(0.95),
		spiky("mean", 10, 3000).decided(0.95),
		delay("30 ± 0.1 ms", "stddev", narrow(), 0.5, 1500).decided(0.95),
		delay("lognormal σ = 0.5", "stddev", lognormal(0.5), 0, 1500).decided(0.95),
		delay("lognormal σ = 1", "stddev", lognormal(1), 0, 600).decided(0.4),
		throughput(3, 100).decided(0.9),
		throughput(10, 600).decided(0.95),

		bursts(0.01, 10, 3000).not("3 bursts a session: one in twenty sees none"),
		bursts(0.01, 50, 3000).not("0.6 bursts a session: every second sees none"),
		loss("most singly, the rest in bad times of 30 that lose half", 0.02882, 10000, gilbertElliott(0.009, 30, 0.5).over(0.02)).not("6 bad times a session: single losses hide them"),
		loss("half singly, half in bad times of 30 that lose half", 0.0494, 10000, gilbertElliott(0.03, 30, 0.5).over(0.02)).not("20 bad times a session"),
		spiky("p99", 200, 3000).not("0.45 spikes a session"),
		delay("30 ± 0.1 ms", "p50", narrow(), 0.999, 250).closer(1.0001, 1.001, 1.01).not("an eighth of a memory length a session"),
		delay("lognormal σ = 0.5", "p90", lognormal(0.5), 0.995, 400).not("one memory length a session"),
		delay("lognormal σ = 1", "mean", lognormal(1), 0.97, 600).not("9 memory lengths a session"),
		delay("Pareto a = 1.5", "mean", pareto(1.5), 0, 2000).not("infinite variance"),
		throughput(10, 10).not("one swing a session"),
	}
}
