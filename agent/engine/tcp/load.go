package tcp

import (
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

// tick notes how late a beat was.
func (l *load) tick(late time.Duration) {
	if late > stallTime {
		l.stalled += late
		l.longest = max(l.longest, late)
	}
}
