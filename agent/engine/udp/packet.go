package udp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/netpupper/netp/agent/port"
)

// The packets of a flow. Numbers are big-endian; protocol.md says who sends what when, and why the tags are made as they are.
//
// Data, from the sending to the receiving side; the UDP payload is as long as the session says, at least 32 bytes:
//
//	 0  1 kind: 1
//	 1  1 purpose: 1 counted, 2 warm-up, 3 trial of the packet size, 4 counted and traced
//	 2  8 wall clock of the sender just before the send call, of a flood up to 10 µs before, Unix nanoseconds
//	10  6 sequence number; counted, warm-up and trial packets count from 0 each
//	16 16 tag: AES-128 of bytes 0 to 15 under the key of this stream and direction
//	32    noise, not covered by the tag; in traced packets with room for it a packet of departures, and then noise
//
// Report, from the receiving to the sending side:
//
//	 0  1 kind: 2
//	 1  1 state: 1 preparing, 2 ready, 3 receiving, 4 collecting, 5 done, 6 gone
//	 2  2 stream
//	 4  1 direction of the data: 1 forward, 2 reverse
//	 5  1 1 when an echo is wanted, else 0
//	 6  2 zero
//	 8  8 number of the report, from 1
//	16  8 wall clock of the receiver just before the send call, Unix nanoseconds
//	24  8 counted packets that arrived in time, each once
//	32  8 next sequence number expected: the highest received + 1
//	40  8 copies
//	48  8 packets that came after the timeout
//	56  8 trial packets that arrived
//	64  8 packets sent, as the receiver judged them; 0 before done
//	72  8 zero
//	80 16 tag of bytes 0 to 79
//
// Echo, from the sending to the receiving side:
//
//	 0  1 kind: 3
//	 1  1 state: 1 waiting, 2 sending, 3 finished, 4 stopped
//	 2  2 stream
//	 4  1 direction of the data
//	 5  3 zero
//	 8  8 number of the echo, from 1
//	16  8 number of the report that it answers; 0 for none
//	24  8 wall clock in that report
//	32  8 wall clock of the sender when the report arrived, Unix nanoseconds
//	40  8 wall clock of the sender just before the send call of this echo
//	48  8 counted packets sent so far; in the states finished and stopped: in all
//	56  8 of the initiator: its wall clock when it began the session, from which the time series count; of the responder 0
//	64 16 zero
//	80 16 tag of bytes 0 to 79
//
// Departures, from the sending to the receiving side, in data packets or by themselves: when traced packets really left. At most 64.
//
//	 0  1 kind: 4
//	 1  1 zero
//	 2  2 stream
//	 4  1 direction of the data
//	 5  1 zero
//	 6  2 number of departures, n
//	 8  8 sequence number of the first
//	16 2n of each in turn: by how much later than the time in the packet the kernel handed it to the device, as exponent (5 bits)
//	     and mantissa (11 bits): mantissa << exponent, in nanoseconds; all ones when that is not known
//	   16 tag of all before
//
// Versions: 1 (2026-11).
const (
	headerSize  = 32
	signedSize  = 16 // of a data packet: what the tag covers
	controlSize = 96
	maxSequence = 1<<48 - 1
)

// Kinds of packets, written out because they are on the wire. None is the first byte of a set-up packet of the data port.
const (
	kindData       = 1
	kindReport     = 2
	kindEcho       = 3
	kindDepartures = 4
)

// Purposes of data packets.
const (
	purposeCounted = 1
	purposeWarmup  = 2
	purposeTrial   = 3
	purposeTraced  = 4 // counted, and a packet of departures will tell when it left
)

// States of the receiving side.
const (
	statePreparing  = 1 // finding out the clock offset
	stateReady      = 2
	stateReceiving  = 3
	stateCollecting = 4 // the end is known, missing packets may still come
	stateDone       = 5
	stateGone       = 6 // the receiver gives up
)

// States of the sending side.
const (
	stateWaiting  = 1
	stateSending  = 2
	stateFinished = 3
	stateStopped  = 4 // ended before its time
)

// Directions, as on the wire and as the Role of a flow.
const (
	wayForward = 1
	wayReverse = 2
)

// marker makes and checks the tags of the data packets of one stream and direction. It is for one goroutine at a time.
type marker struct {
	block  cipher.Block
	tag    [signedSize]byte
	tags   []byte           // of a run
	stream cipher.Stream    // makes those of what follows on the last run
	next   [signedSize]byte // what the first packet of that has signed
}

