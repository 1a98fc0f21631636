package estimate

import (
	"fmt"
	"math"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/quantity"
)

// Describe writes an estimate for people:
// "0.43 % (0.23 % to 0.74 %, 95 %; 13 of 3 000 packets)".
func Describe(e netp.Estimate) string {
	if e.Confidence == 1 && e.Low == e.High && !e.OpenLow && !e.OpenHigh {
		return quantity.Format(e.Point, e.Unit)
	}
	text := figure(e, e.Point) + " (" + bounds(e)
	if e.Confidence < 1 {
		text += ", " + quantity.Format(e.Confidence, "1")
	}
	if e.Uncertainty > 0 {
		text += ", clock ± " + quantity.Format(e.Uncertainty, e.Unit)
	}
	if samples := samplesOf(e); samples != "" {
		text += "; " + samples
	}
	return text + ")"
}

func bounds(e netp.Estimate) string {
	switch {
	case e.OpenLow && e.OpenHigh:
		return "no bounds"
	case e.OpenLow:
		return "at most " + figure(e, e.High)
	case e.OpenHigh:
		return "at least " + figure(e, e.Low)
	}
	return figure(e, e.Low) + " to " + figure(e, e.High)
}

// figure writes one of an estimate's figures with the digits its interval supports.
func figure(e netp.Estimate, v float64) string {
	if v == 0 {
		return quantity.Format(0, e.Unit)
	}
	margin := math.Max(e.High-e.Point, e.Point-e.Low)
	return quantity.Precise(v, margin/4, e.Unit)
}

func samplesOf(e netp.Estimate) string {
	if e.Samples == 0 || e.Method == MethodExact {
		return ""
	}
	n := quantity.Count(e.Samples) + " " + basisOf(e)
	if e.Method == MethodClopperPearson {
		events := uint64(math.Round(e.Point * float64(e.Samples)))
		n = fmt.Sprintf("%s of %s", quantity.Count(events), n)
	}
	if dependent(e) {
		n += fmt.Sprintf(", only about %s of them independent", quantity.Count(uint64(max(1, math.Round(e.Effective)))))
	}
	return n
}

// handful is how few independent samples leave any bounds far from the point.
const handful = 10

// dependent reports whether the samples depend on each other so much that they bound little: why bounds may be absurdly wide.
func dependent(e netp.Estimate) bool {
	return e.Effective > 0 && 2*e.Effective < float64(e.Samples) && (e.Effective < handful || openTail(e) > 1)
}

// basisOf is what the samples are, for people.
func basisOf(e netp.Estimate) string {
	if e.Basis == "" {
		return "samples"
	}
	return string(e.Basis)
}
