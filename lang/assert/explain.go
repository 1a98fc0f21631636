package assert

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/estimate"
	"github.com/netpupper/netp/quantity"
)

// explain says why a verdict is what it is, and what would settle an open one.
func explain(s netp.Status, comparisons []comparison, g gathered, undefined string) (reason, settle string) {
	wanted := map[netp.Status]truth{netp.Pass: yes, netp.Fail: no, netp.Inconclusive: unknown}[s]
	var reasons, remedies []string
	for _, c := range comparisons {
		e, ok := g.find(c.limit.Metric)
		if !ok || c.truth != wanted {
			continue
		}
		reasons = append(reasons, sentence(c, e))
		if text := remedy(c, e); s == netp.Inconclusive && text != "" {
			remedies = append(remedies, text)
		}
	}
	if s == netp.Inconclusive {
		reasons = append(noData(g), reasons...)
		if undefined != "" {
			reasons = append(reasons, undefined)
		}
	}
	if len(reasons) == 0 {
		reasons = general(s, g)
	}
	return strings.Join(reasons, " "), strings.Join(remedies, " ")
}

// noData says which metrics there is nothing on.
func noData(g gathered) []string {
	var out []string
	for _, m := range g.missing {
		var none *estimate.NoDataError
		if errors.As(m.err, &none) {
			out = append(out, fmt.Sprintf("No data for %s: %s", m.metric, none.Reason))
		} else {
			out = append(out, fmt.Sprintf("No data for %s: %s", m.metric, m.err))
		}
	}
	return out
}

// general explains a condition that is not made of plain comparisons.
func general(s netp.Status, g gathered) []string {
	var values []string
	for _, e := range g.estimates {
		values = append(values, e.Metric+" "+estimate.Describe(e))
	}
	what := map[netp.Status]string{
		netp.Pass:         "The condition holds for every value the intervals allow",
		netp.Fail:         "The condition fails for every value the intervals allow",
		netp.Inconclusive: "The condition holds for some values the intervals allow and fails for others",
	}[s]
	return []string{what + ": " + strings.Join(values, ", ") + "."}
}

// sentence says on which side of the limit a comparison's interval lies. The
// figures themselves are the judgement's estimates and limits.
func sentence(c comparison, e netp.Estimate) string {
	text := e.Metric + " "
	i := boundsOf(e)
	switch {
	case i.low > c.limit.Value:
		text += "is above the limit by at least " + difference(i.low-c.limit.Value, e.Unit)
	case i.high < c.limit.Value:
		text += "is below the limit by at least " + difference(c.limit.Value-i.high, e.Unit)
	case c.truth == unknown && e.OpenHigh && e.OpenLow && e.Samples < estimate.QuantileNeeded(0.5, e.Confidence):
		text += "has no bounds: there are too few samples"
	case c.truth == unknown && e.OpenHigh && e.OpenLow:
		text += "has no bounds: the samples depend on each other too much"
	case c.truth == unknown && e.OpenHigh && e.Point <= c.limit.Value:
		text += "has no upper bound: there are too few independent samples"
	case c.truth == unknown && e.OpenLow && e.Point >= c.limit.Value:
		text += "has no lower bound: there are too few independent samples"
	case c.truth == unknown:
		text += "may lie on either side of the limit"
	case i.point():
		text += "is exactly on the limit"
	case i.high == c.limit.Value:
		text += "is at most the limit"
	default:
		text += "is at least the limit"
	}
	if s := burstNote(c, e); s != "" {
		text += "; this " + s
	}
	return text + "."
}

// burstNote says up to which length of bursts a ratio that saw one outcome only is
// known: bursts that are rarer and longer can hide altogether.
func burstNote(c comparison, e netp.Estimate) string {
	if c.truth != yes || e.Method != estimate.MethodClopperPearson {
		return ""
	}
	var length float64
	switch {
	case e.Point == 0 && e.High > 0 && e.High <= c.limit.Value:
		length = math.Floor(c.limit.Value / e.High)
	case e.Point == 1 && e.Low < 1 && e.Low >= c.limit.Value:
		length = math.Floor((1 - c.limit.Value) / (1 - e.Low))
	default:
		return ""
	}
	if length < 2 {
		return "holds for single events, not for bursts"
	}
	return fmt.Sprintf("holds for bursts of up to %s %s on average", quantity.Format(length, ""), e.Basis)
}

// difference is the least distance: of shares in percentage points.
func difference(v float64, unit string) string {
	v = roundedDown(v)
	if unit == "1" {
		number, _ := quantity.Split(v, unit, 2)
		return number + " points"
	}
	number, name := quantity.Split(v, unit, 2)
	return strings.TrimSpace(number + " " + name)
}

// remedy says what would decide a comparison.
func remedy(c comparison, e netp.Estimate) string {
	r := estimate.Settle(e, c.limit.Value)
	switch {
	case r.Uncertainty > 0:
		return "Would be decided by a clock bound under " + quantity.Format(roundedDown(r.Uncertainty), e.Unit) + "."
	case r.Factor > 1e6:
		return fmt.Sprintf("%s lies so close to the limit that no practical number of %s decides it.", e.Metric, e.Basis)
	case r.Factor > 0:
		r.Factor = math.Max(r.Factor, 2) // what little is missing now may be missing again
		does := "decided"
		if r.Bounds {
			does = "bounded"
		}
		return fmt.Sprintf("Would be %s by about %s × as many %s (≈ %s).", does, quantity.Format(math.Ceil(r.Factor*10)/10, ""), e.Basis, atLeast(r.Factor*float64(e.Samples)))
	case e.Point == c.limit.Value:
		return fmt.Sprintf("%s lies on the limit; only a limit further away can be decided.", e.Metric)
	case e.Uncertainty > 0:
		return "Needs a better clock and more " + string(e.Basis) + "."
	}
	return ""
}

// roundedDown keeps two digits of a positive figure, never above what it is; what is short of the next by rounding alone counts as it.
func roundedDown(v float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(v))-1)
	return math.Floor(v/step*(1+1e-9)) * step
}

// atLeast rounds a number of samples up to two digits.
func atLeast(n float64) string {
	step := math.Pow(10, math.Max(0, math.Floor(math.Log10(math.Max(n, 1)))-1))
	return quantity.Count(uint64(math.Ceil(n/step) * step))
}
