package tcp

import (
	"time"

	"github.com/netpupper/netp/agent/engine"
)

// maxBacklog is how far a paced stream may lag and still catch up. What it lags more is given up: after an outage the rate
// stays a bound.
const maxBacklog = 100 * time.Millisecond

// pacer is the schedule of one paced stream: byte n is due at start + n/rate. Its chunks are of 2 ms, at least one segment.
type pacer struct {
	rate  float64 // [B/s]; 0 for none
	chunk int
	start int64   // monotonic [ns]
	spent float64 // bytes of the schedule that are sent or given up
	// excused is time since the last chunk in which others held the stream back: the network, the meter, the dead man.
	excused time.Duration
	// late is the time given up for which nobody but this host can be blamed.
	late time.Duration
}

func newPacer(rate float64) pacer {
	return pacer{rate: rate / 8, chunk: max(usualPayload, int(rate/8/500))}
}

// due says how many bytes may go now; when none, how long to wait.
func (p *pacer) due(now int64) (n int, wait time.Duration) {
	backlog := float64(now-p.start)/1e9*p.rate - p.spent
	if backlog < 0 {
		return 0, time.Duration(-backlog / p.rate * 1e9)
	}
	if most := maxBacklog.Seconds()*p.rate + float64(p.chunk); backlog > most {
		lost := seconds((backlog - most) / p.rate)
		p.late += max(0, lost-p.excused)
		p.spent += backlog - most
		backlog = most
	}
	p.excused = 0
	return max(p.chunk, int(backlog)), 0
}

// grant is what the agent's limits let a stream send, on the IP layer.
type grant struct {
	meter    engine.Meter
	overhead float64 // IP bytes per byte of payload
	credit   float64 // IP bytes allowed and not yet sent
}

// smallest is the least a stream asks its meter for.
const smallest = usualPacket

// payload says how many of n bytes may be sent; 0 when the limits allow none now.
func (g *grant) payload(n int) int {
	if g.meter == nil {
		return n
	}
	want := float64(n) * g.overhead
	for ask := int(want-g.credit) + 1; g.credit < want && ask > 0; ask /= 2 {
		ask = max(ask, smallest)
		if g.meter.Allow(ask) {
			g.credit += float64(ask)
			break
		}
		if ask == smallest {
			break
		}
	}
	if g.credit < min(want, smallest) {
		return 0
	}
	return min(n, int(g.credit/g.overhead))
}

// use books n bytes that were sent.
func (g *grant) use(n int) {
	if g.meter != nil {
		g.credit -= float64(n) * g.overhead
	}
}
