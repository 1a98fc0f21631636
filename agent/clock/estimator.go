package clock

import (
	"math"
	"time"
)

// Estimator finds out how far the clock of a peer is ahead of ours, from exchanges of four stamps as NTP and STAMP make
// them (RFC 5905 §8, RFC 8762). It trusts the exchanges with the smallest network round trip: the less a packet waited on
// the way, the less its two directions can differ.
//
// What no such method can see is a path whose two directions differ by nature: it shifts the estimate by half the difference.
// The bound therefore never is below half the smallest round trip, and the truth is within it whatever the asymmetry.
//
// Memory is fixed. An Estimator is for one goroutine at a time. The zero value is ready and assumes stamps without error.
type Estimator struct {
	resolution int64
	oneKernel  bool
	cells      [cellCount]exchange // the best exchange of each stretch of time
	width      int64               // ns of a cell; 0 before the first exchange
	first      int64               // t1 of the first exchange
	last       int64               // the latest t1
	latest     exchange            // that with it
	best       exchange
	steps      uint64
	rejected   uint64
}

const (
	cellCount = 64
	cellWidth = int64(50 * time.Millisecond) // doubled whenever the cells do not reach
	// MaxSlew is how fast two clocks can drift apart at worst: each is slewed by 500 ppm at most.
	MaxSlew = 1e-3
	// assumedDrift is that of two clocks until the exchanges tell it more closely: two oscillators of 100 ppm.
	assumedDrift = 200e-6
)

// exchange is what is kept of four stamps.
type exchange struct {
	at     int64 // t1, our clock
	offset int64 // peer's clock minus ours
	trip   int64 // network round trip, without the stay at the peer, and not less than it was
	used   bool
}

// NewEstimator returns an estimator for stamps that are right to within the resolution (e.g. a microsecond).
func NewEstimator(resolution time.Duration) *Estimator {
	return &Estimator{resolution: int64(resolution)}
}

// Same tells the HostIDs of the two ends. If they are known and equal, both ends read one clock: Estimate gives 0 with bound
// 0, as long as the exchanges do not contradict.
func (e *Estimator) Same(ours, peers string) { e.oneKernel = ours != "" && ours == peers }

// Add takes the stamps of one exchange, Unix nanoseconds each: sent by us (t1), received by the peer (t2), answered by the
// peer (t3), received by us (t4). Stamps that no pair of running clocks can give are counted by Rejected and not used.
func (e *Estimator) Add(t1, t2, t3, t4 int64) {
	stay := t3 - t2
	x := exchange{at: t1, trip: (t4 - t1) - stay, offset: ((t2 - t1) + (t3 - t4)) / 2, used: true}
	if x.trip < -2*e.resolution || t3 < t2 || t4 < t1 {
		e.rejected++
		return
	}
	x.trip = max(x.trip, 0) + int64(assumedDrift*float64(stay)) // by the other clock the stay was as much longer, at worst
	if e.best.used && !e.agree(x, e.best) {
		e.steps++
	}
	if !e.best.used || x.trip < e.best.trip {
		e.best = x
	}
	if !e.latest.used || t1 >= e.last {
		e.last, e.latest = t1, x
	}
	if cell := &e.cells[e.cell(t1)]; !cell.used || x.trip < cell.trip {
		*cell = x
	}
}

// agree says whether two exchanges can both be true of clocks that nobody stepped.
func (e *Estimator) agree(a, b exchange) bool {
	slack := (a.trip+b.trip)/2 + 2*e.resolution + int64(MaxSlew*math.Abs(float64(a.at-b.at)))
	return abs(a.offset-b.offset) <= slack
}

// cell is the index for a time; it makes the cells wider until the time fits.
func (e *Estimator) cell(t int64) int {
	if e.width == 0 {
		e.width, e.first = cellWidth, t
	}
	for (t-e.first)/e.width >= cellCount {
		for i := range cellCount / 2 {
			e.cells[i] = better(e.cells[2*i], e.cells[2*i+1])
		}
		clear(e.cells[cellCount/2:])
		e.width *= 2
	}
	return int(max((t-e.first)/e.width, 0))
}

func better(a, b exchange) exchange {
	if !a.used || b.used && b.trip < a.trip {
		return b
	}
	return a
}

// Rejected counts the exchanges whose stamps were impossible.
func (e *Estimator) Rejected() uint64 { return e.rejected }

// Stepped says whether one of the clocks was stepped between the exchanges: they contradict each other by more than round
// trips and drift explain. One-way delays measured meanwhile mean nothing.
func (e *Estimator) Stepped() bool { return e.steps > 0 }

