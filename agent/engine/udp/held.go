package udp

import "math"

const (
	// mostHeld is how many arrivals wait at most to be told when they left: more than a second's, at the highest rate of traced
	// streams.
	mostHeld = 1 << 16
	// roughStamp is the error of a time of sending [ns] that delays are promised not to have in 99 of 100 packets.
	roughStamp = 100_000
)

// held are arrivals in their order, from the first traced one on of which is not known when it left. The collector gets them
// with the right time of departure: nothing it has counted has to be corrected.
type held struct {
	departures
	queue []arrival
	first int // of the queue that is still held

	known   uint64 // departures of arrivals that were told
	rough   uint64 // of these, by how many the time in the packet was wrong by more than roughStamp
	unknown uint64
}

func (h *held) empty() bool { return h.first == len(h.queue) }

// push holds an arrival back.
func (h *held) push(a arrival) {
	if h.first > 0 && len(h.queue) == cap(h.queue) {
		h.queue = h.queue[:copy(h.queue, h.queue[h.first:])]
		h.first = 0
	}
	h.queue = append(h.queue, a)
}

// pop gives the next arrival of which all is known that will be, up to a sequence number; nil when there is none.
func (h *held) pop(upTo uint64) *arrival {
	if h.empty() {
		return nil
	}
	a := &h.queue[h.first]
	if a.purpose == purposeTraced {
		if a.sequence >= max(h.next, upTo) && len(h.queue)-h.first <= mostHeld {
			return nil
		}
		h.correct(a)
	}
	h.first++
	return a
}

// correct puts the true time of departure in place of that in the packet.
func (h *held) correct(a *arrival) {
	late := h.of(a.sequence)
	if late == unknownLateness {
		h.unknown++
		return
	}
	h.known++
	if late.ns() > roughStamp {
		h.rough++
	}
	a.sent += late.ns()
}

// doubtful is the share of packets whose delay is probably wrong by more than roughStamp: among those of which is not known when
// they left, as many as among the others. All of them, if it is known of none.
func (h *held) doubtful() float64 {
	if h.unknown == 0 {
		return 0
	}
	share := 1.
	if h.known > 0 {
		share = float64(h.rough) / float64(h.known)
	}
	return share * float64(h.unknown) / float64(h.unknown+h.known)
}

// all is a sequence number up to which all arrivals are released.
const all = math.MaxUint64

// hand gives arrivals to the collector: those that are held up to a sequence number, and others as soon as it is known when they
// left.
func (r *receiver) hand(upTo uint64) {
	r.collector.mu.Lock()
	defer r.collector.mu.Unlock()
	for i := range r.arrivals {
		a := &r.arrivals[i]
		r.collector.arrived += (a.more + 1) * uint64(a.size)
		if a.purpose != purposeTraced && r.held.empty() {
			r.collector.add(r.track, a)
		} else {
			r.held.push(*a)
		}
	}
	r.arrivals = r.arrivals[:0]
	for a := r.held.pop(upTo); a != nil; a = r.held.pop(upTo) {
		r.collector.add(r.track, a)
	}
}
