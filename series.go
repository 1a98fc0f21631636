package netp

import (
	"math"
	"math/bits"
)

// maxBatches bounds every series: at the bound neighbours are joined and the
// batch length doubles, so a series needs no knowledge of how long it will be.
const maxBatches = 128

// Distribution is what is kept of a stream of samples: a histogram of all, and a
// coarse histogram per batch of consecutive samples, from which the estimates
// learn how strongly neighbours depend on each other.
type Distribution struct {
	// Resolution is one unit of a sample in SI: 1e-9 for nanoseconds [s].
	Resolution float64    `json:"resolution"`
	All        *Histogram `json:"all"`
	// BatchLength is the number of samples per batch; the last may be shorter.
	BatchLength uint64       `json:"batch_length"`
	Batches     []*Histogram `json:"batches,omitempty"`
}

// firstBatch is the batch length a distribution starts with.
const firstBatch = 8

// NewDistribution makes an empty distribution of samples that are multiples of
// resolution in SI units.
func NewDistribution(resolution float64) *Distribution {
	return &Distribution{Resolution: resolution, All: new(Histogram), BatchLength: firstBatch}
}

// Record adds the next sample in time order.
func (d *Distribution) Record(v int64) {
	if d.All.count%d.BatchLength == 0 {
		d.nextBatch()
	}
	d.All.Record(v)
	d.Batches[len(d.Batches)-1].Record(coarse(v))
}

func (d *Distribution) nextBatch() {
	if len(d.Batches) == maxBatches {
		for i := range maxBatches / 2 {
			d.Batches[i] = d.Batches[2*i]
			d.Batches[i].Merge(d.Batches[2*i+1])
		}
		d.Batches = d.Batches[:maxBatches/2]
		d.BatchLength *= 2
	}
	d.Batches = append(d.Batches, new(Histogram))
}

// coarse drops all but the five leading bits, which keeps batches small: a batch
// knows a value within 1/32 of itself.
func coarse(v int64) int64 {
	u := v
	if v < 0 {
		u = -1 - v
	}
	drop := max(0, 64-5-bits.LeadingZeros64(uint64(u)))
	u = u >> drop << drop
	if v < 0 {
		return -1 - u
	}
	return u
}

// Member is the point figure of a distribution member in SI units; NaN when the
// distribution is empty or has no such member.
func (d *Distribution) Member(name string) float64 {
	if d == nil || d.All.Count() == 0 {
		if name == "count" {
			return 0
		}
		return math.NaN()
	}
	switch name {
	case "min":
		return float64(d.All.Min()) * d.Resolution
	case "max":
		return float64(d.All.Max()) * d.Resolution
	case "mean":
		return d.All.Mean() * d.Resolution
	case "stddev":
		return d.All.StdDev() * d.Resolution
	case "count":
		return float64(d.All.Count())
	}
	if q, ok := QuantileOf(name); ok {
		return float64(d.All.Quantile(q)) * d.Resolution
	}
	return math.NaN()
}

// QuantileOf gives the share a quantile member stands for: "p99" is 0.99.
func QuantileOf(member string) (float64, bool) {
	switch member {
	case "p50":
		return 0.5, true
	case "p90":
		return 0.9, true
	case "p95":
		return 0.95, true
	case "p99":
		return 0.99, true
	case "p999":
		return 0.999, true
	}
	return 0, false
}

// Ratio is a number of events among trials, with the events of consecutive
// batches of trials, from which the estimates learn how bursty they come.
type Ratio struct {
	Events uint64 `json:"events"`
	Trials uint64 `json:"trials"`
	// BatchLength is the number of trials per batch; the last may be shorter.
	BatchLength uint64   `json:"batch_length,omitempty"`
	Batches     []uint64 `json:"batches,omitempty"`
}

// Value is the share of events; NaN without trials.
func (r *Ratio) Value() float64 {
	if r == nil || r.Trials == 0 {
		return math.NaN()
	}
	return float64(r.Events) / float64(r.Trials)
}

// Tally counts which of a sequence of trials had an event, in any order. The
// zero value is ready.
type Tally struct {
	length  uint64
	batches []uint64
	total   uint64
}

// Hit notes an event at trial i, counted from 0.
func (t *Tally) Hit(i uint64) {
	if t.length == 0 {
		t.length = firstBatch
	}
	for i/t.length >= maxBatches {
		t.join()
	}
	b := int(i / t.length)
	for len(t.batches) <= b {
		t.batches = append(t.batches, 0)
	}
	t.batches[b]++
	t.total++
}

func (t *Tally) join() {
	half := (len(t.batches) + 1) / 2
	for i := range half {
		n := t.batches[2*i]
		if 2*i+1 < len(t.batches) {
			n += t.batches[2*i+1]
		}
		t.batches[i] = n
	}
	t.batches = t.batches[:half]
	t.length *= 2
}

// Total is the number of events noted.
func (t *Tally) Total() uint64 { return t.total }

// Hits gives the events as a Ratio of trials.
func (t *Tally) Hits(trials uint64) *Ratio { return t.ratio(trials, false) }

// Misses gives the trials without an event as a Ratio of trials: losses, when
// the events are arrivals.
func (t *Tally) Misses(trials uint64) *Ratio { return t.ratio(trials, true) }

func (t *Tally) ratio(trials uint64, missed bool) *Ratio {
	if t.length == 0 {
		t.length = firstBatch
	}
	for trials > t.length*maxBatches {
		t.join()
	}
	r := &Ratio{Trials: trials, BatchLength: t.length}
	for start := uint64(0); start < trials; start += t.length {
		var n uint64
		if b := int(start / t.length); b < len(t.batches) {
			n = t.batches[b]
		}
		if missed {
			n = min(t.length, trials-start) - min(n, t.length, trials-start)
		}
		r.Batches = append(r.Batches, n)
		r.Events += n
	}
	return r
}
