package udp

import (
	"math"
	"time"

	"github.com/netpupper/netp/agent/clock"
)

// resolution is how exact stamps are: kernel stamps and clock readings differ by less.
const resolution = time.Microsecond

// maxPoints bounds the moments at which the offset in use is remembered.
const maxPoints = 128

// offset is the difference of the two clocks as the receiver knows it: the sender's clock minus ours. It follows the drift.
type offset struct {
	estimator *clock.Estimator
	known     bool
	value     int64   // ns at the time of setting
	at        int64   // our clock
	slope     float64 // ns per ns
	exchanges uint64
	points    []point
	skip      int // of the moments, all but one in so many are left out
	skipped   int
	gap       int64         // the longest time between two updates
	sure      time.Duration // bounds the error of the value in use at each update, before and after it, also of clocks that are slewed
}

// point is what was used at one moment.
type point struct {
	at    int64
	value int64
	bound time.Duration
}

func newOffset(sameClock bool) offset {
	e := clock.NewEstimator(resolution)
	if sameClock {
		e.Same("same", "same")
	}
	return offset{estimator: e, skip: 1, known: sameClock}
}

// exchange takes the four stamps of a report and its echo.
func (o *offset) exchange(t1, t2, t3, t4 int64) {
	o.estimator.Add(t1, t2, t3, t4)
	o.exchanges++
}

// update chooses the offset to be used from now on.
func (o *offset) update(now int64) {
	value, bound, ok := o.estimator.At(now)
	if !ok {
		return // none yet, or a clock was stepped: the old one stays, and Stepped tells
	}
	if o.at != 0 {
		o.gap = max(o.gap, now-o.at)
		o.compare(o.value+int64(o.slope*float64(now-o.at)), now)
	}
	o.known, o.value, o.at, o.slope = true, int64(value), now, 0
	if ppm, _, ok := o.estimator.Drift(); ok {
		o.slope = ppm * 1e-6
	}
	o.compare(o.value, now)
	if o.skipped++; o.skipped < o.skip {
		return
	}
	o.skipped = 0
	if len(o.points) == maxPoints {
		for i := range maxPoints / 2 {
			o.points[i] = o.points[2*i]
		}
		o.points = o.points[:maxPoints/2]
		o.skip *= 2
	}
	o.points = append(o.points, point{now, o.value, bound})
}

// compare bounds the error of a value that is in use.
func (o *offset) compare(value, now int64) {
	if o.exchanges > o.estimator.Rejected() {
		o.sure = max(o.sure, o.estimator.Error(time.Duration(value), now))
	}
}

// delay is how long a packet took.
func (o *offset) delay(sent, received int64) int64 {
	delay := received - sent + o.value
	if o.slope != 0 {
		delay += int64(o.slope * float64(received-o.at))
	}
	return delay
}

// uncertainty bounds the error of every delay by what is known at the end: at each remembered moment the truth was within the
// bound of then, and is within the bound of now. A drift that changes says nothing about other times: then it is what the
// exchanges until each moment allowed, and what clocks can drift apart until the next one.
func (o *offset) uncertainty() time.Duration {
	if o.estimator.Slewed() {
		return o.sure + time.Duration(clock.MaxSlew*float64(o.gap)) + resolution
	}
	var worst time.Duration
	for _, p := range o.points {
		bound := p.bound
		if value, later, ok := o.estimator.At(p.at); ok {
			bound = min(bound, (value-time.Duration(p.value)).Abs()+later)
		}
		worst = max(worst, bound)
	}
	return worst + resolution
}

// moved is how much the offsets in use may differ from each other more than the clocks did: the error of differences of delays, in which
// the offset itself is not. It is twice what they differ from an even drift, which is known no better; for clocks that are slewed, and at
// most, what the errors of two delays allow.
func (o *offset) moved() time.Duration {
	if len(o.points) == 0 {
		return 0
	}
	bound := 2 * o.uncertainty()
	if o.estimator.Slewed() {
		return bound
	}
	ppm, _, _ := o.estimator.Drift()
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for _, p := range o.points {
		v := p.value - int64(ppm*1e-6*float64(p.at-o.points[0].at))
		least, most = min(least, v), max(most, v)
	}
	return min(2*time.Duration(most-least), bound)
}

// stepped says whether a clock was stepped while it was watched.
func (o *offset) stepped() bool { return o.estimator.Stepped() }
