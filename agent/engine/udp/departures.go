package udp

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/netpupper/netp/agent/port"
)

// How the receiver learns when a packet left. The time in a packet is read before the system call that sends it; the kernel's stamp
// of the departure (package departure) is known only when it has left. So the sender tells by how much later that was, each departure
// twice: a packet that is lost costs nothing. What it tells rides in the noise of data packets, so that the path carries not one byte
// more than was asked for; only where they are too small for that in packets of its own. The receiver holds arrivals back until then (held.go).
const (
	// tracedUpTo is up to how many packets per second a stream is traced.
	tracedUpTo = 20_000
	// tellAfter is after how many packets, and tellEvery after how long the sender tells.
	tellAfter = 32
	tellEvery = time.Second
	// leastRiding is how many departures must fit into a data packet for them to ride there.
	leastRiding = 4
	// mostDepartures are in one packet, which is small on any path.
	mostDepartures = 2 * tellAfter
	departuresSize = departuresHead + 2*mostDepartures + port.TagSize
	departuresHead = 16
	// traceRing is for how many packets the sender remembers.
	traceRing = 1 << 10
	// blindAfter is after how many packets without a stamp tracing is given up: some devices do not stamp.
	blindAfter = traceRing / 2
)

// lateness is by how much later than the time in it a packet left: exponent and mantissa, as on the wire.
type lateness uint16

const (
	unknownLateness lateness = math.MaxUint16
	mantissaBits             = 11
)

// latenessOf rounds to within 0.05 %. What is negative is no lateness: a clock was stepped, or the stamp is not of this packet.
func latenessOf(ns int64) lateness {
	if ns < 0 {
		return unknownLateness
	}
	exponent := max(bits.Len64(uint64(ns))-mantissaBits, 0)
	code := uint64(exponent)<<mantissaBits | uint64(ns)>>exponent
	return lateness(min(code, uint64(unknownLateness)))
}

func (l lateness) ns() int64 {
	exponent := l >> mantissaBits
	return int64(l&(1<<mantissaBits-1))<<exponent | int64(1)<<exponent>>1
}

// tracer keeps when the packets of a stream left until the receiver has been told twice. It is for one goroutine.
type tracer struct {
	stamps [traceRing]int64 // in the packets, by sequence number
	late   [traceRing]lateness
	sent   uint64 // packets
	known  uint64 // the highest whose departure is known + 1
	before uint64 // what was told last begins here ...
	told   uint64 // ... and ends here
	taken  uint64 // packets sent when the kernel was asked last
	at     int64  // when all was told that was known (clock.Mono)
	mark   uint64 // packets sent by then
	batch  uint64 // departures told at a time
}

func newTracer(now int64, batch int) *tracer { return &tracer{at: now, batch: uint64(batch)} }

// riding is how many departures are told at a time in data packets, 0 where they have no room.
func (s settings) riding() int {
	n := (slices.Min(s.sizes) - headerSize - departuresHead - port.TagSize) / (2 * 2)
	if n < leastRiding {
		return 0
	}
	return min(n, tellAfter)
}

// sending notes the time in a packet.
func (t *tracer) sending(sequence uint64, stamp int64) {
	t.stamps[sequence%traceRing], t.late[sequence%traceRing] = stamp, unknownLateness
	t.sent = sequence + 1
}

// left notes when a packet left, on the clock of the stamps.
func (t *tracer) left(sequence uint64, at int64) {
	if sequence < t.sent && t.sent-sequence <= traceRing {
		t.late[sequence%traceRing] = latenessOf(at - t.stamps[sequence%traceRing])
		t.known = max(t.known, sequence+1)
	}
}

// pending is how many packets were sent since the kernel was asked for departures, of which it remembers some hundreds.
func (t *tracer) pending() uint64 { return t.sent - t.taken }

// due says whether it is time to ask the kernel, and to tell.
func (t *tracer) due(now int64) bool {
	return t.pending() >= tellAfter || now-t.at >= int64(tellEvery)
}

// blind says that the kernel gives no stamps.
func (t *tracer) blind() bool { return t.sent-t.known >= blindAfter }

