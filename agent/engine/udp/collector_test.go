package udp

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/netpupper/netp"
)

// scripted feeds arrivals (sequence, delay) of a stream of 100 pps to a collector.
func scripted(c *collector, arrivals [][2]int64) {
	for _, a := range arrivals {
		sent := 1e18 + a[0]*int64(10*time.Millisecond)
		c.add(c.tracks[0], &arrival{sequence: uint64(a[0]), sent: sent, received: sent + a[1], size: 200})
	}
}

func ofParams(p netp.Params) settings { return newSettings(p) }

func value(t *testing.T, m map[string]netp.Measurement, name string) float64 {
	t.Helper()
	switch one := m[name]; {
	case one.Value != nil:
		return *one.Value
	case one.Ratio != nil:
		return one.Ratio.Value()
	}
	t.Fatalf("no figure %s", name)
	return 0
}

func TestCollector(t *testing.T) {
	const ms = int64(time.Millisecond)
	s := ofParams(netp.Params{"rate": "100pps", "duration": 0.1, "timeout": 1.0, "playout": 0.010})
	c := newCollector(s, true)
	scripted(c, [][2]int64{
		{0, 20 * ms}, {1, 22 * ms}, {3, 20 * ms}, {2, 35 * ms}, // 2 was overtaken, and too late for playout
		{3, 21 * ms}, {3, 23 * ms}, // two copies
		{4, -5 * ms},     // the clocks differ: stays negative
		{6, 1001 * ms},   // after the timeout
		{7, 999 * ms},    // in time, but useless
		{500000, 1 * ms}, // no honest sender
	})
	o := c.finish([]uint64{10}, s.span())
	for name, want := range map[string]float64{
		metricSent: 10, metricReceived: 6, metricLost: 4, metricLate: 1, metricLongest: 2, metricDuplicates: 2, metricReorderings: 1,
		metricLoss: 0.4, metricReordered: 1.0 / 6, metricDuplicated: 1.0 / 6, metricEffective: 0.9,
	} {
		if got := value(t, o.metrics, name); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s = %v; want %v", name, got, want)
		}
	}
	delay, variation := o.metrics[metricDelay].Distribution, o.metrics[metricVariation].Distribution
	if got := delay.All.Min(); got != -5*ms {
		t.Errorf("smallest delay %v; want -5 ms", got)
	}
	if got := delay.All.Max(); got != 999*ms {
		t.Errorf("largest delay %v; want 999 ms", got)
	}
	if min, max := variation.All.Min(), variation.All.Max(); min != 0 || max != 1004*ms {
		t.Errorf("variation from %v to %v; want 0 to 1.004", min, max)
	}
	if n := delay.All.Count(); n != 6 {
		t.Errorf("%d delays; want 6", n)
	}
	if c.excess != 1 {
		t.Errorf("%d numbers out of bounds; want 1", c.excess)
	}
	var sent, received, lost float64
	for _, row := range o.intervals {
		sent += row.Values[metricSent]
		received += row.Values[metricReceived]
		lost += row.Values[metricLost]
	}
	if sent != 10 || received != 6 || lost != 4 {
		t.Errorf("rows add up to %v sent, %v received, %v lost; want 10, 6, 4", sent, received, lost)
	}
}

func TestEffectiveLossJudgesFirstPacketsTogether(t *testing.T) {
	const ms = int64(time.Millisecond)
	c := newCollector(ofParams(netp.Params{"rate": "100pps", "count": 3.0, "playout": 0.010}), true)
	scripted(c, [][2]int64{{0, 50 * ms}, {1, 20 * ms}, {2, 29 * ms}})
	o := c.finish([]uint64{3}, 0)
	if got := value(t, o.metrics, metricEffective); got != 1.0/3 {
		t.Errorf("effective loss %v; want a third: the first packet, 30 ms above the smallest", got)
	}
}

func TestNothingArrived(t *testing.T) {
	c := newCollector(ofParams(netp.Params{}), false)
	o := c.finish([]uint64{500}, 10*time.Second)
	if got := value(t, o.metrics, metricLoss); got != 1 {
		t.Errorf("loss %v; want 1", got)
	}
	if _, ok := o.metrics[metricDelay]; ok {
		t.Error("there is a delay without a packet")
	}
	if got := value(t, o.metrics, metricLongest); got != 500 {
		t.Errorf("longest loss %v; want 500", got)
	}
}

