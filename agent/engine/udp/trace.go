package udp

import (
	"cmp"
	"time"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/departure"
)

// trace begins to ask the system when the packets of the stream leave, where that is wanted and possible.
func (x *sender) trace() bool {
	if !x.set.traced() || !x.sock.trace() {
		return false
	}
	if x.set.slow() {
		x.spacing = int64(reportSeldom) // of the reports from now on; those before the start came faster
	}
	x.rides = x.set.riding() > 0
	x.tracer = newTracer(clock.Mono(), cmp.Or(x.set.riding(), tellAfter))
	x.departed = func(sequence uint64, kernel int64) { x.tracer.left(sequence, x.clock.Stamp(kernel)) }
	return true
}

// look does between the packets of a traced stream what serve does for others, and tells departures. When a report should have come it
// sends an echo that nobody has asked for, so that the receiver reports more often.
func (x *sender) look() {
	if x.expects(clock.Mono()) {
		if _, err := x.read(0); err != nil {
			return
		}
	}
	now := clock.Mono()
	if silent := time.Duration(now - x.arrived); silent > 3*reportSeldom/2 && silent < deadMan && now-x.complained >= int64(reportEvery) {
		x.complained = now
		x.tell(echo{})
	}
	if !x.tracer.due(now) {
		return
	}
	x.sock.departures(x.departed)
	x.tracer.taken, x.asked = x.tracer.sent, now
	if x.rides {
		return
	}
	for {
		first, end, due := x.tracer.next(now)
		if !due {
			return
		}
		x.tellDepartures(first, end)
	}
}

// ride puts into the next data packets, in place of noise, what is to be told.
func (x *sender) ride() {
	if x.asked == 0 {
		return
	}
	first, end, due := x.tracer.next(x.asked)
	if !due {
		x.asked = 0
		return
	}
	x.tracer.encode(x.buffer[headerSize:], x.place, first, end, x.sign)
}

// tellRest tells the last departures, again and again until the end is confirmed.
func (x *sender) tellRest() {
	x.sock.departures(x.departed)
	for first := x.tracer.before; first < x.tracer.sent; first += mostDepartures {
		x.tellDepartures(first, min(first+mostDepartures, x.tracer.sent))
	}
}

func (x *sender) tellDepartures(first, end uint64) {
	packet := x.tracer.encode(x.news[:], x.place, first, end, x.sign)
	if x.meter == nil || x.meter.Allow(len(packet)+x.headers) {
		_ = x.sock.send(packet, departure.None) // the next packet tells the same once more
	}
}
