// Package estimate turns the raw material of one metric into a point and an
// interval at a confidence. It holds the statistics and nothing else: it knows no
// conditions and gives no verdicts.
//
// Start with Of. The method of each shape is in a file of its own: ratio.go,
// quantile.go, mean.go; dispersion.go is what they share, the widening for samples
// that depend on their neighbours. power.go answers the reverse question, how many
// samples a bound needs. docs/judgement.md explains the methods in words and holds
// the measured error rates.
package estimate

import (
	"fmt"
	"math"

	"github.com/netpupper/netp"
)

// NoDataError says that a measurement holds nothing to estimate from.
type NoDataError struct {
	Metric string
	Reason string // a full sentence for people
}

// Error implements error.
func (e *NoDataError) Error() string { return e.Metric + ": " + e.Reason }

// The methods that Estimate.Method names.
const (
	MethodExact           = "exact"            // a fact of the session
	MethodClopperPearson  = "clopper-pearson"  // ratios
	MethodOrderStatistics = "order-statistics" // quantiles
	MethodBatchMeans      = "batch-means"      // means, standard deviations
)

// Of estimates one metric, named as written in a condition ("loss.ratio",
// "delay.p99"), from its measurement. member is the figure of a distribution, as
// netp.FindMetric gives it. The interval is two-sided: at confidence c each side
// is wrong with a probability of at most (1−c)/2. Counts and values are facts of
// the session, so are count, min and max of a distribution: their interval is the
// point and their confidence 1. The measurement's Uncertainty widens every member
// but stddev and count.
//
// A *NoDataError says that there is nothing to estimate from; any other error is
// a misuse (confidence out of (0, 1), a member that does not exist). The unit is
// given with either.
func Of(metric string, spec netp.MetricSpec, member string, m netp.Measurement, confidence float64) (netp.Estimate, error) {
	if !(confidence > 0 && confidence < 1) {
		return netp.Estimate{}, fmt.Errorf("estimate %s: confidence %g is not between 0 and 1", metric, confidence)
	}
	e := netp.Estimate{Metric: metric, Unit: spec.Unit, Basis: spec.Basis, Confidence: confidence}
	var err error
	switch spec.Shape {
	case netp.RatioShape:
		e, err = ofRatio(e, m.Ratio)
	case netp.DistributionShape:
		e, err = ofDistribution(e, member, m.Distribution)
	case netp.CountShape, netp.ValueShape:
		e, err = ofValue(e, m.Value)
	default:
		err = fmt.Errorf("estimate %s: unknown shape %q", metric, spec.Shape)
	}
	if err != nil {
		return netp.Estimate{Unit: e.Unit}, err
	}
	if math.IsNaN(e.Point) || math.IsInf(e.Point, 0) {
		return netp.Estimate{Unit: e.Unit}, &NoDataError{metric, "What the session delivered is beyond every number, so the agent that measured it is at fault."}
	}
	if member != "stddev" && member != "count" {
		e = open(widen(e, m.Uncertainty))
	}
	if !spec.OneWay && e.Point >= 0 && !e.OpenLow {
		e.Low = max(e.Low, 0) // nothing but a difference of two clocks is negative
	}
	return e, nil
}

func ofValue(e netp.Estimate, v *float64) (netp.Estimate, error) {
	if v == nil || math.IsNaN(*v) || math.IsInf(*v, 0) {
		return e, &NoDataError{e.Metric, "The session produced no value."}
	}
	e.Samples = 1
	return exact(e, *v), nil
}

func ofDistribution(e netp.Estimate, member string, d *netp.Distribution) (netp.Estimate, error) {
	if d == nil || d.All == nil || d.All.Count() == 0 {
		if member == "count" && d != nil {
			return countOf(e, d), nil
		}
		return e, &NoDataError{e.Metric, "The session produced no samples."}
	}
	e.Samples = d.All.Count()
	e.Point = d.Member(member)
	if q, ok := netp.QuantileOf(member); ok {
		return ofQuantile(e, d, q), nil
	}
	switch member {
	case "count":
		return countOf(e, d), nil
	case "min", "max":
		return exact(e, e.Point), nil
	case "mean":
		return ofMean(e, d), nil
	case "stddev":
		return ofStdDev(e, d)
	}
	return e, fmt.Errorf("estimate %s: a distribution has no member %q", e.Metric, member)
}

// countOf is the number of samples, which has a unit of its own.
func countOf(e netp.Estimate, d *netp.Distribution) netp.Estimate {
	e.Unit = string(e.Basis)
	return exact(e, d.Member("count"))
}

// exact makes an estimate of a figure that is a fact of the session.
func exact(e netp.Estimate, v float64) netp.Estimate {
	e.Point, e.Low, e.High = v, v, v
	e.Confidence, e.Method = 1, MethodExact
	return e
}

// open gives up the bounds that are not finite: the side is open and repeats the point.
func open(e netp.Estimate) netp.Estimate {
	if math.IsInf(e.Low, 0) || math.IsNaN(e.Low) {
		e.Low, e.OpenLow = e.Point, true
	}
	if math.IsInf(e.High, 0) || math.IsNaN(e.High) {
		e.High, e.OpenHigh = e.Point, true
	}
	return e
}

// widen adds a systematic error bound to both sides. The point stays. A bound that
// is none (infinite, not a number, negative) leaves both sides open.
func widen(e netp.Estimate, by float64) netp.Estimate {
	if by == 0 {
		return e
	}
	if !(by > 0) || math.IsInf(by, 0) {
		e.Low, e.High, e.OpenLow, e.OpenHigh = e.Point, e.Point, true, true
		return e
	}
	e.Uncertainty = by
	if !e.OpenLow {
		e.Low -= by
	}
	if !e.OpenHigh {
		e.High += by
	}
	return e
}
