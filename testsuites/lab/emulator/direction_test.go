//go:build linux

package emulator

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// udpFrame is a frame of an IPv4 packet of a length, with its checksum and a word of the application.
func udpFrame(length int, word uint32) []byte {
	f := make([]byte, ethernet+length)
	binary.BigEndian.PutUint16(f[12:], 0x0800)
	ip := f[ethernet:]
	ip[0], ip[1], ip[8], ip[9] = 0x45, 2, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(length))
	binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:20]))
	binary.BigEndian.PutUint32(ip[28:], word)
	return f
}

// sum is the Internet checksum, not complemented.
func sum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		s += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// through sends n packets, a gap apart, and gives their delays.
func through(i Impair, n int, gap time.Duration) (d direction, delays []float64) {
	d.set(i)
	for k := range n {
		f := &flight{frame: udpFrame(100, uint32(k))}
		at := int64(k) * int64(gap)
		times, count := d.take(f, at)
		for _, t := range times[:count] {
			delays = append(delays, float64(t-at))
		}
	}
	return d, delays
}

func moments(v []float64) (mean, deviation float64) {
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		deviation += (x - mean) * (x - mean) / float64(len(v))
	}
	return mean, math.Sqrt(deviation)
}

// TestDistributions compares mean, deviation and median of 100 000 delays with those of the distributions.
func TestDistributions(t *testing.T) {
	const ms = 1e6
	for _, c := range []struct {
		dist                    string
		mean, deviation, median float64 // of the random part, in Jitter
	}{
		{Uniform, 0.5, 1 / math.Sqrt(12), 0.5}, {Exponential, 1, 1, math.Ln2}, {Normal, 0, 1, 0}, {HeavyTailed, 1, 0, math.Sqrt2 - 1},
	} {
		_, delays := through(Impair{Delay: 20 * time.Millisecond, Jitter: 2 * time.Millisecond, Dist: c.dist, Seed: 5}, 100_000, time.Millisecond)
		mean, deviation := moments(delays)
		slices.Sort(delays)
		median := delays[len(delays)/2]
		if math.Abs(mean-20*ms-2*ms*c.mean) > 0.05*ms && c.dist != HeavyTailed || math.Abs(median-20*ms-2*ms*c.median) > 0.05*ms {
			t.Errorf("%s: mean %v, median %v; want %v and %v", c.dist, mean, median, 20*ms+2*ms*c.mean, 20*ms+2*ms*c.median)
		}
		if c.deviation > 0 && math.Abs(deviation-2*ms*c.deviation) > 0.05*ms {
			t.Errorf("%s: deviation %v; want %v", c.dist, deviation, 2*ms*c.deviation)
		}
	}
}

// TestShares: losses, copies and late ones are as many as asked for, within five standard deviations.
func TestShares(t *testing.T) {
	const n = 100_000
	d, _ := through(Impair{Loss: 0.05, Duplicate: 0.1, Corrupt: 0.02, Mark: 0.3, Seed: 3}, n, time.Millisecond)
	within := func(name string, got uint64, share, of float64) {
		if math.Abs(float64(got)-share*of) > 5*math.Sqrt(share*(1-share)*of) {
			t.Errorf("%s: %d; want %v of %v", name, got, share, of)
		}
	}
	within("lost", d.Lost, 0.05, n)
	within("duplicated", d.Duplicated, 0.1, float64(n-d.Lost))
	within("corrupted", d.Corrupted, 0.02, float64(n-d.Lost))
	within("marked", d.Marked, 0.3, float64(n-d.Lost))
}

// TestBursts: the losses of Gilbert and Elliott come in runs of the length 1/Leave, and are Enter/(Enter+Leave) of all.
func TestBursts(t *testing.T) {
	const n = 200_000
	var d direction
	d.set(Impair{Burst: &Burst{Enter: 0.01, Leave: 0.25, LossBad: 1}, Seed: 9})
	runs, last := 0, -2
	for k := range n {
		if _, count := d.take(&flight{frame: udpFrame(60, 0)}, int64(k)); count == 0 {
			if k != last+1 {
				runs++
			}
			last = k
		}
	}
	if share := float64(d.Lost) / n; math.Abs(share-0.01/0.26) > 0.003 {
		t.Errorf("%v lost; want %v", share, 0.01/0.26)
	}
	if length := float64(d.Lost) / float64(runs); math.Abs(length-4) > 0.2 {
		t.Errorf("runs of %v; want 4", length)
	}
}

// TestRepeatable: the same seed gives the same fates, another gives others.
func TestRepeatable(t *testing.T) {
	of := func(seed uint64) []float64 {
		_, delays := through(Impair{Loss: 0.1, Jitter: time.Millisecond, Seed: seed}, 1000, time.Millisecond)
		return delays
	}
	if !slices.Equal(of(1), of(1)) || slices.Equal(of(1), of(2)) {
		t.Error("the seed does not decide alone")
	}
}

