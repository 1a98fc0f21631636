package udp

import (
	"math"
	"sync"
	"time"

	"github.com/netpupper/netp"
)

const (
	// settling is how many packets are looked at before the first reference for delays is chosen.
	settling = 64
	maxRows  = 600
	maxRates = 1 << 20 // intervals of the metric rate: those of the longest session are a second each
)

// collector turns the arrivals of one direction into statistics. It knows no sockets and reads no clock: what it makes of a
// list of arrivals is always the same. Arrivals are added by one goroutine per stream, each under the lock.
type collector struct {
	set   settings
	limit uint64 // of sequence numbers

	mu      sync.Mutex // guards what follows
	tracks  []*track
	clock   offset
	arrived uint64 // bytes, of packets that are held back and of copies, too

	// Delays are kept relative to a reference close to the smallest one: a histogram is exact near zero.
	relative  *netp.Distribution
	pending   []sample // until there is a reference
	reference int64
	smallest  int64 // delay so far

	received   uint64 // counted packets in time, each once
	unplaced   uint64 // of these, while the offset of the clocks was unknown
	late       uint64
	copies     uint64
	forgotten  uint64 // arrivals that the window did not reach any more: late, or copies
	excess     uint64 // sequence numbers no honest sender uses
	jitterSum  float64
	losses     netp.Tally
	overtaken  netp.Tally
	duplicated netp.Tally
	useless    netp.Tally // lost, or too late for the playout buffer
	rates      timeline[uint64]
	rows       timeline[row]
	began      int64  // arrival of the first counted packet (wall clock)
	first      uint64 // its index
}

// track is the state of one stream.
type track struct {
	window
	number     uint64
	received   uint64
	late       uint64
	copies     uint64
	highest    uint64 // sequence number of any arrival + 1
	transit    int64  // of the packet before
	hasTransit bool
	jitter     float64
}

// row is what the time series is made of: packets by the time at which they were sent.
type row struct {
	received uint64
	highest  uint64 // index of any packet up to here + 1
	bytes    uint64
	delay    float64 // sum
	lag      int64
}

// sample is a packet whose delay is known.
type sample struct {
	index uint64 // among the packets of all streams, in the order of sending
	delay int64
}

func newCollector(s settings, sameClock bool) *collector {
	c := &collector{
		set:      s,
		limit:    s.limit(),
		clock:    newOffset(sameClock),
		relative: netp.NewDistribution(1e-9),
		pending:  make([]sample, 0, settling),
		rates:    timeline[uint64]{length: int64(s.rateInterval()), most: maxRates, join: func(a *uint64, b uint64) { *a += b }},
		rows:     timeline[row]{length: int64(s.rowLength()), most: maxRows, join: joinRows},
	}
	for i := range s.streams {
		t := &track{number: uint64(i)}
		t.window = *newWindow(s.windowSize(), func(sequence uint64) {
			index := c.index(t, sequence)
			c.losses.Hit(index)
			c.useless.Hit(index)
		})
		c.tracks = append(c.tracks, t)
	}
	return c
}

func joinRows(a *row, b row) {
	a.received += b.received
	a.highest = max(a.highest, b.highest)
	a.bytes += b.bytes
	a.delay += b.delay
	a.lag = max(a.lag, b.lag)
}

// index is the place of a packet among those of all streams.
func (c *collector) index(t *track, sequence uint64) uint64 {
	return sequence*uint64(c.set.streams) + t.number
}

// add takes counted packets: one, or a run.
func (c *collector) add(t *track, a *arrival) {
	delay := c.clock.delay(a.sent, a.received)
	late := c.tooLate(delay)
	n := a.more + 1
	if n > 1 && !late && a.sequence >= t.next && a.sequence >= t.base && a.sequence+n <= c.limit && n < minWindow {
		t.highest = max(t.highest, a.sequence+n)
		t.addRun(a.sequence, n)
		c.count(t, a, n, delay)
		return
	}
	one := *a
	for one.more = 0; one.sequence < a.sequence+n; one.sequence++ {
		c.one(t, &one, delay, late)
	}
}

