// Package quantity writes figures in SI base units the way people read them:
// 0.0312 s as "31.2 ms", 0.0043 as "0.43 %", 938e6 bit/s as "938 Mbit/s". It
// reads nothing back; start with Format.
package quantity

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// scale is a printed unit worth Factor of the base unit.
type scale struct {
	name   string
	factor float64
}

// scales lists, per base unit, the printed units from small to large.
var scales = map[string][]scale{
	"s":     {{"ns", 1e-9}, {"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}},
	"bit/s": {{"bit/s", 1}, {"kbit/s", 1e3}, {"Mbit/s", 1e6}, {"Gbit/s", 1e9}, {"Tbit/s", 1e12}},
	"B":     {{"B", 1}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}},
	"pps":   {{"pps", 1}},
	"1":     {{"%", 0.01}},
}

// Format writes v with three significant digits: "31.2 ms", "0.43 %". The unit
// is a base unit (s, bit/s, B, 1 for a ratio) or a word that is appended as it is.
func Format(v float64, unit string) string {
	number, name := Split(v, unit, 3)
	return join(number, name)
}

// Exact writes v with all its digits, so that a figure that somebody wrote, such as a
// limit, reads as it was written and different ones never read the same.
func Exact(v float64, unit string) string {
	number, name := Split(v, unit, exactDigits)
	return join(number, name)
}

// exactDigits is how many decimal digits a float64 holds for certain.
const exactDigits = 15

// Duration writes a time with three significant digits, "11.5 ms", "90 s"; days of
// whole hours in hours, "168 h".
func Duration(d time.Duration) string {
	if d >= 24*time.Hour && d%time.Hour == 0 {
		return Format(d.Hours(), "h")
	}
	return Format(d.Seconds(), "s")
}

// Precise writes v with as many digits as resolution (a half width, in the base
// unit) supports.
func Precise(v, resolution float64, unit string) string {
	s := scaleFor(v, unit)
	return join(digits(v/s.factor, resolution/s.factor), s.name)
}

// Split writes the number with the given significant digits, and its unit. A share
// just below 1 gets as many more as tell what it lacks: 99.96 % is not all.
func Split(v float64, unit string, significant int) (number, name string) {
	s := scaleFor(v, unit)
	if unit == "1" && v < 1 {
		nines := int(math.Ceil(-math.Log10(1-v) - 1e-9))
		significant = max(significant, min(nines+1, exactDigits))
	}
	return significantDigits(v/s.factor, significant), s.name
}

// PlusMinus writes a symmetric interval: "31.2 ms ± 0.4".
func PlusMinus(v, half float64, unit string) string {
	s := scaleFor(v, unit)
	return join(digits(v/s.factor, half/s.factor), s.name) + " ± " + significantDigits(half/s.factor, 1)
}

// Interval writes a figure and between which it lies, the latter in the unit of the larger, with as many digits as tell them apart:
// "0.43 % 0.23–0.74", "31.24 ms 31.21–31.44".
func Interval(v, low, high float64, unit string) string {
	s := scaleFor(math.Max(math.Abs(low), math.Abs(high)), unit)
	digits := func(v float64) int { return 2 + magnitude(v) - magnitude(high-low) }
	end := func(v float64) string { return significantDigits(v/s.factor, max(2, digits(v))) }
	number, name := Split(v, unit, max(3, digits(v)))
	ends := end(low) + "–" + end(high)
	if name != s.name {
		ends = join(ends, s.name)
	}
	return join(number, name) + " " + ends
}

// Count writes a whole number with its thousands apart: "3 000".
func Count(n uint64) string {
	digits := strconv.FormatUint(n, 10)
	if len(digits) <= 3 {
		return digits
	}
	head := (len(digits)-1)%3 + 1
	parts := []string{digits[:head]}
	for i := head; i < len(digits); i += 3 {
		parts = append(parts, digits[i:i+3])
	}
	return strings.Join(parts, " ")
}

func scaleFor(v float64, unit string) scale {
	list := scales[unit]
	if len(list) == 0 {
		return scale{unit, 1}
	}
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return zeroScale(unit, list)
	}
	for i := len(list) - 1; i > 0; i-- {
		// A figure that rounds up to 1 of the next unit is written in that unit.
		if math.Abs(v) >= list[i].factor*0.9995 {
			return list[i]
		}
	}
	return list[0]
}

func zeroScale(unit string, list []scale) scale {
	if unit == "s" {
		return list[2]
	}
	return list[0]
}

// digits writes v so that its last digit is no finer than half's first.
func digits(v, half float64) string {
	if !(half > 0) || math.IsInf(half, 0) {
		return significantDigits(v, 3)
	}
	places := -int(math.Floor(math.Log10(half) + 1e-9))
	return fixed(v, min(max(places, 0), 9))
}

func significantDigits(v float64, n int) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strings.Replace(strconv.FormatFloat(v, 'f', -1, 64), "-0", "0", 1)
	}
	text := fixed(v, min(max(n-1-magnitude(v), 0), 12))
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// magnitude is the power of ten of the first digit of v; 0 when there is none.
func magnitude(v float64) int {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return int(math.Floor(math.Log10(math.Abs(v)) + 1e-12))
}

func fixed(v float64, places int) string {
	text := strconv.FormatFloat(v, 'f', places, 64)
	whole, _, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	if err != nil || len(whole) <= 4 {
		return text
	}
	return Count(n) + text[len(whole):]
}

func join(number, unit string) string {
	if unit == "" {
		return number
	}
	return number + " " + unit
}