// TestKeepOrder: with it nothing overtakes, without it something does, and Reorder overtakes as often as asked.
func TestKeepOrder(t *testing.T) {
	order := func(i Impair) (overtaken int) {
		var d direction
		d.set(i)
		last := int64(0)
		for k := range 10_000 {
			times, _ := d.take(&flight{frame: udpFrame(60, 0)}, int64(k)*1e6)
			if times[0] < last {
				overtaken++
			}
			last = max(last, times[0])
		}
		return overtaken
	}
	if n := order(Impair{Jitter: 10 * time.Millisecond, KeepOrder: true}); n != 0 {
		t.Errorf("%d overtook", n)
	}
	if n := order(Impair{Jitter: 10 * time.Millisecond}); n == 0 {
		t.Error("nothing overtook")
	}
	if n := order(Impair{Reorder: 0.03, ReorderBy: 1500 * time.Microsecond}); n < 200 || n > 400 {
		t.Errorf("%d overtook; want 3 %% of 10 000", n)
	}
}

// TestQueue: the line serialises without rounding, and what has no room is dropped.
func TestQueue(t *testing.T) {
	var d direction
	d.set(Impair{Rate: 7e6, Queue: 100_000})
	for k := range 700 {
		times, count := d.take(&flight{frame: udpFrame(986, 0)}, 0)
		if count == 0 {
			if k != 100 { // of 1000 bytes each
				t.Errorf("packet %d has no room; want the first without to be 100", k)
			}
			break
		}
		if want := float64(k+1) * 8e12 / 7e6; math.Abs(float64(times[0])-want) > 1 {
			t.Fatalf("packet %d leaves after %d ns; want %.1f", k, times[0], want)
		}
	}
	if d.Dropped != 1 {
		t.Errorf("%d dropped", d.Dropped)
	}
}

// TestMarkKeepsTheChecksum of IPv4.
func TestMarkKeepsTheChecksum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		f := udpFrame(100, 0)
		ip := f[ethernet:]
		ip[1] = byte(r.UintN(256))
		binary.BigEndian.PutUint16(ip[4:], uint16(r.UintN(65536)))
		binary.BigEndian.PutUint16(ip[10:], 0)
		binary.BigEndian.PutUint16(ip[10:], ^sum(ip[:20]))
		able := ip[1]&3 != 0
		if mark(f, parse(f)) != able || sum(ip[:20]) != 0xffff || able && ip[1]&3 != 3 {
			t.Fatalf("header % x", ip[:20])
		}
	}
	six := make([]byte, ethernet+60)
	six[12], six[13], six[ethernet], six[ethernet+1], six[ethernet+5] = 0x86, 0xdd, 0x60, 0x10, 20
	if p := parse(six); p.version != 6 || p.length != 60 || !mark(six, p) || six[ethernet+1] != 0x30 {
		t.Errorf("IPv6: %+v, % x", p, six[:16])
	}
}

// TestParse: whatever a frame says, nothing outside of it is touched.
func TestParse(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var d direction
	d.set(Impair{Corrupt: 1, Mark: 1, Only: &Filter{MinLength: 25}})
	for range 200_000 {
		f := make([]byte, r.IntN(80))
		for i := range f {
			f[i] = byte(r.UintN(256))
		}
		if len(f) > 14 && r.IntN(4) > 0 {
			copy(f[12:], []byte{0x08, 0x00, 0x45})
			if len(f) > 17 {
				f[16] = 0
			}
		}
		d.take(&flight{frame: f}, 0)
	}
	if d.In == 0 {
		t.Error("no frame was chosen: the test sees nothing")
	}
}

// TestDepartures: the heap gives frames by time, and those of one time in order.
func TestDepartures(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var q departures
	for n := range 2000 {
		q.push(&flight{due: r.Int64N(100), order: uint64(n)})
	}
	last := &flight{due: -1}
	for len(q) > 0 {
		f := q.pop()
		if f.due < last.due || f.due == last.due && f.order < last.order {
			t.Fatalf("%d/%d after %d/%d", f.due, f.order, last.due, last.order)
		}
		last = f
	}
}

// TestRecordsSurvive the way through the file, and lateness its buckets.
func TestRecordsSurvive(t *testing.T) {
	in := Record{Arrival: 1, Due: -2, Departure: 3, Number: 4, Length: 1500, Protocol: 17, Fate: Lost, Copy: true}
	in.Head[47] = 9
	b := make([]byte, 2*recordSize)
	in.encode(b[recordSize:])
	if out := decodeRecords(b); len(out) != 2 || out[1] != in {
		t.Errorf("%+v came back; want %+v", out, in)
	}
	for _, v := range []int64{0, 1, 7, 8, 100, 4097, 1e6, 123_456_789, 1 << 40} {
		var l Lateness
		l.add(v)
		l.add(v)
		l.Max *= 2
		if q := int64(l.Quantile(0.5)); q < v || float64(q) > float64(v)*1.125+1 {
			t.Errorf("%d is told as %d", v, q)
		}
	}
	if s := fmt.Sprint(&Lateness{}); s == "" {
		t.Error("no lateness has no words")
	}
}