// one takes one counted packet.
func (c *collector) one(t *track, a *arrival, delay int64, late bool) {
	if a.sequence >= c.limit {
		c.excess++
		return
	}
	t.highest = max(t.highest, a.sequence+1)
	if late && !t.has(a.sequence) {
		switch t.overdue(a.sequence) {
		case fresh:
			c.late++
			t.late++
		case expired:
			c.forgotten++
		}
		return
	}
	switch t.window.add(a.sequence) {
	case overtaken:
		c.overtaken.Hit(c.received)
	case secondCopy:
		c.duplicated.Hit(c.received - 1)
		c.copies++
		t.copies++
		return
	case furtherCopy:
		c.copies++
		t.copies++
		return
	case expired:
		c.forgotten++
		return
	}
	c.count(t, a, 1, delay)
}

// tooLate says whether a delay is beyond the timeout. While the offset of the clocks is unknown, the fastest packet is assumed
// to have taken no time.
func (c *collector) tooLate(delay int64) bool {
	if !c.clock.known {
		if c.received == 0 {
			return false
		}
		delay -= c.smallest
	}
	return delay > int64(c.set.timeout)
}

// count takes n packets that arrived in time, and for the first time, n > 1 for a run.
func (c *collector) count(t *track, a *arrival, n uint64, delay int64) {
	if c.received == 0 {
		c.began, c.first, c.smallest = a.received, c.index(t, a.sequence), delay
	}
	c.smallest = min(c.smallest, delay)
	c.received += n
	t.received += n
	if !c.clock.known {
		c.unplaced += n
	}
	bytes := n * uint64(a.size)
	c.jitterSum += t.spacing(a, n)
	c.observe(t, a.sequence, n, delay)
	*c.rates.at(a.received) += bytes
	r := c.rows.at(a.sent)
	r.received += n
	r.highest = max(r.highest, c.index(t, a.sequence+n-1)+1)
	r.bytes += bytes
	r.delay += float64(delay) * float64(n)
}

// spacing updates the jitter of RFC 3550 §6.4.1 with n packets, and gives the sum of its n values. Within a run the spacing
// does not differ.
func (t *track) spacing(a *arrival, n uint64) (sum float64) {
	transit := a.received - a.sent
	if t.hasTransit {
		t.jitter += (math.Abs(float64(transit-t.transit)) - t.jitter) / 16
	}
	t.transit, t.hasTransit = transit, true
	sum = t.jitter
	if n > 1 { // each value is 15/16 of the one before
		left := math.Pow(15./16, float64(n-1))
		sum += t.jitter * 15 * (1 - left)
		t.jitter *= left
	}
	return sum
}

// observe records the delay of n packets from one on, once there is a reference.
func (c *collector) observe(t *track, sequence, n uint64, delay int64) {
	for ; n > 0 && c.pending != nil; n-- {
		c.pending = append(c.pending, sample{c.index(t, sequence), delay})
		if len(c.pending) == settling {
			c.settle()
		}
		sequence++
	}
	c.relative.RecordN(delay-c.reference, n)
	if c.tooLateToPlay(delay) {
		for i := range n {
			c.useless.Hit(c.index(t, sequence+i))
		}
	}
}

// settle chooses the reference and records what has waited for it.
func (c *collector) settle() {
	waiting := c.pending
	c.pending = nil
	c.reference = c.smallest
	for _, s := range waiting {
		c.relative.Record(s.delay - c.reference)
		if c.tooLateToPlay(s.delay) {
			c.useless.Hit(s.index)
		}
	}
}

// tooLateToPlay says whether a delay is beyond the playout buffer, if there is one.
func (c *collector) tooLateToPlay(delay int64) bool {
	return c.set.playout > 0 && delay-c.smallest > int64(c.set.playout)
}

// lag marks the row in which packets that arrived at a time waited long for us to read them.
func (c *collector) lag(arrived, lag int64) {
	if c.received > 0 {
		r := c.rows.at(arrived + c.clock.value - c.smallest) // when they were sent, about
		r.lag = max(r.lag, lag)
	}
}

// outcome is what the packets of a direction came to.
type outcome struct {
	sent      uint64 // as judged
	beyond    uint64 // arrived, though the sender claims not to have sent them
	longest   uint64
	metrics   map[string]netp.Measurement
	intervals []netp.Interval
}

// finish judges the session. sent is the number of packets of each stream; nothing can be added afterwards.
func (c *collector) finish(sent []uint64, span time.Duration) outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil {
		c.settle()
	}
	var o outcome
	for i, t := range c.tracks {
		o.sent += sent[i]
		o.beyond += t.finish(min(sent[i], c.limit))
		o.longest = max(o.longest, t.longest)
	}
	o.metrics = c.metrics(o, span)
	o.intervals = c.intervals(o.sent, span)
	return o
}

