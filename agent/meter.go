package agent

import (
	"sync"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// meter holds one session to the agent's limits where it sends: rate, duration,
// bytes of the day, and the hard end of its order. It is safe for concurrent use
// and allocates nothing.
type meter struct {
	end time.Time // hard end
	day *dayBudget

	mu       sync.Mutex // guards what follows
	closed   bool
	endMono  int64         // as of clock.Mono
	duration time.Duration // of sending, 0 for no limit
	rate     float64       // [B/s], 0 for no limit
	depth    float64       // of the bucket [B]
	level    float64
	filled   int64 // when level was right
}

const (
	// bucketTime is how much of its rate a session may send at once; bucketFloor
	// lets the largest packets through at any rate.
	bucketTime  = 100 * time.Millisecond
	bucketFloor = 1 << 16
	// durationSlack lets a session end that started within its limit.
	durationSlack = time.Second
)

func newMeter(l netp.Limits, day *dayBudget, end time.Time) *meter {
	m := &meter{end: end, day: day, duration: l.Duration, rate: l.Rate / 8}
	m.depth = max(m.rate*bucketTime.Seconds(), bucketFloor)
	m.level = m.depth
	m.endMono = clock.Mono() + int64(time.Until(end))
	return m
}

// Allow reports whether n more bytes may be sent now.
func (m *meter) Allow(n int) bool {
	now := clock.Mono()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || now >= m.endMono {
		return false
	}
	if m.filled == 0 { // the first packet: from here the limit of the duration counts
		m.filled = now
		if m.duration > 0 {
			m.endMono = min(m.endMono, now+int64(m.duration+durationSlack))
		}
	}
	if m.rate > 0 {
		m.level = min(m.depth, m.level+m.rate*float64(now-m.filled)/1e9)
		m.filled = now
		if m.level < float64(n) {
			return false
		}
	}
	if !m.day.take(n) {
		return false
	}
	m.level -= float64(n)
	return true
}

// close lets nothing more through.
func (m *meter) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
}

// usage is what an agent has sent on a day (UTC). It is kept in the spool, so
// that a restart does not open the budget again.
type usage struct {
	Day   string `json:"day"` // 2026-11-23
	Bytes uint64 `json:"bytes"`
}

// dayBudget counts the bytes of all sessions of a day.
type dayBudget struct {
	limit uint64 // 0 for none

	mu   sync.Mutex // guards used
	used usage
}

func newDayBudget(limit uint64, used usage) *dayBudget { return &dayBudget{limit: limit, used: used} }

// turn starts a new day if it is one. b.mu is held.
func (b *dayBudget) turn(now time.Time) {
	if day := now.UTC().Format(time.DateOnly); day != b.used.Day {
		b.used = usage{Day: day}
	}
}

// left is what may still be sent today.
func (b *dayBudget) left(now time.Time) uint64 {
	if b.limit == 0 {
		return 1<<64 - 1
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn(now)
	return b.limit - min(b.limit, b.used.Bytes)
}

// take counts n bytes if they are within the budget. The day turns at admissions
// only: a session belongs to the day it started on.
func (b *dayBudget) take(n int) bool {
	if b.limit == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used.Bytes+uint64(n) > b.limit {
		return false
	}
	b.used.Bytes += uint64(n)
	return true
}

// usage is what has been sent today.
func (b *dayBudget) usage(now time.Time) usage {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit > 0 {
		b.turn(now)
	}
	return b.used
}
