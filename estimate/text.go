package estimate

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/netpupper/netp"
)

// scale is a unit people read and what one of it is in SI.
type scale struct {
	name string
	size float64
}

// scales lists the readable units of an SI unit, smallest first.
func scales(unit string) []scale {
	switch unit {
	case "s":
		return []scale{{"ns", 1e-9}, {"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}}
	case "bit/s":
		return []scale{{"bit/s", 1}, {"kbit/s", 1e3}, {"Mbit/s", 1e6}, {"Gbit/s", 1e9}}
	case "B":
		return []scale{{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}}
	case "1":
		return []scale{{"%", 0.01}}
	}
	return []scale{{unit, 1}}
}

// scaleFor picks the largest unit that v has at least one of.
func scaleFor(v float64, unit string) scale {
	all := scales(unit)
	best := all[0]
	for _, s := range all {
		if math.Abs(v) >= s.size {
			best = s
		}
	}
	if v == 0 {
		best = all[len(all)-1]
	}
	return best
}

// Text writes a figure in SI for people: 0.0312 s is "31.2 ms", a share is in
// percent. It keeps three significant digits and never cuts a whole number.
func Text(v float64, unit string) string { return TextTo(v, 0, unit) }

// TextTo is Text with the digits that a figure known to ± margin deserves: two of
// the margin, at most six in all. A margin of 0 gives Text.
func TextTo(v, margin float64, unit string) string {
	s := scaleFor(v, unit)
	return strings.TrimSpace(digits(v/s.size, margin/s.size) + " " + s.name)
}

// digits writes v with the decimals that margin asks for.
func digits(v, margin float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	decimals := 2 - magnitude(v)
	if margin > 0 {
		decimals = min(1-magnitude(margin), 5-magnitude(v))
	}
	text := strconv.FormatFloat(v, 'f', max(0, min(decimals, 12)), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return grouped(text)
}

// magnitude is the decimal exponent of v: 0 for 1 to 9.99, -1 for 0.1; 2 for 0, so
// that zero has no decimals.
func magnitude(v float64) int {
	if v == 0 {
		return 2
	}
	return int(math.Floor(math.Log10(math.Abs(v)) + 1e-9))
}

// grouped sets a space between thousands from 1 000 on.
func grouped(text string) string {
	whole, rest, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	var b strings.Builder
	for i, r := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	out := sign + b.String()
	if rest != "" {
		out += "." + rest
	}
	return out
}

// Describe writes an estimate for people:
// "0.43 % (0.23 % to 0.74 %, 95 %; 13 of 3 000 packets)".
func Describe(e netp.Estimate) string {
	margin := margin(e)
	point := TextTo(e.Point, margin, e.Unit)
	if e.Confidence == 1 && e.Low == e.High && !e.OpenLow && !e.OpenHigh {
		return Text(e.Point, e.Unit)
	}
	var inside []string
	switch {
	case e.OpenLow && e.OpenHigh:
		inside = append(inside, "no bounds")
	case e.OpenLow:
		inside = append(inside, "at most "+TextTo(e.High, margin, e.Unit))
	case e.OpenHigh:
		inside = append(inside, "at least "+TextTo(e.Low, margin, e.Unit))
	default:
		inside = append(inside, TextTo(e.Low, margin, e.Unit)+" to "+TextTo(e.High, margin, e.Unit))
	}
	if e.Confidence < 1 {
		inside = append(inside, Text(e.Confidence, "1"))
	}
	if e.Uncertainty > 0 {
		inside = append(inside, "clock ± "+Text(e.Uncertainty, e.Unit))
	}
	text := point + " (" + strings.Join(inside, ", ")
	if samples := samplesOf(e); samples != "" {
		text += "; " + samples
	}
	return text + ")"
}

// margin is the half width of the interval, as far as it is bounded.
func margin(e netp.Estimate) float64 {
	switch {
	case e.OpenLow && e.OpenHigh:
		return 0
	case e.OpenLow:
		return e.High - e.Point
	case e.OpenHigh:
		return e.Point - e.Low
	}
	return (e.High - e.Low) / 2
}

func samplesOf(e netp.Estimate) string {
	if e.Samples == 0 || e.Method == MethodExact {
		return ""
	}
	basis := basisOf(e)
	n := grouped(strconv.FormatUint(e.Samples, 10))
	if e.Method == MethodClopperPearson {
		events := math.Round(e.Point * float64(e.Samples))
		return fmt.Sprintf("%s of %s %s", grouped(strconv.FormatFloat(events, 'f', 0, 64)), n, basis)
	}
	return n + " " + basis
}

func basisOf(e netp.Estimate) string {
	if e.Basis == "" {
		return "samples"
	}
	return string(e.Basis)
}