// next says which departures are to be told, if any, when the kernel was asked at a time: those told last once more, and the next ones.
func (t *tracer) next(now int64) (first, end uint64, due bool) {
	ready := t.known
	switch {
	case now-t.at >= int64(tellEvery):
		ready = max(ready, t.mark) // what is not known after so long never will be
	case ready < t.told+t.batch:
		return 0, 0, false
	}
	end = min(ready, t.told+t.batch)
	if end >= ready {
		t.at, t.mark = now, t.taken
	}
	if end <= t.told {
		return 0, 0, false
	}
	first, t.before, t.told = t.before, t.told, end
	return first, end, true
}

// encode makes the packet that tells some departures, at most mostDepartures.
func (t *tracer) encode(b []byte, p place, first, end uint64, tagger *port.Tagger) []byte {
	n := int(end - first)
	b = b[:departuresHead+2*n+port.TagSize]
	clear(b)
	b[0], b[4] = kindDepartures, p.way
	binary.BigEndian.PutUint16(b[2:], p.stream)
	binary.BigEndian.PutUint16(b[6:], uint16(n))
	binary.BigEndian.PutUint64(b[8:], first)
	for i := range n {
		binary.BigEndian.PutUint16(b[departuresHead+2*i:], uint16(t.late[(first+uint64(i))%traceRing]))
	}
	tagger.Seal(b)
	return b
}

// departures is what a receiver knows of when packets left: of the latest, as many as it has room for.
type departures struct {
	late []lateness           // by sequence number
	next uint64               // of this and later ones nothing was told
	last [departuresHead]byte // the head of what rode in a data packet last
}

// newDepartures has room for twice the packets of a time and of what is told late, a power of two.
func newDepartures(pps float64, timeout time.Duration) departures {
	size := mostDepartures
	for want := 2 * pps * (timeout + tellEvery).Seconds(); float64(size) < want && size < maxWindow; {
		size *= 2
	}
	return departures{late: make([]lateness, size)}
}

// decode takes a packet that tells departures up to a limit of sequence numbers; it says false for anything else.
func (d *departures) decode(b []byte, p place, limit uint64, tagger *port.Tagger) bool {
	if len(b) < departuresHead+port.TagSize || b[0] != kindDepartures || !tagger.Open(b) {
		return false
	}
	n := int(binary.BigEndian.Uint16(b[6:]))
	if (place{binary.BigEndian.Uint16(b[2:]), b[4]}) != p || len(b) != departuresHead+2*n+port.TagSize {
		return false
	}
	first := binary.BigEndian.Uint64(b[8:])
	if first > limit || n > mostDepartures {
		return true // of no honest sender
	}
	d.reach(first + uint64(n))
	for i := range n {
		if l := lateness(binary.BigEndian.Uint16(b[departuresHead+2*i:])); l != unknownLateness && d.covers(first+uint64(i)) {
			*d.at(first + uint64(i)) = l
		}
	}
	return true
}

// aboard takes what rides in a data packet, unless it was told just before, and says whether it did.
func (d *departures) aboard(packet []byte, p place, limit uint64, tagger *port.Tagger) bool {
	b := packet[headerSize:]
	if len(b) < departuresHead+port.TagSize || b[0] != kindDepartures || [departuresHead]byte(b) == d.last {
		return false
	}
	size := departuresHead + 2*int(binary.BigEndian.Uint16(b[6:])) + port.TagSize
	if size > len(b) || !d.decode(b[:size], p, limit, tagger) {
		return false
	}
	d.last = [departuresHead]byte(b)
	return true
}

// reach forgets old departures for new ones, which are unknown at first.
func (d *departures) reach(next uint64) {
	for s := max(d.next, next-min(next, uint64(len(d.late)))); s < next; s++ {
		*d.at(s) = unknownLateness
	}
	d.next = max(d.next, next)
}

func (d *departures) at(sequence uint64) *lateness { return &d.late[sequence%uint64(len(d.late))] }

func (d *departures) covers(sequence uint64) bool {
	return sequence < d.next && d.next-sequence <= uint64(len(d.late))
}

// of gives by how much later than the time in it a packet left; unknownLateness also when that was told too long ago.
func (d *departures) of(sequence uint64) lateness {
	if !d.covers(sequence) {
		return unknownLateness
	}
	return *d.at(sequence)
}