// Estimate gives the peer's clock minus ours, and how far the truth can be from that at any time between the first and the
// last exchange: half the smallest network round trip, plus the resolution, plus the drift away from the exchange it was
// taken from. Subtract the offset from a one-way delay of a packet we sent; add it to one of a packet the peer sent. It is not
// ok without exchanges or after a step.
func (e *Estimator) Estimate() (offset, bound time.Duration, ok bool) {
	if e.oneKernel && e.confirmsZero() {
		return 0, 0, true
	}
	if !e.best.used || e.Stepped() {
		return 0, 0, false
	}
	slope, slopeError, _ := e.slope()
	away := float64(max(e.best.at-e.first, e.last-e.best.at))
	wander := (math.Abs(slope) + slopeError) * away
	return time.Duration(e.best.offset), e.floor(e.best) + time.Duration(wander), true
}

// At is Estimate for one time of our clock (Unix nanoseconds): it takes the exchange that says most about that time and follows
// the drift from there, so its bound is closer.
func (e *Estimator) At(t int64) (offset, bound time.Duration, ok bool) {
	if e.oneKernel && e.confirmsZero() {
		return 0, 0, true
	}
	if !e.best.used || e.Stepped() {
		return 0, 0, false
	}
	slope, slopeError, _ := e.slope()
	bound = math.MaxInt64
	consider := func(x exchange) {
		away := float64(t - x.at)
		if b := e.floor(x) + time.Duration(slopeError*math.Abs(away)); x.used && b < bound {
			offset, bound = time.Duration(x.offset)+time.Duration(slope*away), b
		}
	}
	for _, x := range e.cells {
		consider(x)
	}
	consider(e.latest)
	return offset, bound, true
}

// Error bounds how far an offset for one time of our clock can be from the truth, however the clocks are slewed: by the exchange that says
// most about that time. It needs an exchange.
func (e *Estimator) Error(offset time.Duration, t int64) time.Duration {
	least := time.Duration(math.MaxInt64)
	consider := func(x exchange) {
		if x.used {
			away := time.Duration(MaxSlew * math.Abs(float64(t-x.at)))
			least = min(least, (offset-time.Duration(x.offset)).Abs()+e.floor(x)+away)
		}
	}
	for _, x := range e.cells {
		consider(x)
	}
	consider(e.latest)
	return least
}

// Slewed reports whether the drift has changed meanwhile, as it does while a time daemon makes up for an offset: no even drift explains
// the exchanges. What one stretch of time tells of the drift says nothing about another one then.
func (e *Estimator) Slewed() bool {
	if e.oneKernel && e.confirmsZero() {
		return false
	}
	_, slopeError, _ := e.slope()
	return slopeError == MaxSlew
}

// Drift gives by how many parts per million the peer's clock is faster than ours, and how far the truth can be from that. It is
// not ok before the exchanges tell it more closely than what is assumed of such clocks, which takes the longer the longer the
// round trips are: 10 seconds for 1 ms, 100 seconds for 10 ms.
func (e *Estimator) Drift() (ppm, bound float64, ok bool) {
	if e.oneKernel && e.confirmsZero() {
		return 0, 0, true
	}
	slope, slopeError, ok := e.slope()
	return slope * 1e6, slopeError * 1e6, ok && !e.Stepped()
}

// confirmsZero says whether nothing speaks against an offset of zero.
func (e *Estimator) confirmsZero() bool {
	return !e.best.used || !e.Stepped() && abs(e.best.offset) <= e.best.trip/2+e.resolution
}

// floor is the bound at the time of an exchange.
func (e *Estimator) floor(x exchange) time.Duration {
	return time.Duration((x.trip+1)/2 + e.resolution)
}

// slope is the drift between the best exchange of the first third and that of the last third of the time, and its error: all
// that their bounds allow. While that says less than what is assumed of such clocks, it is not ok, and 0 with that as its error; with
// the worst one when the drift is not even.
func (e *Estimator) slope() (slope, slopeError float64, ok bool) {
	third := (e.last - e.first) / 3
	var early, late exchange
	for _, x := range e.cells {
		switch {
		case !x.used:
		case x.at <= e.first+third:
			early = better(early, x)
		case x.at >= e.last-third:
			late = better(late, x)
		}
	}
	slopeError = assumedDrift
	if apart := float64(late.at - early.at); early.used && late.used {
		if by := float64(e.floor(early)+e.floor(late)) / apart; by < assumedDrift {
			slope, slopeError, ok = float64(late.offset-early.offset)/apart, by, true
		}
	}
	if !e.even(slope, slopeError) {
		return 0, MaxSlew, false
	}
	return slope, slopeError, ok
}

// even reports whether all exchanges can be true of a drift that is within the error of a slope.
func (e *Estimator) even(slope, slopeError float64) bool {
	for _, x := range e.cells {
		away := float64(x.at - e.latest.at)
		off := math.Abs(float64(x.offset-e.latest.offset) - slope*away)
		if x.used && off > float64(e.floor(x)+e.floor(e.latest))+slopeError*math.Abs(away) {
			return false
		}
	}
	return true
}

func abs(n int64) int64 { return max(n, -n) }
