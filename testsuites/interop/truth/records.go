//go:build linux

package main

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// What the emulator's records say of the packets of one session. The offsets are written out here: an oracle does not use the code
// it checks. A record's head begins with the 8 bytes of the UDP header.

// counted says whether a record is of a packet that the udp kind counts, and gives its sequence number.
func counted(r emulator.Record) (sequence uint64, yes bool) {
	if r.Protocol != 17 || r.Length < 28+32 || r.Head[8] != 1 || r.Head[9] != 1 && r.Head[9] != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint64(append([]byte{0, 0}, r.Head[18:24]...)), true
}

// probe says whether a record is of an authenticated STAMP packet of the session-sender, and gives its sequence number: bytes 4
// to 16 of the packet are zero, and 26 on.
func probe(r emulator.Record) (sequence uint64, yes bool) {
	if r.Protocol != 17 || r.Length != 28+sealedSize && r.Length != 48+sealedSize {
		return 0, false
	}
	return uint64(binary.BigEndian.Uint32(r.Head[8:])), true
}

// events are what happened to a stream on its way.
type events struct {
	sent, lost, received, copies, reordered uint64
	delays                                  map[uint64]int64 // of the first copy of each packet that left, by sequence [ns]
	arrivals                                map[uint64]int64 // at the line
}

// tell counts what happened to the packets that a choice takes.
func tell(records []emulator.Record, choose func(emulator.Record) (uint64, bool)) events {
	e := events{delays: map[uint64]int64{}, arrivals: map[uint64]int64{}}
	slices.SortStableFunc(records, func(a, b emulator.Record) int { return cmp.Compare(a.Departure, b.Departure) })
	var next uint64 // 1 + the highest that left
	for _, r := range records {
		sequence, yes := choose(r)
		if !yes {
			continue
		}
		if _, before := e.arrivals[sequence]; !before {
			e.sent++
			e.arrivals[sequence] = r.Arrival
		}
		if r.Fate != emulator.Sent {
			e.lost++
			continue
		}
		if _, again := e.delays[sequence]; again {
			e.copies++
			continue
		}
		e.received++
		e.delays[sequence] = r.Departure - r.Arrival
		if sequence < next {
			e.reordered++
		}
		next = max(next, sequence+1)
	}
	return e
}
