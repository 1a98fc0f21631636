package assert

import "math"

// interval is a closed set of numbers; an infinite end is an open side. Every
// operation returns an interval that holds the operation's result for each choice
// of operands: float64 operations round monotonically, so the ends suffice.
type interval struct{ low, high float64 }

var anyNumber = interval{math.Inf(-1), math.Inf(1)}

func exactly(v float64) interval {
	if math.IsNaN(v) {
		return anyNumber
	}
	return interval{v, v}
}

func (a interval) point() bool { return a.low == a.high && !math.IsInf(a.low, 0) }

// span is the smallest interval around the given numbers; anything when one of
// them is undefined (∞ − ∞, 0 · ∞).
func span(v ...float64) interval {
	out := interval{v[0], v[0]}
	for _, x := range v {
		if math.IsNaN(x) {
			return anyNumber
		}
		out.low, out.high = math.Min(out.low, x), math.Max(out.high, x)
	}
	return out
}

func hull(a, b interval) interval { return span(a.low, a.high, b.low, b.high) }

func (a interval) neg() interval           { return interval{-a.high, -a.low} }
func (a interval) add(b interval) interval { return ends(a.low+b.low, a.high+b.high) }
func (a interval) sub(b interval) interval { return a.add(b.neg()) }

// ends makes an interval of a lower and an upper end; an undefined end is open.
func ends(low, high float64) interval {
	if math.IsNaN(low) {
		low = math.Inf(-1)
	}
	if math.IsNaN(high) {
		high = math.Inf(1)
	}
	return interval{low, high}
}

func (a interval) mul(b interval) interval {
	return span(product(a.low, b.low), product(a.low, b.high), product(a.high, b.low), product(a.high, b.high))
}

// product takes an infinite end for what it is, a number without bound: zero times
// it is zero.
func product(a, b float64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	return a * b
}

// div is unbounded when the divisor may be zero.
func (a interval) div(b interval) interval {
	if b.low <= 0 && b.high >= 0 {
		return anyNumber
	}
	return span(quotient(a.low, b.low), quotient(a.low, b.high), quotient(a.high, b.low), quotient(a.high, b.high))
}

// quotient takes an infinite divisor for a number without bound.
func quotient(a, b float64) float64 {
	if math.IsInf(b, 0) {
		if math.IsInf(a, 0) {
			return math.NaN()
		}
		return 0
	}
	return a / b
}

// mod is the remainder with the sign of the dividend, as the language has it.
func (a interval) mod(b interval) interval {
	if a.point() && b.point() && b.low != 0 {
		return exactly(math.Mod(a.low, b.low))
	}
	if b.low <= 0 && b.high >= 0 {
		return anyNumber
	}
	size := math.Max(math.Abs(b.low), math.Abs(b.high))
	out := interval{-size, size}
	if a.low >= 0 {
		out.low = 0
	}
	if a.high <= 0 {
		out.high = 0
	}
	return out
}

func (a interval) abs() interval {
	low, high := math.Abs(a.low), math.Abs(a.high)
	if a.low <= 0 && a.high >= 0 {
		return interval{0, math.Max(low, high)}
	}
	return span(low, high)
}

// monotone applies a function that never falls, or never rises.
func (a interval) monotone(f func(float64) float64) interval { return span(f(a.low), f(a.high)) }

// pow is a to the power of b; anything where it is neither a known power nor that of a known base, or not defined everywhere.
func (a interval) pow(b interval) interval {
	raised := func(v float64) float64 { return math.Pow(v, b.low) }
	whole := b.low == math.Trunc(b.low)
	switch {
	case a.point() && a.low > 0:
		return b.monotone(func(v float64) float64 { return math.Pow(a.low, v) })
	case !b.point(), a.low < 0 && (!whole || b.low < 0):
		return anyNumber
	case a.low < 0 && math.Mod(b.low, 2) == 0:
		return a.abs().monotone(raised)
	}
	return a.monotone(raised)
}

// log is the logarithm to a known base; anything where it is not defined everywhere.
func (a interval) log(base interval) interval {
	if !base.point() || !(base.low > 0) || base.low == 1 || a.low < 0 {
		return anyNumber
	}
	return a.monotone(func(v float64) float64 { return math.Log(v) / math.Log(base.low) })
}

func least(a, b interval) interval {
	return interval{math.Min(a.low, b.low), math.Min(a.high, b.high)}
}

func greatest(a, b interval) interval {
	return interval{math.Max(a.low, b.low), math.Max(a.high, b.high)}
}

// truth is the answer of a condition.
type truth int8

const (
	unknown truth = iota
	yes
	no
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

func (t truth) not() truth {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func (t truth) and(u truth) truth {
	switch {
	case t == no || u == no:
		return no
	case t == yes && u == yes:
		return yes
	}
	return unknown
}

func (t truth) or(u truth) truth { return t.not().and(u.not()).not() }

// compare answers a comparison that holds or fails for all choices of operands.
func compare(op string, a, b interval) truth {
	switch op {
	case "<":
		return decide(a.high < b.low, a.low >= b.high)
	case "<=":
		return decide(a.high <= b.low, a.low > b.high)
	case ">":
		return compare("<", b, a)
	case ">=":
		return compare("<=", b, a)
	case "==":
		return decide(a.point() && a == b, a.high < b.low || b.high < a.low)
	case "!=":
		return compare("==", a, b).not()
	}
	return unknown
}

func decide(always, never bool) truth {
	switch {
	case always:
		return yes
	case never:
		return no
	}
	return unknown
}
