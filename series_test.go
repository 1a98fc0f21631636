package netp_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/netpupper/netp"
)

func TestDistributionBatchesHoldTheSeries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offset := rapid.SampledFrom([]int64{0, -40_000_000, 30_000_000}).Draw(t, "offset")
		spread := rapid.SampledFrom([]int64{0, 3, 100_000, 1 << 40}).Draw(t, "spread")
		values := rapid.SliceOfN(rapid.Int64Range(offset-spread, offset+spread), 1, 700).Draw(t, "values")
		d := netp.NewDistribution(1e-9)
		for _, v := range values {
			d.Record(v)
		}
		if len(d.Batches) > 128 {
			t.Fatalf("%d batches", len(d.Batches))
		}
		rest := values
		for i, b := range d.Batches {
			n := min(d.BatchLength, uint64(len(rest)))
			if b.Count() != n {
				t.Fatalf("batch %d has %d samples, want %d", i, b.Count(), n)
			}
			checkBatch(t, b, d.Base, rest[:n])
			rest = rest[n:]
		}
		if len(rest) > 0 {
			t.Fatalf("%d samples are in no batch", len(rest))
		}
	})
}

// A delay of whole milliseconds is the number that stands as a limit in a condition, not one beside it.
func TestFiguresAreTheNearestDecimals(t *testing.T) {
	for resolution, perMillisecond := range map[float64]int64{1e-9: 1e6, 1e-6: 1e3, 1e-3: 1} {
		for k := int64(1); k <= 1000; k++ {
			d := netp.NewDistribution(resolution)
			d.RecordN(k*perMillisecond, 3)
			for _, member := range []string{"min", "max", "mean", "p99"} {
				if got, want := d.Member(member), float64(k)/1000; got != want {
					t.Fatalf("%s of %d ms in units of %g: got %v, want %v", member, k, resolution, got, want)
				}
			}
		}
	}
	throughput := netp.NewDistribution(80)
	throughput.Record(1250)
	if got := throughput.Member("max"); got != 100_000 {
		t.Errorf("1250 bytes in 100 ms: got %v bit/s, want 100000", got)
	}
}

// checkBatch compares a batch with its samples: the sum is exact, each sample is in
// the bucket of its distance from the base.
func checkBatch(t *rapid.T, b *netp.Batch, base int64, values []int64) {
	var sum float64
	var distances []int64
	for _, v := range values {
		sum += float64(v - base)
		distances = append(distances, v-base)
	}
	near(t, "sum", b.Sum, sum, math.Abs(sum)+1e6)
	slices.Sort(distances)
	i := 0
	for _, c := range b.Counts {
		for range c[1] {
			v := distances[i]
			if off := math.Abs(float64(v - c[0])); off > math.Abs(float64(v))/15 {
				t.Fatalf("distance %d stands as %d", v, c[0])
			}
			i++
		}
	}
	if !slices.IsSortedFunc(b.Counts, func(a, b [2]int64) int { return int(a[0] - b[0]) }) {
		t.Fatalf("counts out of order: %v", b.Counts)
	}
}

func TestDistributionBaseIsNoOutlier(t *testing.T) {
	d := netp.NewDistribution(1e-9)
	d.Record(900_000_000) // the first packet waits for address resolution
	for i := range int64(5000) {
		d.Record(30_000_000 + i%200*1000)
	}
	if d.Base < 30_000_000 || d.Base > 30_200_000 {
		t.Errorf("base is %d", d.Base)
	}
	kinds := map[int64]bool{}
	for _, b := range d.Batches {
		for _, c := range b.Counts {
			kinds[c[0]] = true
		}
	}
	if len(kinds) < 40 {
		t.Errorf("the batches tell only %d values of a narrow series apart", len(kinds))
	}
}

func TestDistributionStaysSmall(t *testing.T) {
	d := netp.NewDistribution(1e-9)
	for i := range int64(1_000_000) {
		d.Record(20_000_000 + i*7919%30_000_000)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 400_000 {
		t.Errorf("a million samples take %d bytes", len(text))
	}
	var back netp.Distribution
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.Batches, back.Batches); diff != "" || back.Base != d.Base || back.BatchLength != d.BatchLength {
		t.Errorf("JSON changed the distribution:\n%s", diff)
	}
}

