package tcp

import (
	"sync/atomic"
	"time"

	"github.com/netpupper/netp/agent/engine/internal/host"
)

// stallTime is how late a beat must be to count as a stall of this host.
const stallTime = 100 * time.Millisecond

// load is what this host did during a session.
type load struct {
	began   host.Reading
	use     host.Use
	stalled time.Duration
	longest time.Duration
}

func (l *load) begin() { l.began = host.Read() }

// end may be called more than once; the last call counts.
func (l *load) end() { l.use = l.began.Until(host.Read()) }

// tick notes how late a beat was, and for how long no data moved meanwhile. As long as data moved the host did not stand still, even
// if the beat had to wait.
func (l *load) tick(late, pause time.Duration) {
	if late = min(late, pause); late > stallTime {
		l.stalled += late
		l.longest = max(l.longest, late)
	}
}

// motion is when the data of a direction moved at this end, and how many bytes it was. Any of its streams may use it.
type motion struct{ last, longest, bytes atomic.Int64 }

// moved notes that n bytes moved at now (monotonic, ns).
func (m *motion) moved(now int64, n int) {
	m.bytes.Add(int64(n))
	pause := now - m.last.Swap(now)
	for known := m.longest.Load(); pause > known && !m.longest.CompareAndSwap(known, pause); known = m.longest.Load() {
	}
}

// pause is the longest time without motion since it was asked last. One that had begun before counts in full.
func (m *motion) pause(now int64) time.Duration {
	return time.Duration(max(m.longest.Swap(0), now-m.last.Load()))
}
