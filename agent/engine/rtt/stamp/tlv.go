package stamp

import "encoding/binary"

// The TLVs that follow a packet (RFC 8972 §4).
//
//	offset length
//	   0      1    flags: U not understood (128), M malformed (64), I integrity failed (32)
//	   1      1    type
//	   2      2    length of the value
//	   4     ..    value
//
// A sender sets U; a reflector clears it in what it understood. The sender here uses:
//
//	  1   Extra Padding (RFC 8972 §4.1): makes a packet as long as it is asked to be
//	  7   Follow-Up Telemetry (RFC 8972 §4.7): when the reflector's answer before this one left
//	        0      4    sequence number of that answer
//	        4      8    time at which it left, in the format of the packet's own times; 0 when it is not known, and in a request
//	       12      1    how that was taken: 2, by software of the host
//	       13      3    zero
//	  8   HMAC (RFC 8972 §4.8): tag over the packet's sequence number and the TLVs before it, their flags taken as zero, for a
//	      reflector changes them
//	252   End, private use: the sender has sent its last packet and only wants the reflector's count; no value
//
// Authenticated packets carry a Follow-Up Telemetry, an End where it is the end, an HMAC, and padding, in this order.
const (
	tlvHeader = 4

	typePadding  = 1
	typeFollowUp = 7
	typeHMAC     = 8
	typeEnd      = 252

	flagUnknown   = 128
	flagMalformed = 64

	followUpSize   = 16 // of the value
	softwareMethod = 2

	// tailSize is the length of a Follow-Up Telemetry TLV and an HMAC TLV.
	tailSize = tlvHeader + followUpSize + tlvHeader + tagSize
	// LeastSealed is the length of the shortest authenticated packet.
	LeastSealed = SealedSize + tailSize
	// EndSize is how much longer the shortest packet with an End is.
	EndSize = tlvHeader
)

// Tail is what the TLVs of an authenticated packet say.
type Tail struct {
	// Sequence is that of an earlier answer of the reflector, and Left the time at which it left; zero when that is not known, and
	// in requests.
	Sequence uint32
	Left     Time
	// End says that the sender has sent its last packet.
	End bool
}

// Least is the length of the shortest packet.
func (c Codec) Least() int {
	if c.sealed() {
		return LeastSealed
	}
	return c.Size()
}

// Fit is the length of the shortest packet of at least size bytes: a TLV has four bytes or more, so the one to three lengths
// above Least do not exist.
func (c Codec) Fit(size int) int {
	switch least := c.Least(); {
	case size <= least:
		return least
	case size < least+tlvHeader:
		return least + tlvHeader
	default:
		return size
	}
}

// Pad writes an Extra Padding TLV that fills the packet behind its first Least bytes. The value is filled with bytes that
// compress badly. The length of the packet is one that Fit gives.
func (c Codec) Pad(packet []byte) {
	rest := packet[c.Least():]
	if len(rest) == 0 {
		return
	}
	putHeader(rest, typePadding, len(rest)-tlvHeader)
	x := uint32(0x9E3779B9) // a short generator; any constant start does
	for i := tlvHeader; i < len(rest); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		rest[i] = byte(x)
	}
}

// PutTail writes the TLVs behind the first Size bytes of an authenticated packet of that sequence number: Least bytes in all, and
// EndSize more when it is the end.
func (c Codec) PutTail(packet []byte, sequence uint32, t Tail) {
	rest := packet[c.Size():]
	putHeader(rest, typeFollowUp, followUpSize)
	value := rest[tlvHeader:][:followUpSize]
	clear(value)
	binary.BigEndian.PutUint32(value, t.Sequence)
	binary.BigEndian.PutUint64(value[4:], uint64(t.Left))
	if t.Left != 0 {
		value[12] = softwareMethod
	}
	length := tlvHeader + followUpSize
	if t.End {
		putHeader(rest[length:], typeEnd, 0)
		length += tlvHeader
	}
	putHeader(rest[length:], typeHMAC, tagSize)
	c.sign.Put(rest[length+tlvHeader:][:tagSize], c.covered(sequence, rest[:length]))
}

// Tail reads the TLVs of an authenticated packet whose first Size bytes have been checked. It is not ok when they are not those that
// PutTail writes, or their tag does not belong to them.
func (c Codec) Tail(packet []byte) (t Tail, ok bool) {
	if !c.sealed() || len(packet) < c.Least() {
		return t, false
	}
	rest := packet[c.Size():]
	length := tlvHeader + followUpSize
	if t.End = header(rest[length:], typeEnd, 0); t.End {
		length += tlvHeader
	}
	if len(rest) < length+tlvHeader+tagSize || !header(rest, typeFollowUp, followUpSize) || !header(rest[length:], typeHMAC, tagSize) {
		return t, false
	}
	value := rest[tlvHeader:]
	t.Sequence, t.Left = binary.BigEndian.Uint32(value), Time(binary.BigEndian.Uint64(value[4:]))
	tag := rest[length+tlvHeader:][:tagSize]
	return t, c.check.Check(tag, c.covered(binary.BigEndian.Uint32(packet), rest[:length]))
}

// covered is what the HMAC TLV covers.
func (c Codec) covered(sequence uint32, tlvs []byte) []byte {
	text := c.text[:4+len(tlvs)]
	binary.BigEndian.PutUint32(text, sequence)
	copy(text[4:], tlvs)
	text[4] = 0
	if len(tlvs) > tlvHeader+followUpSize {
		text[4+tlvHeader+followUpSize] = 0
	}
	return text
}

// Reflect sets the flags of the TLVs as a reflector does (RFC 8972 §4): padding is understood, what else there is is not, and
// is returned as it came. The first TLV that does not fit the packet is marked as malformed, and ErrTLV returned; the packet is
// answered nevertheless.
func (c Codec) Reflect(packet []byte) error {
	for rest := packet[min(c.Size(), len(packet)):]; len(rest) > 0; {
		if len(rest) < tlvHeader {
			rest[0] |= flagMalformed
			return ErrTLV
		}
		length := tlvHeader + int(binary.BigEndian.Uint16(rest[2:]))
		if length > len(rest) {
			rest[0] |= flagMalformed
			return ErrTLV
		}
		switch rest[1] {
		case typePadding, typeFollowUp, typeEnd, typeHMAC:
			rest[0] &^= flagUnknown
		default:
			rest[0] |= flagUnknown
		}
		rest = rest[length:]
	}
	return nil
}

func putHeader(tlv []byte, kind byte, length int) {
	tlv[0], tlv[1] = flagUnknown, kind
	binary.BigEndian.PutUint16(tlv[2:], uint16(length))
}

// header says whether a TLV begins so, whatever its flags.
func header(tlv []byte, kind byte, length int) bool {
	return tlv[1] == kind && int(binary.BigEndian.Uint16(tlv[2:])) == length
}