func TestDistributionMembers(t *testing.T) {
	d := netp.NewDistribution(1e-3)
	for i := int64(1); i <= 1000; i++ {
		d.Record(i)
	}
	for member, want := range map[string]float64{
		"min": 0.001, "p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999, "max": 1,
		"mean": 0.5005, "stddev": 0.28881943609574937, "count": 1000,
	} {
		near(t, member, d.Member(member), want, 1e-3)
	}
	if v := d.Member("p98"); !math.IsNaN(v) {
		t.Errorf("p98 is %g", v)
	}
	var none *netp.Distribution
	if v := none.Member("count"); v != 0 {
		t.Errorf("the count of no distribution is %g", v)
	}
}

func TestTallyIsExactInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trials := rapid.Uint64Range(1, 3000).Draw(t, "trials")
		hits := rapid.SliceOfDistinct(rapid.Uint64Range(0, trials-1), rapid.ID).Draw(t, "hits")
		var tally netp.Tally
		for _, i := range hits {
			tally.Hit(i)
		}
		r, m := tally.Hits(trials), tally.Misses(trials)
		if r.Events != uint64(len(hits)) || m.Events != trials-uint64(len(hits)) || tally.Total() != uint64(len(hits)) {
			t.Fatalf("%d hits, %d misses, total %d; want %d of %d", r.Events, m.Events, tally.Total(), len(hits), trials)
		}
		if len(r.Batches) > 128 || uint64(len(r.Batches)) != (trials+r.BatchLength-1)/r.BatchLength {
			t.Fatalf("%d batches of %d for %d trials", len(r.Batches), r.BatchLength, trials)
		}
		want := make([]uint64, len(r.Batches))
		for _, i := range hits {
			want[i/r.BatchLength]++
		}
		if diff := cmp.Diff(want, r.Batches); diff != "" {
			t.Fatalf("batches:\n%s", diff)
		}
		for i := range r.Batches {
			if length := min(r.BatchLength, trials-uint64(i)*r.BatchLength); r.Batches[i]+m.Batches[i] != length {
				t.Fatalf("batch %d: %d hits and %d misses of %d", i, r.Batches[i], m.Batches[i], length)
			}
		}
	})
}

func TestTallyNeverCountsMoreThanTrials(t *testing.T) {
	var tally netp.Tally
	for range 3 {
		tally.Hit(0) // a trial that was noted three times
	}
	tally.Hit(math.MaxUint64) // and one that never was
	if r := tally.Hits(1); r.Events > r.Trials {
		t.Errorf("%d events of %d trials", r.Events, r.Trials)
	}
}

func TestRatioWithoutTrialsHasNoValue(t *testing.T) {
	var none *netp.Ratio
	if v := none.Value(); !math.IsNaN(v) {
		t.Errorf("got %g", v)
	}
	if v := (&netp.Tally{}).Hits(0).Value(); !math.IsNaN(v) {
		t.Errorf("got %g", v)
	}
}

// BenchmarkDistributionRecord is the cost of one sample in an engine's receive loop.
func BenchmarkDistributionRecord(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	values := make([]int64, 1<<16)
	for i := range values {
		values[i] = 30e6 + int64(1e5*r.ExpFloat64())
	}
	d := netp.NewDistribution(1e-9)
	b.ReportAllocs()
	for i := range b.N {
		d.Record(values[i%len(values)])
	}
}

// TestRecordN: many samples at once are as many one by one.
func TestRecordN(t *testing.T) {
	one, many := netp.NewDistribution(1), netp.NewDistribution(1)
	for i := range int64(3000) {
		v, n := 1000+i*i%977, uint64(i%300)
		many.RecordN(v, n)
		for range n {
			one.Record(v)
		}
	}
	for _, d := range []*netp.Distribution{one, many} {
		for _, b := range d.Batches {
			b.Sum = math.Round(b.Sum) // they are added up in another order
		}
	}
	if diff := cmp.Diff(one.Batches, many.Batches); diff != "" || one.Base != many.Base || one.BatchLength != many.BatchLength {
		t.Errorf("batches differ: base %d and %d, length %d and %d\n%s", one.Base, many.Base, one.BatchLength, many.BatchLength, diff)
	}
	if a, b := one.All.Buckets(), many.All.Buckets(); !cmp.Equal(a, b) {
		t.Errorf("buckets differ: %s", cmp.Diff(a, b))
	}
}
