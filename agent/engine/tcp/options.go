package tcp

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/netpupper/netp"
)

// options are the parameters of a session, with what follows from them.
type options struct {
	direction  netp.Direction
	duration   time.Duration // of the measurement; with bytes the longest the transfer may take
	omit       time.Duration
	timeout    time.Duration
	bytes      int64 // per direction; 0 when limited by time
	streams    int
	rate       float64 // payload per direction [bit/s]; 0 for no bound
	bottleneck float64 // [bit/s], IP layer; 0 when not declared
	congestion string
	mss        int
	dscp       int
	ip         int
	discard    bool
}

// optionsOf reads parameters that the language has checked.
func optionsOf(p netp.Params) options {
	o := options{
		direction:  p.Direction(),
		duration:   p.Duration("duration"),
		omit:       p.Duration("omit"),
		timeout:    p.Duration("timeout"),
		bytes:      int64(p.Number("bytes")),
		streams:    max(1, p.Int("streams")),
		rate:       p.Number("rate"),
		bottleneck: p.Number("bottleneck"),
		congestion: p.String("congestion"),
		mss:        p.Int("mss"),
		dscp:       p.Int("dscp"),
		ip:         p.Int("ip"),
		discard:    p.String("receive") == "discard",
	}
	if o.duration <= 0 {
		o.duration = defaultDuration
		if o.bytes > 0 {
			o.duration = defaultLimit
		}
	}
	if o.timeout <= 0 {
		o.timeout = defaultTimeout
	}
	return o
}

// validate says what the parameters of an order violate. The controller has checked them too; an agent believes nobody.
func (o options) validate(peer netip.Addr) *netp.Failure {
	switch {
	case o.streams > maxStreams:
		return failure(netp.FailureUnsupported, "The session asks for %d streams; the most is %d.", o.streams, maxStreams)
	case o.direction != netp.Forward && o.direction != netp.Reverse && o.direction != netp.Both:
		return failure(netp.FailureUnsupported, "The session has the direction %q; this agent knows forward, reverse and both.", o.direction)
	case o.bytes < 0 || (o.bytes > 0 && o.bytes < int64(o.streams)):
		return failure(netp.FailureUnsupported, "The session asks for %d bytes over %d streams.", o.bytes, o.streams)
	case o.ip == 4 && peer.IsValid() && !peer.Is4(), o.ip == 6 && peer.IsValid() && !peer.Is6():
		return failure(netp.FailureUnsupported, "The profile asks for IPv%d and the peer's data port has the address %s. Give both agents an address of that version, or remove ip.", o.ip, peer)
	}
	return nil
}

// terms is what both ends must have in common, as the body of ready.
func (o options) terms() []byte {
	direction := map[netp.Direction]byte{netp.Forward: 1, netp.Reverse: 2, netp.Both: 3}[o.direction]
	b := append(make([]byte, 0, 27), direction)
	b = binary.BigEndian.AppendUint16(b, uint16(o.streams))
	b = binary.BigEndian.AppendUint64(b, uint64(o.duration))
	b = binary.BigEndian.AppendUint64(b, uint64(o.omit))
	return binary.BigEndian.AppendUint64(b, uint64(o.bytes))
}

// share is how many bytes stream i of n transfers.
func share(bytes int64, i, n int) int64 {
	each, rest := bytes/int64(n), bytes%int64(n)
	if int64(i) < rest {
		each++
	}
	return each
}
