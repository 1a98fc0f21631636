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
//	  8   HMAC (RFC 8972 §4.8): tag over the sequence number and the TLVs before it
//	252   End, private use: the sender has sent its last packet and only wants the reflector's count; no value
const (
	tlvHeader = 4

	typePadding = 1
	typeHMAC    = 8
	typeEnd     = 252

	flagUnknown   = 128
	flagMalformed = 64
)

// EndSize is the length of the TLVs that PutEnd writes.
const EndSize = tlvHeader + tlvHeader + tagSize

// Fit is the length of the shortest packet of at least size bytes: a TLV has four bytes or more, so the one to three lengths
// above Size do not exist.
func (c Codec) Fit(size int) int {
	switch base := c.Size(); {
	case size <= base:
		return base
	case size < base+tlvHeader:
		return base + tlvHeader
	default:
		return size
	}
}

// Pad writes an Extra Padding TLV that fills the packet behind its first Size bytes. The value is filled with bytes that
// compress badly. The length of the packet is one that Fit gives.
func (c Codec) Pad(packet []byte) {
	rest := packet[c.Size():]
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

// PutEnd writes an End TLV and its HMAC TLV behind the first Size bytes of an authenticated packet of Size + EndSize bytes,
// whose first Size bytes are already written.
func (c Codec) PutEnd(packet []byte) {
	rest := packet[c.Size():]
	putHeader(rest, typeEnd, 0)
	putHeader(rest[tlvHeader:], typeHMAC, tagSize)
	text := c.endText(packet)
	c.sign.Put(rest[2*tlvHeader:], text[:])
}

// End says whether an authenticated packet, whose base has been checked, carries an End TLV with a valid tag.
func (c Codec) End(packet []byte) bool {
	if len(packet) != c.Size()+EndSize || !c.sealed() {
		return false
	}
	rest := packet[c.Size():]
	text := c.endText(packet)
	return rest[1] == typeEnd && rest[tlvHeader+1] == typeHMAC && c.check.Check(rest[2*tlvHeader:], text[:])
}

// endText is what the HMAC TLV of an End covers: the sequence number and the TLV before it. The flags are left out of it, for
// a reflector changes them.
func (c Codec) endText(packet []byte) (text [4 + tlvHeader]byte) {
	copy(text[:], packet[:4])
	copy(text[4:], packet[c.Size():c.Size()+tlvHeader])
	text[4] = 0
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
		case typePadding, typeEnd, typeHMAC:
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
