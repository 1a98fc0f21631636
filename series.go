package netp

import (
	"math"
	"math/bits"
	"slices"
	"sort"
)

// maxBatches bounds every series: at the bound neighbours are joined and the batch length doubles, however long it will be.
const maxBatches = 128

// Distribution is what is kept of a stream of samples: a histogram of all, and a sketch of each batch, to learn how neighbours depend on each other.
type Distribution struct {
	// Resolution is one unit of a sample in SI: 1e-9 for nanoseconds [s].
	Resolution float64    `json:"resolution"`
	All        *Histogram `json:"all"`
	// BatchLength is the number of samples per batch; the last may be shorter.
	BatchLength uint64 `json:"batch_length"`
	// Base is the median of the first samples: batches are finest around it.
	Base    int64    `json:"base"`
	Batches []*Batch `json:"batches,omitempty"`
}

// Batch is what is kept of consecutive samples.
type Batch struct {
	Sum float64 `json:"sum"` // of sample − Base
	// Counts holds pairs of sample − Base, cut to its five leading bits, and the number of such samples, in ascending order.
	Counts [][2]int64 `json:"counts"`
}

// Count is the number of samples in the batch.
func (b *Batch) Count() (n uint64) {
	for _, c := range b.Counts {
		n += uint64(c[1])
	}
	return n
}

func (b *Batch) add(v, n int64) {
	i := sort.Search(len(b.Counts), func(i int) bool { return b.Counts[i][0] >= v })
	if i == len(b.Counts) || b.Counts[i][0] != v {
		b.Counts = slices.Insert(b.Counts, i, [2]int64{v, 0})
	}
	b.Counts[i][1] += n
}

const baseSamples = 9 // the base is their median

// NewDistribution makes an empty distribution of samples that are multiples of resolution in SI units.
func NewDistribution(resolution float64) *Distribution {
	return &Distribution{Resolution: resolution, All: new(Histogram), BatchLength: 1}
}

// Record adds the next sample in time order.
func (d *Distribution) Record(v int64) { d.RecordN(v, 1) }

// RecordN adds n equal samples that follow each other.
func (d *Distribution) RecordN(v int64, n uint64) {
	for some := uint64(0); n > 0; n -= some {
		count := d.All.Count()
		if count == baseSamples {
			d.rebase()
		}
		if count%d.BatchLength == 0 {
			d.nextBatch()
		}
		some = min(n, d.BatchLength-count%d.BatchLength) // 1 until there is a base
		d.All.RecordN(v, some)
		b, away := d.Batches[len(d.Batches)-1], v-d.Base
		b.Sum += float64(away) * float64(some)
		if count >= baseSamples {
			away = coarse(away)
		}
		b.add(away, int64(some))
	}
}

// rebase moves the base, until then 0, to the median of the first samples.
func (d *Distribution) rebase() {
	first := make([]int64, 0, baseSamples)
	for _, b := range d.Batches {
		first = append(first, b.Counts[0][0])
	}
	slices.Sort(first)
	d.Base = first[len(first)/2]
	for _, b := range d.Batches {
		b.Sum -= float64(d.Base)
		b.Counts[0][0] = coarse(b.Counts[0][0] - d.Base)
	}
}

func (d *Distribution) nextBatch() {
	if len(d.Batches) == maxBatches {
		for i := range maxBatches / 2 {
			d.Batches[i] = d.Batches[2*i]
			d.Batches[i].Sum += d.Batches[2*i+1].Sum
			for _, c := range d.Batches[2*i+1].Counts {
				d.Batches[i].add(c[0], c[1])
			}
		}
		d.Batches = d.Batches[:maxBatches/2]
		d.BatchLength *= 2
	}
	d.Batches = append(d.Batches, new(Batch))
}

// coarse drops all but the five leading bits: a batch knows distances within 1/16.
func coarse(v int64) int64 {
	drop := max(0, bits.Len64(uint64(max(v, -v)))-5)
	return v >> drop << drop
}

// InUnits is a figure of samples in SI units. It divides where it can: 9 000 000 ns / 1e9 are the 9 ms of a limit, times 1e-9 they are more.
func (d *Distribution) InUnits(v float64) float64 {
	if per := math.Round(1 / d.Resolution); per > 1 && 1/per == d.Resolution {
		return v / per
	}
	return v * d.Resolution
}

// Member is the point figure of a distribution member in SI units; NaN when the distribution is empty or has no such member.
func (d *Distribution) Member(name string) float64 {
	switch empty := d == nil || d.All.Count() == 0; {
	case empty && name == "count":
		return 0
	case empty:
		return math.NaN()
	}
	switch name {
	case "min":
		return d.InUnits(float64(d.All.Min()))
	case "max":
		return d.InUnits(float64(d.All.Max()))
	case "mean":
		return d.InUnits(d.All.Mean())
	case "stddev":
		return d.InUnits(d.All.StdDev())
	case "count":
		return float64(d.All.Count())
	}
	if q, ok := QuantileOf(name); ok {
		return d.InUnits(float64(d.All.Quantile(q)))
	}
	return math.NaN()
}

// QuantileOf gives the share a quantile member stands for: "p99" is 0.99.
func QuantileOf(member string) (float64, bool) {
	q, ok := map[string]float64{"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}[member]
	return q, ok
}

// Ratio is a number of events among trials, with those of consecutive batches, from which the estimates learn how bursty they come.
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

// Tally counts which of a sequence of trials had an event, in any order. The zero value is ready.
type Tally struct {
	length  uint64
	batches []uint64
	total   uint64
}

// Hit notes an event at trial i, counted from 0.
func (t *Tally) Hit(i uint64) {
	t.length = max(t.length, 1)
	for i/t.length >= maxBatches {
		t.join()
	}
	b := int(i / t.length)
	t.batches = append(t.batches, make([]uint64, max(0, b+1-len(t.batches)))...)
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

// Misses gives the trials without an event as a Ratio of trials: losses, when the events are arrivals.
func (t *Tally) Misses(trials uint64) *Ratio { return t.ratio(trials, true) }

func (t *Tally) ratio(trials uint64, missed bool) *Ratio {
	t.length = max(t.length, 1)
	for trials > 0 && (trials-1)/t.length >= maxBatches {
		t.join()
	}
	r := &Ratio{Trials: trials, BatchLength: t.length}
	for start := uint64(0); start < trials; start += t.length {
		var n uint64
		if b := int(start / t.length); b < len(t.batches) {
			n = min(t.batches[b], t.length, trials-start)
		}
		if missed {
			n = min(t.length, trials-start) - n
		}
		r.Batches = append(r.Batches, n)
		r.Events += n
	}
	return r
}
