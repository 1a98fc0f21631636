package emulator

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Counters are what a direction of a line did, exactly. In = Blocked + TooLong + Lost + Dropped + (Out − Duplicated) + those on
// their way.
type Counters struct {
	In         uint64 // chosen packets that arrived
	Out        uint64 // chosen packets that left, copies too
	Passed     uint64 // frames that were not chosen and left
	Blocked    uint64 // lost while the direction was down
	TooLong    uint64
	Lost       uint64 // by Loss, LossEvery and Burst
	Dropped    uint64 // by the queue
	Corrupted  uint64
	Marked     uint64
	Duplicated uint64
	Reordered  uint64 // that left, copies aside, after one that had arrived after them
	InBytes    uint64 // of the IP packets
	OutBytes   uint64
	// Missed are frames the emulator itself lost: it did not get to them in time, or the device did not take them (it is down at
	// the far end, or the machine is too busy). A measurement across them means nothing.
	Missed uint64
}

// Fates of a packet.
const (
	Sent      = 1
	Lost      = 2
	Dropped   = 3
	TooLong   = 4
	Blocked   = 5
	Corrupted = 6 // and sent
)

// headLength is how much of the transport header and payload a record keeps.
const headLength = 48

// Record is what happened to one chosen packet, or one copy of it. Times are Unix nanoseconds of the host's clock.
type Record struct {
	Arrival   int64  // the kernel's stamp
	Due       int64  // when it was to leave; 0 when it was not
	Departure int64  // when it left
	Number    uint64 // of the packet among those that arrived, from 0
	Length    uint16 // of the IP packet
	Protocol  uint8
	Fate      uint8
	Copy      bool
	Head      [headLength]byte // transport header and the beginning of its payload
}

// recordSize is that of an encoded Record.
const recordSize = 8*4 + 2 + 1 + 1 + 1 + 3 + headLength

func (r *Record) encode(b []byte) {
	binary.LittleEndian.PutUint64(b, uint64(r.Arrival))
	binary.LittleEndian.PutUint64(b[8:], uint64(r.Due))
	binary.LittleEndian.PutUint64(b[16:], uint64(r.Departure))
	binary.LittleEndian.PutUint64(b[24:], r.Number)
	binary.LittleEndian.PutUint16(b[32:], r.Length)
	b[34], b[35], b[36] = r.Protocol, r.Fate, 0
	if r.Copy {
		b[36] = 1
	}
	copy(b[40:recordSize], r.Head[:])
}

func decodeRecords(b []byte) []Record {
	out := make([]Record, len(b)/recordSize)
	for i := range out {
		r, b := &out[i], b[i*recordSize:]
		r.Arrival, r.Due = int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:]))
		r.Departure, r.Number = int64(binary.LittleEndian.Uint64(b[16:])), binary.LittleEndian.Uint64(b[24:])
		r.Length, r.Protocol, r.Fate, r.Copy = binary.LittleEndian.Uint16(b[32:]), b[34], b[35], b[36] != 0
		copy(r.Head[:], b[40:recordSize])
	}
	return out
}

// Lateness is how late packets left the emulator: the time between Due and Departure, in buckets of an eighth of a power of two.
type Lateness struct {
	Count   uint64
	Max     time.Duration
	Buckets [latenessBuckets]uint64
}

const latenessBuckets = 8 * 40

func (l *Lateness) add(d int64) {
	l.Count++
	l.Max = max(l.Max, time.Duration(d))
	l.Buckets[latenessBucket(uint64(max(d, 0)))]++
}

func latenessBucket(v uint64) int {
	exp := bits.Len64(v) - 1
	if exp < 3 {
		return int(v)
	}
	return min(8*(exp-2)+int(v>>(exp-3)&7), latenessBuckets-1)
}

// Quantile is the smallest bound below which the share q of the packets were late.
func (l *Lateness) Quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(l.Count)))
	var seen uint64
	for i, n := range l.Buckets {
		if seen += n; seen >= rank && rank > 0 {
			if i < 8 {
				return time.Duration(i)
			}
			return min(l.Max, time.Duration((uint64(i%8)+9)<<(i/8-1)))
		}
	}
	return l.Max
}

func (l *Lateness) String() string {
	return fmt.Sprintf("%d packets late by p50 %v, p99 %v, p99.9 %v, max %v", l.Count, l.Quantile(0.5), l.Quantile(0.99), l.Quantile(0.999), l.Max)
}
