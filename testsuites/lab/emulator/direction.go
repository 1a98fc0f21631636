//go:build linux

package emulator

import (
	"math"
	"math/rand/v2"
)

// direction decides what becomes of packets that enter one end of a line. It reads no clock and sends nothing.
type direction struct {
	Impair
	Counters
	Lateness
	random  *rand.Rand
	bad     bool    // state of Burst
	free    int64   // when the line will have sent what waits for it
	rest    float64 // part of a nanosecond that free leaves out
	last    int64   // due time of the latest packet, for KeepOrder
	highest uint64  // 1 + the highest number that left
	records []Record
	limit   int // of records; 0 keeps none
}

// flight is a frame on its way through a direction.
type flight struct {
	due    int64
	order  uint64 // of scheduling: equal times leave in it
	to     *device
	way    *direction
	frame  []byte
	record Record
	chosen bool
}

// set changes what happens to the packets that arrive from now on.
func (d *direction) set(i Impair) {
	d.Impair = i
	d.random = rand.New(rand.NewPCG(i.Seed, 0x6c6162))
	d.bad, d.free, d.rest = false, 0, 0
}

// hits draws whether a share hits. Nothing is drawn for what is not asked for.
func (d *direction) hits(share float64) bool { return share > 0 && d.random.Float64() < share }

// take decides about a frame that arrived. It gives the times at which it leaves: none, one or two.
func (d *direction) take(f *flight, arrival int64) (times [2]int64, n int) {
	p := parse(f.frame)
	if f.chosen = p.version != 0 && d.Only.chooses(p); !f.chosen {
		if d.Down {
			return times, 0
		}
		times[0] = arrival + int64(d.Delay)
		return times, 1
	}
	f.record = Record{Arrival: arrival, Number: d.In, Length: uint16(p.length), Protocol: uint8(p.protocol), Fate: Sent}
	if d.limit > 0 {
		copy(f.record.Head[:], p.transport)
	}
	d.In++
	d.InBytes += uint64(p.length)
	if f.record.Fate = d.entry(f, p); f.record.Fate != Sent && f.record.Fate != Corrupted {
		d.keep(f.record)
		return times, 0
	}
	n = 1
	if d.hits(d.Duplicate) {
		n = 2
	}
	sent := 0
	for range n {
		queued, room := d.queue(arrival, len(f.frame))
		if !room {
			break
		}
		times[sent] = d.due(queued)
		sent++
	}
	switch {
	case sent == 0:
		d.Dropped++
		f.record.Fate = Dropped
		d.keep(f.record)
	case sent == 2:
		d.Duplicated++
		times[0], times[1] = min(times[0], times[1]), max(times[0], times[1]) // the later one is the copy
	}
	return times, sent
}

// entry is the fate of a packet before the queue.
func (d *direction) entry(f *flight, p packet) uint8 {
	switch {
	case d.Down:
		d.Blocked++
		return Blocked
	case d.MaxLength > 0 && p.length > d.MaxLength:
		d.TooLong++
		return TooLong
	case d.loses():
		d.Lost++
		return Lost
	}
	fate := uint8(Sent)
	if behind := p.length - p.header; behind > 0 && d.hits(d.Corrupt) {
		f.frame[ethernet+p.header+d.random.IntN(behind)] ^= 1 << d.random.IntN(8)
		d.Corrupted++
		fate = Corrupted
	}
	if d.hits(d.Mark) && mark(f.frame, p) {
		d.Marked++
	}
	return fate
}

// loses draws each kind of loss, so that one does not shift the pattern of another.
func (d *direction) loses() bool {
	lost := d.hits(d.Loss)
	if d.LossEvery > 0 && (d.In-1)%d.LossEvery == d.LossPhase {
		lost = true
	}
	if b := d.Burst; b != nil {
		if d.bad {
			d.bad = !d.hits(b.Leave)
		} else {
			d.bad = d.hits(b.Enter)
		}
		share := b.LossGood
		if d.bad {
			share = b.LossBad
		}
		if d.hits(share) {
			lost = true
		}
	}
	return lost
}

// queue gives the time at which a frame has been put on the line, or says that there is no room for it to wait.
func (d *direction) queue(arrival int64, length int) (int64, bool) {
	if d.Rate == 0 {
		return arrival, true
	}
	if d.free <= arrival {
		d.free, d.rest = arrival, 0
	}
	limit := float64(d.Queue)
	if d.Queue == 0 {
		limit = max(3000, d.Rate/8*0.1)
	}
	if waiting := float64(d.free-arrival) * d.Rate / 8e9; waiting+float64(length) > limit && d.free > arrival {
		return 0, false
	}
	whole, rest := math.Modf(float64(length)*8e9/d.Rate + d.rest)
	d.free, d.rest = d.free+int64(whole), rest
	return d.free, true
}

// due adds the delay.
func (d *direction) due(from int64) int64 {
	delay := float64(d.Delay)
	if j := float64(d.Jitter); j > 0 {
		switch d.Dist {
		case "", Uniform:
			delay += j * d.random.Float64()
		case Exponential:
			delay += j * d.random.ExpFloat64()
		case Normal:
			delay += j * d.random.NormFloat64()
		case HeavyTailed:
			delay += min(j*(1/math.Sqrt(1-d.random.Float64())-1), 1000*j)
		}
	}
	at := from + int64(max(delay, 0))
	if d.KeepOrder {
		at = max(at, d.last)
	}
	if d.hits(d.Reorder) {
		return at + int64(d.ReorderBy)
	}
	d.last = max(d.last, at)
	return at
}

// left counts a frame that was sent.
func (d *direction) left(f *flight, at int64) {
	d.Lateness.add(at - f.due)
	if !f.chosen {
		d.Passed++
		return
	}
	d.Out++
	d.OutBytes += uint64(f.record.Length)
	if !f.record.Copy {
		if f.record.Number+1 < d.highest {
			d.Reordered++
		}
		d.highest = max(d.highest, f.record.Number+1)
	}
	if d.limit > 0 {
		f.record.Due, f.record.Departure = f.due, at
		d.keep(f.record)
	}
}

func (d *direction) keep(r Record) {
	if len(d.records) < d.limit {
		d.records = append(d.records, r)
	}
}

// record keeps a record of each of the next packets, up to a number of them; 0 ends it.
func (d *direction) record(limit int) {
	d.records, d.limit = nil, limit
	if limit > 0 {
		d.records = make([]Record, 0, limit)
	}
}