func (c *collector) metrics(o outcome, span time.Duration) map[string]netp.Measurement {
	count := func(n uint64) netp.Measurement { return netp.Value(float64(n)) }
	m := map[string]netp.Measurement{
		metricLoss:        ratio(&c.losses, o.sent),
		metricLost:        count(c.losses.Total()),
		metricSent:        count(o.sent),
		metricReceived:    count(c.received),
		metricLongest:     count(o.longest),
		metricLate:        count(c.late),
		metricReordered:   ratio(&c.overtaken, c.received),
		metricReorderings: count(c.overtaken.Total()),
		metricDuplicated:  ratio(&c.duplicated, c.received),
		metricDuplicates:  count(c.copies),
		metricRate:        {Distribution: c.rate(span)},
	}
	if c.set.playout > 0 {
		m[metricEffective] = ratio(&c.useless, o.sent)
	}
	if c.received > 0 {
		delay := shifted(c.relative, c.reference)
		m[metricDelay] = netp.Measurement{Distribution: delay, Uncertainty: c.clock.uncertainty().Seconds()}
		m[metricVariation] = netp.Measurement{Distribution: shifted(c.relative, -c.relative.All.Min()), Uncertainty: c.clock.moved().Seconds()}
		m[metricJitter] = netp.Value(c.jitterSum / float64(c.received) * 1e-9)
	}
	return m
}

// ratio is the tally as a measurement. The index of a packet can lie beyond the trials when the streams of a flood have not
// sent the same number; those events go to the last batch.
func ratio(t *netp.Tally, trials uint64) netp.Measurement {
	r := t.Hits(trials)
	if beyond := min(t.Total(), trials) - min(r.Events, trials); beyond > 0 && len(r.Batches) > 0 {
		r.Batches[len(r.Batches)-1] += beyond
		r.Events += beyond
	}
	return netp.Measurement{Ratio: r}
}

// rate is the distribution of the received bit rate over the intervals that are over; span is how long counted packets were
// to be sent, 0 when that was not known.
func (c *collector) rate(span time.Duration) *netp.Distribution {
	d := netp.NewDistribution(1)
	cells := c.rates.cells
	whole := len(cells) - 1 // the last one is not over
	if span > 0 {
		// The sender stopped at the end of the span: intervals up to there are complete, also those without a packet.
		whole = min(int(int64(span)/c.rates.length), maxRates)
	}
	for i := range max(whole, 0) {
		var bytes uint64
		if i < len(cells) {
			bytes = cells[i]
		}
		d.Record(int64(float64(bytes) * 8e9 / float64(c.rates.length)))
	}
	return d
}

// intervals is the time series by the time of sending. Where nothing arrived in a row, the packets sent meanwhile are known
// only by the sequence numbers that follow, and are spread evenly.
func (c *collector) intervals(sent uint64, span time.Duration) []netp.Interval {
	var out []netp.Interval
	var before uint64
	rows := c.rows.cells
	if len(rows) > 0 {
		before := float64(span) * float64(c.first) / float64(max(sent, 1)) // the first arrival, with which the rows begin
		n := int(math.Ceil((float64(span) - before) / float64(c.rows.length)))
		rows = append(rows, make([]row, max(0, n-len(rows)))...) // for what was sent after the last arrival
	}
	for i := 0; i < len(rows); {
		j := i // rows i to j share what was sent up to j
		for j < len(rows)-1 && rows[j].received == 0 {
			j++
		}
		reached := max(rows[j].highest, before)
		if j == len(rows)-1 {
			reached = max(sent, before)
		}
		share := float64(reached-before) / float64(j-i+1)
		for ; i <= j; i++ {
			out = append(out, c.interval(i, rows[i], share))
		}
		before = reached
	}
	return out
}

func (c *collector) interval(i int, r row, sent float64) netp.Interval {
	length := time.Duration(c.rows.length)
	values := map[string]float64{
		metricSent: sent, metricReceived: float64(r.received),
		metricLost: math.Max(0, sent-float64(r.received)),
		metricRate: float64(r.bytes) * 8 / length.Seconds(),
	}
	if r.received > 0 {
		values[metricDelay+".mean"] = r.delay / float64(r.received) * 1e-9
	}
	if r.lag > 0 {
		values[checkStall] = float64(r.lag) * 1e-9
	}
	return netp.Interval{Start: time.Duration(i) * length, Length: length, Values: values}
}