// TestJitter compares with figures computed by hand from RFC 3550 §6.4.1.
func TestJitter(t *testing.T) {
	c := newCollector(ofParams(netp.Params{"rate": "100pps"}), true)
	scripted(c, [][2]int64{{0, 1000}, {1, 17000}, {2, 17000}})
	// J: 0, 16000/16 = 1000, 1000 - 1000/16 = 937.5; mean 645.83 ns
	o := c.finish([]uint64{3}, 0)
	if got := value(t, o.metrics, metricJitter); math.Abs(got-645.8333e-9) > 1e-12 {
		t.Errorf("jitter %v; want 645.83 ns", got)
	}
}

func TestRateIntervals(t *testing.T) {
	s := ofParams(netp.Params{"rate": "100pps", "duration": 1.0})
	c := newCollector(s, true)
	if s.rateInterval() != 200*time.Millisecond {
		t.Fatalf("interval %v; want 200 ms", s.rateInterval())
	}
	for i := range int64(100) {
		if i/20 == 2 {
			continue // a gap of one interval
		}
		scripted(c, [][2]int64{{i, 1000}})
	}
	o := c.finish([]uint64{100}, s.span())
	d := o.metrics[metricRate].Distribution
	if n := d.All.Count(); n != 5 || n != uint64(demand(netp.Params{"rate": "100pps", "duration": 1.0}).Intervals) {
		t.Errorf("%d intervals; want 5", n)
	}
	if d.Member("min") != 0 || math.Abs(d.Member("max")-160e3) > 200 {
		t.Errorf("rate from %v to %v; want 0 to 160 kbit/s", d.Member("min"), d.Member("max"))
	}
}