// newMarker derives the key of the stream from the key of the sending side, so that a packet of one stream or direction is
// none of another.
func newMarker(key [32]byte, way uint8, stream uint16) *marker {
	label := fmt.Sprintf("netp udp v1 data way %d stream %d", way, stream)
	derived, err := hkdf.Expand(sha256.New, key[:], label, 16)
	if err != nil {
		panic("udp: HKDF of 16 bytes: " + err.Error()) // only a longer output can fail
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		panic("udp: AES with 16 bytes of key: " + err.Error()) // only another length can fail
	}
	return &marker{block: block}
}

// write fills the header of a data packet.
func (m *marker) write(packet []byte, purpose uint8, sequence uint64, stamp int64) {
	p := packet[:headerSize]
	putSigned(p, purpose, sequence, stamp)
	m.block.Encrypt(p[signedSize:], p[:signedSize])
}

// putSigned writes what the tag covers.
func putSigned(p []byte, purpose uint8, sequence uint64, stamp int64) {
	binary.BigEndian.PutUint64(p, kindData<<56|uint64(purpose)<<48|uint64(stamp)>>16)
	binary.BigEndian.PutUint64(p[8:], uint64(stamp)<<48|sequence)
}

// writeRun fills the headers of n packets of equal size that follow each other and leave at once.
func (m *marker) writeRun(packets []byte, size, n int, purpose uint8, sequence uint64, stamp int64) {
	putSigned(packets, purpose, sequence, stamp)
	tags := m.run(packets[:signedSize], n)
	for i := range n {
		p, tag := packets[i*size:][:headerSize], tags[i*signedSize:][:signedSize]
		putSigned(p, purpose, sequence+uint64(i), stamp)
		copy(p[signedSize:], tag)
	}
}

// run makes the tags of n packets of which the first has these signed bytes, and that follow each other and have one time. What they
// sign counts up, as the blocks do that AES in counter mode makes: it makes many at a time, and goes on with what follows on the run before.
// The result is valid until the next call.
func (m *marker) run(signed []byte, n int) []byte {
	if cap(m.tags) < n*signedSize {
		m.tags = make([]byte, n*signedSize)
	}
	tags := m.tags[:n*signedSize]
	clear(tags)
	if m.stream == nil || !bytes.Equal(m.next[:], signed) {
		m.stream = cipher.NewCTR(m.block, signed)
	}
	m.stream.XORKeyStream(tags, tags)
	copy(m.next[:], signed)
	binary.BigEndian.PutUint64(m.next[8:], binary.BigEndian.Uint64(signed[8:])+uint64(n))
	return tags
}

// arrival is a data packet as it was read, or a run of them: equal but for their sequence numbers, which follow each other. Packets
// that left with one call and arrived with one make runs.
type arrival struct {
	purpose  uint8  // purposeCounted or purposeTraced
	sequence uint64 // of the first
	sent     int64  // sender's clock
	received int64  // our clock
	size     int
	more     uint64 // packets after the first
}

// extend takes what follows into the run, if it belongs to it.
func (a *arrival) extend(b *arrival) bool {
	if b.sequence != a.sequence+a.more+1 || b.purpose == purposeTraced || a.purpose == purposeTraced || b.sent != a.sent || b.received != a.received || b.size != a.size {
		return false
	}
	a.more += b.more + 1
	return true
}

// read checks and decodes a data packet; it says false for anything else.
func (m *marker) read(packet []byte, a *arrival) bool {
	if len(packet) < headerSize || packet[0] != kindData {
		return false
	}
	m.block.Encrypt(m.tag[:], packet[:signedSize])
	if unlike(m.tag[:], packet[signedSize:]) != 0 {
		return false
	}
	first, second := binary.BigEndian.Uint64(packet), binary.BigEndian.Uint64(packet[8:])
	*a = arrival{purpose: uint8(first >> 48), sequence: second & maxSequence, sent: int64(first<<16 | second>>48), size: len(packet)}
	return true
}

