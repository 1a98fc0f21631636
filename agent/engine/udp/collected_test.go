package udp

import (
	"testing"
	"time"

	"github.com/netpupper/netp"
)

// TestLateCopies: the copies of a packet that came too late are as little as it was, and nobody stops to wait for others because of them.
func TestLateCopies(t *testing.T) {
	const ms = int64(time.Millisecond)
	s := ofParams(netp.Params{"rate": "100pps", "duration": 0.1, "timeout": 1.0})
	c := newCollector(s, true)
	scripted(c, [][2]int64{{0, 20 * ms}, {1, 20 * ms}, {2, 1500 * ms}, {2, 1500 * ms}, {2, 1501 * ms}})
	if c.tracks[0].late != 1 {
		t.Errorf("%d of the stream are taken as there; want 1", c.tracks[0].late)
	}
	o := c.finish([]uint64{3}, s.span())
	for name, want := range map[string]float64{metricReceived: 2, metricLost: 1, metricLate: 1, metricDuplicates: 0} {
		if got := value(t, o.metrics, name); got != want {
			t.Errorf("%s = %v; want %v", name, got, want)
		}
	}
}

// TestOutageToTheEnd: what was sent after the last arrival has rows of its own.
func TestOutageToTheEnd(t *testing.T) {
	s := ofParams(netp.Params{"rate": "100pps", "duration": 10.0, "timeout": 2.0})
	c := newCollector(s, true)
	for i := range int64(500) {
		scripted(c, [][2]int64{{i, int64(20 * time.Millisecond)}})
	}
	rows := c.finish([]uint64{1000}, s.span()).intervals
	if len(rows) != 10 {
		t.Errorf("%d rows; want 10", len(rows))
	}
	for _, r := range rows {
		if got := r.Values[metricSent]; got < 90 || got > 110 {
			t.Errorf("in the row at %v %v were sent; want 100", r.Start, got)
		}
	}
}

// TestRateOfADay: the intervals of the metric rate stay what its description says, so that a short outage in a long session is in its
// minimum.
func TestRateOfADay(t *testing.T) {
	const length, outage = 86400, 43200
	s := ofParams(netp.Params{"rate": "1pps", "size": 200.0, "duration": float64(length)})
	c := newCollector(s, true)
	for i := range int64(length) {
		if i >= outage && i < outage+3 {
			continue
		}
		sent := 1e18 + i*int64(time.Second)
		c.add(c.tracks[0], &arrival{sequence: uint64(i), sent: sent, received: sent + int64(time.Millisecond), size: 200})
	}
	d := c.finish([]uint64{length}, s.span()).metrics[metricRate].Distribution
	if n := d.Member("count"); n != length || d.Member("min") != 0 {
		t.Errorf("%v intervals, the smallest rate is %v bit/s; want %d, and 0", n, d.Member("min"), length)
	}
}

// TestStepTouchesRate: intervals of the rate are of the receiver's clock, and mean nothing when that is set.
func TestStepTouchesRate(t *testing.T) {
	const ms = int64(time.Millisecond)
	s := ofParams(netp.Params{"rate": "100pps", "duration": 10.0, "timeout": 2.0})
	c := newCollector(s, false)
	for i := range int64(1000) {
		sent, mine := 1e18+i*10*ms, int64(0)
		if i >= 500 {
			mine = 1000 * ms
		}
		if i%44 == 0 { // 1 ms each way
			c.exchange(sent+mine, sent+ms, sent+ms, sent+2*ms+mine, sent+2*ms+mine)
		}
		c.add(c.tracks[0], &arrival{sequence: uint64(i), sent: sent, received: sent + ms + mine, size: 200})
	}
	x := &session{set: s, inbound: &receiving{collector: c}}
	if check := x.clockOffset(); check.OK || !check.Touches(metricRate+".min") {
		t.Errorf("%+v; want a fault of the rate, too", check)
	}
}

// TestOutageAtTheBeginning: the series ends where the session did, also when it begins with the first arrival.
func TestOutageAtTheBeginning(t *testing.T) {
	s := ofParams(netp.Params{"rate": "100pps", "duration": 10.0, "timeout": 2.0})
	for name, last := range map[string]int64{"and back": 1000, "and again at the end": 800} {
		t.Run(name, func(t *testing.T) {
			c := newCollector(s, true)
			for i := int64(500); i < last; i++ {
				scripted(c, [][2]int64{{i, int64(20 * time.Millisecond)}})
			}
			rows := c.finish([]uint64{1000}, s.span()).intervals
			if len(rows) != 5 {
				t.Errorf("%d rows; want 5", len(rows))
			}
			for _, r := range rows[1:] {
				if got := r.Values[metricSent]; got < 90 || got > 110 {
					t.Errorf("in the row at %v %v were sent; want 100", r.Start, got)
				}
			}
		})
	}
}

// TestOffsetThatIsKnownLate: where the first packets came before the first exchange of stamps, their delays are of two clocks that nobody
// has compared, and do not go with those of the others.
func TestOffsetThatIsKnownLate(t *testing.T) {
	const ms = int64(time.Millisecond)
	s := ofParams(netp.Params{"rate": "100pps", "duration": 10.0, "timeout": 2.0})
	c := newCollector(s, false)
	for i := range int64(1000) {
		mine := int64(1e18) + i*10*ms
		sent := mine + 70*ms
		if i >= 40 && i%44 == 0 {
			c.exchange(mine, sent+ms, sent+ms, mine+2*ms, mine+2*ms)
		}
		c.add(c.tracks[0], &arrival{sequence: uint64(i), sent: sent, received: mine + ms, size: 200})
	}
	x := &session{set: s, inbound: &receiving{collector: c}}
	check := x.clockOffset()
	delay := c.finish([]uint64{1000}, s.span()).metrics[metricDelay].Distribution
	if check.OK || !check.Touches(metricDelay+".min") || !check.Touches(metricVariation+".p99") {
		t.Errorf("the smallest delay is %v s; want a fault of delay and variation: %+v", delay.Member("min"), check)
	}
}

// TestCopiesOfTheLastPackets: a stream of which all has come is not over before copies of its last packets had time to come, too.
func TestCopiesOfTheLastPackets(t *testing.T) {
	const last = int64(time.Hour)
	r := receiver{set: ofParams(netp.Params{"rate": "100pps", "count": 5.0}), track: &track{received: 4, late: 1}, told: 5, entered: last - 1, fed: last}
	if r.collected(last + int64(copiesLimit) - 1) {
		t.Error("over while copies may come")
	}
	if !r.collected(last + int64(copiesLimit)) {
		t.Error("not over")
	}
	if r.track.late = 0; r.collected(last + int64(copiesLimit)) {
		t.Error("over while a packet may come")
	}
}