// TestLead has a stream whose first counted packet is sent at 10 s by the initiator's clock and arrives at 700 s by the responder's.
func TestLead(t *testing.T) {
	at := func(seconds float64) int64 { return int64(seconds * 1e9) }
	for _, c := range []struct {
		name         string
		began, heard float64 // when this side began, by its clock; when the initiator did, by the initiator's
		want         time.Duration
	}{
		{"responder", 699, 8, 2 * time.Second},
		{"initiator, or a peer that does not say it", 699, 0, time.Second},
		{"responder, when the clock was set", 699, 11, 0},
	} {
		x := &session{began: time.Unix(0, at(c.began))}
		g := &receiving{receivers: []*receiver{{began: at(c.heard)}}, collector: &collector{began: at(700)}}
		g.collector.rows.start = at(10)
		if got := x.leadOf(g); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// TestRowsCountFromTheSessionsStart looks at the rows of both ends: they lie within the session as the initiator dates it.
func TestRowsCountFromTheSessionsStart(t *testing.T) {
	initiator, responder := bench{params: netp.Params{"direction": "both", "rate": "200pps", "duration": 0.2}}.run(t)
	for name, part := range map[string]netp.Result{"initiator": initiator, "responder": responder} {
		if len(part.Intervals) == 0 || part.Failure != nil {
			t.Fatalf("%s: %d rows, failure %v", name, len(part.Intervals), part.Failure)
		}
		first := initiator.Started.Add(part.Intervals[0].Start)
		if first.Before(responder.Started) || first.After(responder.Ended) {
			t.Errorf("%s: the first row begins at %v; the responder was there from %v to %v", name, first, responder.Started, responder.Ended)
		}
	}
}

func TestShift(t *testing.T) {
	d := netp.NewDistribution(1e-9)
	for i := range int64(1000) {
		d.Record(i * 100)
	}
	got := shifted(d, -20_000)
	if got.All.Min() != -20_000 || got.All.Max() != 79_900 || got.All.Count() != 1000 {
		t.Errorf("from %d to %d, %d samples", got.All.Min(), got.All.Max(), got.All.Count())
	}
	if m := got.All.Mean(); math.Abs(m-29_950) > 30 {
		t.Errorf("mean %v; want 29 950", m)
	}
	for _, n := range []int{0, 1, 2} {
		d := netp.NewDistribution(1)
		for range n {
			d.Record(5)
		}
		if got := shifted(d, 2).All; got.Count() != uint64(n) || n > 0 && (got.Min() != 7 || got.Max() != 7) {
			t.Errorf("%d samples became %d from %d to %d", n, got.Count(), got.Min(), got.Max())
		}
	}
}

// TestStreamsOfUnequalLength: a flood's streams do not send the same number; no loss may get lost.
func TestStreamsOfUnequalLength(t *testing.T) {
	c := newCollector(ofParams(netp.Params{"rate": "0", "streams": 2.0, "duration": 1.0}), true)
	for i := range uint64(1000) {
		if i >= 900 {
			continue
		}
		c.add(c.tracks[0], &arrival{sequence: i, sent: int64(i), received: int64(i), size: 64})
	}
	o := c.finish([]uint64{1000, 3}, 0)
	r := o.metrics[metricLoss].Ratio
	if r.Events != 103 || r.Trials != 1003 {
		t.Errorf("%d of %d lost; want 103 of 1003", r.Events, r.Trials)
	}
	var sum uint64
	for _, n := range r.Batches {
		sum += n
	}
	if sum != r.Events {
		t.Errorf("batches hold %d losses; want %d", sum, r.Events)
	}
}

func TestCollectorAllocatesNothing(t *testing.T) {
	c := newCollector(ofParams(netp.Params{"rate": "1000pps", "duration": 100000.0}), true)
	i := int64(0)
	one := func() {
		sent := i * 1e6
		c.add(c.tracks[0], &arrival{sequence: uint64(i), sent: sent, received: sent + 50_000 + i*7919%1000, size: 200})
		i++
	}
	for range 100_000 {
		one()
	}
	if n := testing.AllocsPerRun(10_000, one); n > 0.01 {
		t.Errorf("%v allocations per packet", n)
	}
}

func BenchmarkCollector(b *testing.B) {
	c := newCollector(ofParams(netp.Params{"rate": "1000000pps", "duration": 600000.0}), true)
	b.ReportAllocs()
	for i := range b.N {
		sent := int64(i) * 1000
		c.add(c.tracks[0], &arrival{sequence: uint64(i), sent: sent, received: sent + 50_000 + int64(i)*7919%1000, size: 200})
	}
}

// TestRuns: packets that come in runs give the same figures as one by one.
func TestRuns(t *testing.T) {
	s := ofParams(netp.Params{"rate": "0", "duration": 1.0, "playout": 0.000_001})
	random := rand.New(rand.NewPCG(5, 6))
	single, runs := newCollector(s, true), newCollector(s, true)
	sequence := uint64(0)
	for range 3000 {
		a := arrival{sequence: sequence, sent: int64(sequence) * 100, size: 64, more: uint64(random.IntN(128))}
		a.received = a.sent + 5000 + int64(random.IntN(3000))
		switch random.IntN(10) {
		case 0:
			a.sequence -= min(a.sequence, uint64(random.IntN(200))) // copies, and new ones behind them
		case 1:
			a.sequence += uint64(random.IntN(300)) // a gap
		}
		sequence = max(sequence, a.sequence+a.more+1)
		runs.add(runs.tracks[0], &a)
		for one := a; one.sequence <= a.sequence+a.more; one.sequence++ {
			one.more = 0
			single.add(single.tracks[0], &one)
		}
	}
	x, y := single.finish([]uint64{sequence}, 0), runs.finish([]uint64{sequence}, 0)
	for name, want := range x.metrics {
		got := y.metrics[name]
		if want.Value != nil && math.Abs(*got.Value-*want.Value) > 1e-12 || want.Ratio != nil && !slices.Equal(got.Ratio.Batches, want.Ratio.Batches) ||
			want.Distribution != nil && !slices.Equal(got.Distribution.All.Buckets(), want.Distribution.All.Buckets()) {
			t.Errorf("%s differs between runs and single packets", name)
		}
	}
}

func BenchmarkCollectorRuns(b *testing.B) {
	c := newCollector(ofParams(netp.Params{"rate": "0", "duration": 600000.0}), true)
	b.ReportAllocs()
	for i := 0; i < b.N; i += 128 {
		sent := int64(i) * 100
		c.add(c.tracks[0], &arrival{sequence: uint64(i), sent: sent, received: sent + 50_000 + int64(i)*7919%1000, size: 64, more: 127})
	}
}

// TestSlowStreamTakesLittle: what a stream of few packets needs is in proportion to them, because there are hundreds at a time.
func TestSlowStreamTakesLittle(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := newCollector(ofParams(netp.Params{"rate": "100pps", "duration": 600.0}), true)
	for i := range int64(200) {
		scripted(c, [][2]int64{{i, 50_000 + i}})
	}
	runtime.ReadMemStats(&after)
	const most = 48 << 10 // a third of it is the window
	if n := after.TotalAlloc - before.TotalAlloc; n > most {
		t.Errorf("%d bytes for 200 packets; at most %d are right", n, most)
	}
}
