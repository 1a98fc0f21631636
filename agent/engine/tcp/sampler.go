package tcp

import (
	"time"

	"github.com/netpupper/netp"
)

// figures are what TCP knows of one connection (RFC 4898, on Linux TCP_INFO). All counters are since the connection stood.
type figures struct {
	known       bool
	rtt, minRTT time.Duration
	retransmits uint64 // segments
	window      uint64 // congestion window [B]
	payload     int    // of a full segment [B]
	packet      int    // path MTU [B]
	delivery    float64
	queued      uint64 // bytes not yet sent and segments not yet acknowledged: 0 means nothing to do

	counts       bool   // sent and resent are known (Linux 4.19)
	sent, resent uint64 // bytes

	limits             bool // busy, rwnd and sndbuf are known (Linux 4.10)
	busy, rwnd, sndbuf time.Duration
}

// sampler follows the figures of a sender's connections, from one tick to the next.
type sampler struct {
	omit   int64
	start  int64
	base   []figures // when the measurement began; nil before
	last   []figures
	atBase int64
	atLast int64
	rtt    *netp.Distribution // one sample per tick: the mean of the streams
	rows   []netp.Interval    // rtt, retransmits, cwnd, delivery_rate
	joined int                // ticks per row
	inRow  int                // ticks in the last row
	// idle is the time in which a held sender had nothing in flight.
	idle time.Duration
	// least is the smallest minRTT of all readings: the kernel's own is that of the last 300 s (net.ipv4.tcp_min_rtt_wlen).
	least time.Duration
}

func newSampler(omit int64) sampler {
	return sampler{omit: omit, rtt: netp.NewDistribution(1e-6), joined: 1}
}

// begin takes the reading before the first byte.
func (m *sampler) begin(now int64, f []figures) {
	m.start, m.last, m.atLast = now, f, now
	m.lowest(f)
	if m.omit == 0 {
		m.base, m.atBase = f, now
	}
}

// tick takes the next reading.
func (m *sampler) tick(now int64, f []figures, held bool) {
	for i := range f {
		if !f[i].known {
			f[i] = m.last[i]
		}
	}
	m.lowest(f)
	if m.base == nil {
		if now-m.start >= m.omit {
			m.base, m.atBase = f, now
		}
		m.last, m.atLast = f, now
		return
	}
	if rtt, ok := meanRTT(f); ok {
		m.rtt.Record(rtt.Microseconds())
		m.row(now, f, rtt)
	}
	if held && !busy(f) {
		m.idle += time.Duration(now - m.atLast)
	}
	m.last, m.atLast = f, now
}

// elapsed is the time of the measurement; 0 when it has not begun.
func (m *sampler) elapsed() time.Duration {
	if m.base == nil {
		return 0
	}
	return time.Duration(m.atLast - m.atBase)
}

// handed is how many bytes TCP has sent since the connections stood, those that it sent again among them.
func (m *sampler) handed() (sent uint64, known bool) {
	for _, f := range m.last {
		if !f.counts {
			return 0, false
		}
		sent += f.sent
	}
	return sent, len(m.last) > 0
}

// row adds the reading to the time series; at the bound neighbours are joined.
func (m *sampler) row(now int64, f []figures, rtt time.Duration) {
	var again, window, delivery float64
	for i := range f {
		again += float64(f[i].retransmits - m.last[i].retransmits)
		window += float64(f[i].window)
		delivery += f[i].delivery
	}
	next := netp.Interval{
		Start: time.Duration(m.atLast - m.start), Length: time.Duration(now - m.atLast),
		Values: map[string]float64{"rtt": rtt.Seconds(), "retransmits": again, "cwnd": window, "delivery_rate": delivery},
	}
	if m.inRow > 0 && m.inRow < m.joined {
		join(&m.rows[len(m.rows)-1], next)
		m.inRow++
		return
	}
	if len(m.rows) == maxRows {
		for i := range maxRows / 2 {
			m.rows[i] = m.rows[2*i]
			join(&m.rows[i], m.rows[2*i+1])
		}
		m.rows = m.rows[:maxRows/2]
		m.joined *= 2
	}
	m.rows = append(m.rows, next)
	m.inRow = 1
}

// join appends the interval b to a: means by length, counts by sum.
func join(a *netp.Interval, b netp.Interval) {
	la, lb := float64(a.Length), float64(b.Length)
	for name, v := range b.Values {
		if name == "retransmits" {
			a.Values[name] += v
		} else {
			a.Values[name] = (a.Values[name]*la + v*lb) / (la + lb)
		}
	}
	a.Length += b.Length
}

// meanRTT is the mean over the streams that have measured one.
func meanRTT(f []figures) (time.Duration, bool) {
	var sum time.Duration
	n := 0
	for i := range f {
		if f[i].known && f[i].rtt > 0 {
			sum += f[i].rtt
			n++
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / time.Duration(n), true
}

// busy reports whether any stream has something to send or in flight.
func busy(f []figures) bool {
	for i := range f {
		if f[i].queued > 0 || !f[i].known {
			return true
		}
	}
	return false
}

// minRTT is the smallest round-trip time any stream has seen, set-up included: that of the empty path. 0 when unknown.
func (m *sampler) minRTT() time.Duration { return m.least }

// lowest keeps the smallest round-trip time of a reading.
func (m *sampler) lowest(f []figures) {
	for i := range f {
		if r := f[i].minRTT; r > 0 && (m.least == 0 || r < m.least) {
			m.least = r
		}
	}
}

// change is what happened during the measurement, all streams together; valid says which of its fields are known.
func (m *sampler) change() (sum figures) {
	if len(m.base) == 0 {
		return figures{}
	}
	sum.known, sum.counts, sum.limits = true, true, true
	for i := range m.last {
		a, b := &m.base[i], &m.last[i]
		sum.known = sum.known && a.known && b.known
		sum.counts = sum.counts && a.counts && b.counts
		sum.limits = sum.limits && a.limits && b.limits
		sum.retransmits += b.retransmits - a.retransmits
		sum.sent += b.sent - a.sent
		sum.resent += b.resent - a.resent
		sum.busy += b.busy - a.busy
		sum.rwnd += b.rwnd - a.rwnd
		sum.sndbuf += b.sndbuf - a.sndbuf
	}
	return sum
}
