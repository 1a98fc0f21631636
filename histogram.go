package netp

import (
	"encoding/json"
	"fmt"
	"math"
	"math/bits"
)

// subBits sets the resolution of a Histogram: within a power of two there are 2^subBits buckets, so a value is known within 1/1024 of
// itself. They come in parts of 2^partBits, so that few samples need little memory, wherever they lie.
const (
	subBits  = 9
	partBits = 4
)

// octave holds the buckets of a power of two.
type octave [1 << (subBits - partBits)]*[1 << partBits]uint64

// Histogram counts signed integer samples in logarithmic buckets. Its relative error is at most 2^-10 (values up to 1023 are exact), its
// size is bounded by the number of powers of two touched (4.3 KiB each at most), and it merges without loss. Min, max, sum and sum of squares
// are exact apart from float64 rounding. The zero value is empty and ready; it is not safe for concurrent use.
type Histogram struct {
	count    uint64
	min, max int64
	sum, sqr float64 // of the distances from shift, and of their squares
	shift    int64   // the first sample: keeps mean and variance exact for narrow series
	positive [64]*octave
	negative [64]*octave // of -1-v, so that every int64 has a place
}

// Record adds one sample. It allocates only when a 32nd of a power of two is seen first.
func (h *Histogram) Record(v int64) { h.RecordN(v, 1) }

// RecordN adds n equal samples.
func (h *Histogram) RecordN(v int64, n uint64) {
	if n == 0 {
		return
	}
	if h.count == 0 {
		h.min, h.max, h.shift = v, v, v
	}
	h.min, h.max = min(h.min, v), max(h.max, v)
	h.count += n
	d := distance(v, h.shift)
	h.sum += d * float64(n)
	h.sqr += d * d * float64(n)
	h.add(v, n)
}

// distance is v − from, rounded only if it has no place in an int64.
func distance(v, from int64) float64 {
	if d := v - from; (d < 0) == (v < from) {
		return float64(d)
	}
	return float64(v) - float64(from)
}

func (h *Histogram) add(v int64, n uint64) {
	side, u := &h.positive, uint64(v)
	if v < 0 {
		side, u = &h.negative, uint64(-1-v)
	}
	exp, sub := slot(u)
	if side[exp] == nil {
		side[exp] = new(octave)
	}
	part := &side[exp][sub>>partBits]
	if *part == nil {
		*part = new([1 << partBits]uint64)
	}
	(*part)[sub&(1<<partBits-1)] += n
}

// at is the count of a bucket.
func (o *octave) at(sub int) uint64 {
	part := o[sub>>partBits]
	if part == nil {
		return 0
	}
	return part[sub&(1<<partBits-1)]
}

// slot gives the power-of-two chunk and the bucket within it of u.
func slot(u uint64) (exp, sub int) {
	n := bits.Len64(u)
	if n <= subBits {
		return 0, int(u)
	}
	exp = n - subBits
	return exp, int(u>>(exp-1)) & (1<<subBits - 1)
}

// bounds gives the smallest and largest u of a bucket.
func bounds(exp, sub int) (low, high uint64) {
	if exp == 0 {
		return uint64(sub), uint64(sub)
	}
	low = (1<<subBits + uint64(sub)) << (exp - 1)
	return low, low + (1 << (exp - 1)) - 1
}

// Bucket is one non-empty bucket: Count samples from Low to High inclusive.
type Bucket struct {
	Low, High int64
	Count     uint64
}

// Buckets lists the non-empty buckets in ascending order.
func (h *Histogram) Buckets() []Bucket {
	var out []Bucket
	for exp := len(h.negative) - 1; exp >= 0; exp-- {
		if h.negative[exp] == nil {
			continue
		}
		for sub := 1<<subBits - 1; sub >= 0; sub-- {
			if n := h.negative[exp].at(sub); n > 0 {
				low, high := bounds(exp, sub)
				out = append(out, Bucket{-1 - int64(high), -1 - int64(low), n})
			}
		}
	}
	for exp, o := range h.positive {
		if o == nil {
			continue
		}
		for sub := range 1 << subBits {
			if n := o.at(sub); n > 0 {
				low, high := bounds(exp, sub)
				out = append(out, Bucket{int64(low), int64(high), n})
			}
		}
	}
	return out
}

// Count is the number of samples.
func (h *Histogram) Count() uint64 { return h.count }

// Min and Max are exact; 0 when empty.
func (h *Histogram) Min() int64 { return h.min }

// Max is the largest sample.
func (h *Histogram) Max() int64 { return h.max }

// Mean is the arithmetic mean; NaN when empty.
func (h *Histogram) Mean() float64 { return float64(h.shift) + h.sum/float64(h.count) }

// StdDev is the sample standard deviation; NaN with fewer than two samples.
func (h *Histogram) StdDev() float64 {
	n := float64(h.count)
	if h.count < 2 {
		return math.NaN()
	}
	d := h.sum / n
	return math.Sqrt(math.Max(0, (h.sqr-n*d*d)/(n-1)))
}

// Rank is the value of the k-th smallest sample, 1 ≤ k ≤ Count, as the middle of its bucket within [Min, Max]; k beyond the ends gives Min or Max.
func (h *Histogram) Rank(k uint64) int64 {
	low, high := h.RankBounds(k)
	return low + (high-low)/2
}

// RankBounds says between which values, inclusive, the k-th smallest sample lies.
func (h *Histogram) RankBounds(k uint64) (low, high int64) {
	if k <= 1 {
		return h.min, h.min
	}
	if k < h.count {
		var seen uint64
		for _, b := range h.Buckets() {
			if seen += b.Count; seen >= k {
				return max(b.Low, h.min), min(b.High, h.max)
			}
		}
	}
	return h.max, h.max
}

// Quantile is the smallest value with at least the share q of samples at or below it: rank ⌈q·n⌉. 0 when empty.
func (h *Histogram) Quantile(q float64) int64 {
	return h.Rank(uint64(math.Ceil(q * float64(h.count) * (1 - 1e-15))))
}

type histogramJSON struct {
	Count   uint64     `json:"count"`
	Min     int64      `json:"min"`
	Max     int64      `json:"max"`
	Sum     float64    `json:"sum"` // of sample − shift
	Squares float64    `json:"squares"`
	Shift   int64      `json:"shift"`
	Buckets [][2]int64 `json:"buckets"` // lowest value, count
}

// MarshalJSON writes the non-empty buckets; reading them back loses nothing.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	j := histogramJSON{h.count, h.min, h.max, h.sum, h.sqr, h.shift, [][2]int64{}}
	for _, b := range h.Buckets() {
		j.Buckets = append(j.Buckets, [2]int64{b.Low, int64(b.Count)})
	}
	return json.Marshal(j)
}

// UnmarshalJSON refuses a histogram whose buckets contradict its count.
func (h *Histogram) UnmarshalJSON(data []byte) error {
	var j histogramJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*h = Histogram{count: j.Count, min: j.Min, max: j.Max, sum: j.Sum, sqr: j.Squares, shift: j.Shift}
	var n uint64
	for _, b := range j.Buckets {
		if b[1] <= 0 || uint64(b[1]) > j.Count-n {
			return fmt.Errorf("histogram: bucket counts contradict the count %d", j.Count)
		}
		n += uint64(b[1])
		h.add(b[0], uint64(b[1]))
	}
	if n != j.Count || j.Min > j.Max {
		return fmt.Errorf("histogram: %d samples in buckets, %d counted", n, j.Count)
	}
	return nil
}