// follow takes those of the joined packets into the run of the first, which is read, that belong to it; of a run that ends among them maybe
// only a part.
func (m *marker) follow(packets []byte, a *arrival) {
	if a.purpose == purposeTraced {
		return
	}
	first, second := binary.NativeEndian.Uint64(packets), binary.BigEndian.Uint64(packets[8:])
	wrong := func(p []byte, i int) uint64 {
		return (binary.NativeEndian.Uint64(p) ^ first) | (binary.BigEndian.Uint64(p[8:]) ^ (second + uint64(i)))
	}
	n := len(packets) / a.size
	for n > 1 && wrong(packets[(n-1)*a.size:], n-1) != 0 {
		n /= 2
	}
	if n < 2 {
		return
	}
	tags := m.run(packets[:signedSize], n)
	for i := 1; i < n; i++ {
		p := packets[i*a.size:][:headerSize]
		if wrong(p, i)|unlike(p[signedSize:], tags[i*signedSize:]) != 0 {
			return
		}
		a.more++
	}
}

// unlike is 0 for equal tags. It compares all 16 bytes at once: how long it takes tells nothing.
func unlike(a, b []byte) uint64 {
	return (binary.NativeEndian.Uint64(a) ^ binary.NativeEndian.Uint64(b)) | (binary.NativeEndian.Uint64(a[8:]) ^ binary.NativeEndian.Uint64(b[8:]))
}

// place is which stream and direction a control packet is of.
type place struct {
	stream uint16
	way    uint8
}

// report is a decoded report.
type report struct {
	place
	state      uint8
	wantEcho   bool
	number     uint64
	stamp      int64
	received   uint64
	next       uint64
	duplicates uint64
	late       uint64
	trials     uint64
	judged     uint64
}

func (r report) encode(b *[controlSize]byte, tagger *port.Tagger) []byte {
	clear(b[:])
	b[0], b[1], b[4] = kindReport, r.state, r.way
	if r.wantEcho {
		b[5] = 1
	}
	binary.BigEndian.PutUint16(b[2:], r.stream)
	for i, v := range []uint64{r.number, uint64(r.stamp), r.received, r.next, r.duplicates, r.late, r.trials, r.judged} {
		binary.BigEndian.PutUint64(b[8+8*i:], v)
	}
	tagger.Seal(b[:])
	return b[:]
}

// decodeReport checks and decodes a report; it says false for anything else.
func decodeReport(b []byte, tagger *port.Tagger) (report, bool) {
	if len(b) != controlSize || b[0] != kindReport || !tagger.Open(b) {
		return report{}, false
	}
	word := func(i int) uint64 { return binary.BigEndian.Uint64(b[8+8*i:]) }
	return report{
		place: place{binary.BigEndian.Uint16(b[2:]), b[4]},
		state: b[1], wantEcho: b[5]&1 != 0,
		number: word(0), stamp: int64(word(1)), received: word(2), next: word(3),
		duplicates: word(4), late: word(5), trials: word(6), judged: word(7),
	}, true
}

// echo is a decoded echo.
type echo struct {
	place
	state   uint8
	number  uint64
	answers uint64 // number of the report
	asked   int64  // t1, receiver's clock
	heard   int64  // t2, sender's clock
	stamp   int64  // t3, sender's clock
	sent    uint64
	began   int64 // sender's clock
}

func (e echo) encode(b *[controlSize]byte, tagger *port.Tagger) []byte {
	clear(b[:])
	b[0], b[1], b[4] = kindEcho, e.state, e.way
	binary.BigEndian.PutUint16(b[2:], e.stream)
	for i, v := range []uint64{e.number, e.answers, uint64(e.asked), uint64(e.heard), uint64(e.stamp), e.sent, uint64(e.began)} {
		binary.BigEndian.PutUint64(b[8+8*i:], v)
	}
	tagger.Seal(b[:])
	return b[:]
}

// decodeEcho checks and decodes an echo; it says false for anything else.
func decodeEcho(b []byte, tagger *port.Tagger) (echo, bool) {
	if len(b) != controlSize || b[0] != kindEcho || !tagger.Open(b) {
		return echo{}, false
	}
	word := func(i int) uint64 { return binary.BigEndian.Uint64(b[8+8*i:]) }
	return echo{
		place: place{binary.BigEndian.Uint16(b[2:]), b[4]},
		state: b[1], number: word(0), answers: word(1),
		asked: int64(word(2)), heard: int64(word(3)), stamp: int64(word(4)), sent: word(5), began: int64(word(6)),
	}, true
}
