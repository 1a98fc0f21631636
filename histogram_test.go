package netp_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpupper/netp"
)

// samples draws values of all magnitudes and both signs.
func samples() *rapid.Generator[[]int64] {
	value := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-2000, 2000), rapid.Int64Range(29_900_000, 30_100_000))
	return rapid.SliceOfN(value, 1, 300)
}

func histogramOf(values []int64) *netp.Histogram {
	h := new(netp.Histogram)
	for _, v := range values {
		h.Record(v)
	}
	return h
}

func TestHistogramRanksAreWithinTheirBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := samples().Draw(t, "values")
		h := histogramOf(values)
		slices.Sort(values)
		for k, want := range values {
			low, high := h.RankBounds(uint64(k + 1))
			if want < low || want > high {
				t.Fatalf("rank %d of %v: %d is not within [%d, %d]", k+1, values, want, low, high)
			}
			got := h.Rank(uint64(k + 1))
			if off := math.Abs(float64(got) - float64(want)); off > math.Max(0.5, math.Abs(float64(want))/512) {
				t.Fatalf("rank %d: got %d, want %d", k+1, got, want)
			}
			if want > -1024 && want < 1024 && got != want {
				t.Fatalf("rank %d: got %d, small values are exact: %d", k+1, got, want)
			}
		}
		if h.Min() != values[0] || h.Max() != values[len(values)-1] || h.Count() != uint64(len(values)) {
			t.Fatalf("min %d max %d count %d of %v", h.Min(), h.Max(), h.Count(), values)
		}
	})
}

func TestHistogramRanksRise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogramOf(samples().Draw(t, "values"))
		last := int64(math.MinInt64)
		for k := uint64(0); k <= h.Count()+1; k++ {
			v := h.Rank(k)
			if v < last || v < h.Min() || v > h.Max() {
				t.Fatalf("rank %d is %d after %d, within [%d, %d]", k, v, last, h.Min(), h.Max())
			}
			last = v
		}
	})
}

func near(t interface{ Fatalf(string, ...any) }, what string, got, want, scale float64) {
	if math.IsNaN(got) && math.IsNaN(want) {
		return
	}
	if !(math.Abs(got-want) <= 1e-6*scale+1e-9) {
		t.Fatalf("%s: got %g, want %g", what, got, want)
	}
}

func TestHistogramMomentsOfNarrowSeries(t *testing.T) {
	h := new(netp.Histogram)
	for i := range int64(1001) {
		h.Record(1_000_000_000_000_000 + i)
	}
	near(t, "stddev", h.StdDev(), math.Sqrt(1001*1002/12.), 1e-3)
}

func TestHistogramSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := histogramOf(samples().Draw(t, "values"))
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var back netp.Histogram
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := json.Marshal(&back)
		if err != nil || string(again) != string(text) {
			t.Fatalf("got %s (%v), want %s", again, err, text)
		}
		if back.StdDev() != h.StdDev() && !math.IsNaN(h.StdDev()) {
			t.Fatalf("stddev: got %g, want %g", back.StdDev(), h.StdDev())
		}
	})
}

func TestHistogramRefusesContradictions(t *testing.T) {
	for name, text := range map[string]string{
		"fewer in buckets":   `{"count":3,"min":1,"max":2,"buckets":[[1,1],[2,1]]}`,
		"more in buckets":    `{"count":1,"min":1,"max":2,"buckets":[[1,1],[2,1]]}`,
		"negative count":     `{"count":1,"min":1,"max":2,"buckets":[[1,-1],[2,2]]}`,
		"minimum above":      `{"count":1,"min":3,"max":2,"buckets":[[2,1]]}`,
		"counts that wrap":   `{"count":18446744073709551615,"min":1,"max":2,"buckets":[[1,9223372036854775807],[2,9223372036854775807],[3,9]]}`,
		"not even histogram": `[]`,
	} {
		var h netp.Histogram
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("%s: %s was accepted", name, text)
		}
	}
}
