package port

import "sync/atomic"

// Stats counts what reached the port since it was opened. Only set-up packets and strays are seen by the port; the traffic
// of the flows is not.
type Stats struct {
	AcceptedUDP    uint64 // flows let in
	AcceptedTCP    uint64 // connections let in
	Answers        uint64 // packets sent, over UDP and TCP, repeated ones included; each as long as its request
	Malformed      uint64 // no set-up packet, or one of another version
	UnknownSession uint64 // a session that is not expected, or not any more
	WrongPeer      uint64 // an address that the session, or every session, excludes
	BadTag         uint64 // the tag does not belong to the packet
	Replayed       uint64 // a hello seen before, or a second one for a stream that is taken
	Refused        uint64 // a valid hello that found no room: too many flows, or no socket to be had
	Idle           uint64 // TCP connections that said too little in time
	Evicted        uint64 // TCP connections that had to make room before their hello
	Dropped        uint64 // packets of flows that share the socket of the port, dropped because nobody read them in time
}

type counters struct {
	acceptedUDP, acceptedTCP, answers                      atomic.Uint64
	malformed, unknownSession, wrongPeer, badTag, replayed atomic.Uint64
	refused, idle, evicted, dropped                        atomic.Uint64
}

// Stats reads the counters.
func (p *Port) Stats() Stats {
	c := &p.counters
	return Stats{
		AcceptedUDP:    c.acceptedUDP.Load(),
		AcceptedTCP:    c.acceptedTCP.Load(),
		Answers:        c.answers.Load(),
		Malformed:      c.malformed.Load(),
		UnknownSession: c.unknownSession.Load(),
		WrongPeer:      c.wrongPeer.Load(),
		BadTag:         c.badTag.Load(),
		Replayed:       c.replayed.Load(),
		Refused:        c.refused.Load(),
		Idle:           c.idle.Load(),
		Evicted:        c.evicted.Load(),
		Dropped:        c.dropped.Load(),
	}
}
