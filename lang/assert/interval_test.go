package assert

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestCompareIsSureOrUnknown(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		a    interval
		op   string
		b    interval
		want truth
	}{
		{interval{1, 2}, "==", interval{1, 2}, unknown}, // the same bounds, not the same number
		{interval{1, 2}, "!=", interval{1, 2}, unknown},
		{exactly(2), "==", exactly(2), yes},
		{interval{1, 2}, "==", exactly(2), unknown},
		{interval{1, 2}, "==", interval{3, 4}, no},
		{interval{1, 2}, "<", exactly(2), unknown},
		{interval{1, 2}, "<=", exactly(2), yes},
		{interval{2, 3}, "<", exactly(2), no},
		{interval{2, 3}, "<=", exactly(2), unknown},
		{interval{2, inf}, ">=", exactly(2), yes},
		{interval{2, inf}, "<", exactly(1e300), unknown},
		{anyNumber, "==", anyNumber, unknown},
		{exactly(math.NaN()), "==", exactly(math.NaN()), unknown},
		{exactly(math.NaN()), "<", exactly(1), unknown},
	} {
		if got := compare(c.op, c.a, c.b); got != c.want {
			t.Errorf("%v %s %v: got %d, want %d", c.a, c.op, c.b, got, c.want)
		}
	}
}

func TestArithmeticWithOpenSides(t *testing.T) {
	inf := math.Inf(1)
	for name, c := range map[string]struct{ got, want interval }{
		"sum":                    {interval{-inf, 2}.add(interval{1, inf}), anyNumber},
		"difference":             {interval{1, inf}.sub(interval{1, inf}), anyNumber},
		"zero times anything":    {exactly(0).mul(anyNumber), exactly(0)},
		"mixed signs":            {interval{-2, 3}.mul(interval{-5, 4}), interval{-15, 12}},
		"over zero":              {exactly(1).div(interval{-1, 1}), anyNumber},
		"over an end at zero":    {exactly(1).div(interval{0, 1}), anyNumber},
		"over an open side":      {exactly(1).div(interval{2, inf}), interval{0, 0.5}},
		"open over open":         {interval{1, inf}.div(interval{1, inf}), anyNumber},
		"remainder of positives": {interval{0, 10}.mod(exactly(3)), interval{0, 3}},
		"abs over zero":          {interval{-3, 2}.abs(), interval{0, 3}},
	} {
		if c.got.low != c.want.low || c.got.high != c.want.high {
			t.Errorf("%s: got %v, want %v", name, c.got, c.want)
		}
	}
}

// TestPowersHoldTheirPoints: what a power or logarithm over an interval is at a point in it lies within.
func TestPowersHoldTheirPoints(t *testing.T) {
	bounded := 0
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string) (interval, float64) {
			low := float64(rapid.IntRange(-12, 12).Draw(t, name)) / 4
			high := low + float64(rapid.IntRange(0, 8).Draw(t, name+" width"))/4
			return interval{low, high}, low + (high-low)*rapid.Float64Range(0, 1).Draw(t, name+" point")
		}
		a, x := pick("a")
		b, y := pick("b")
		for name, c := range map[string]struct {
			over interval
			at   float64
		}{"pow": {a.pow(b), math.Pow(x, y)}, "log": {a.log(b), math.Log(x) / math.Log(y)}} {
			if c.over != anyNumber {
				bounded++
			}
			slack := 1e-12 * math.Min(math.Abs(c.at), math.MaxFloat64)
			if c.over != anyNumber && !(c.over.low-slack <= c.at && c.at <= c.over.high+slack) {
				t.Fatalf("%s(%v, %v) is %v, but %g at %g and %g", name, a, b, c.over, c.at, x, y)
			}
		}
	})
	if bounded == 0 {
		t.Error("nothing had bounds")
	}
}
