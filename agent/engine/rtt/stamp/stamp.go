// Package stamp is the packet format of the Simple Two-way Active Measurement Protocol: RFC 8762 with the session id and the
// TLVs of RFC 8972. It turns bytes into fields and back; it opens no socket, reads no clock and allocates nothing.
//
// Start with the tables below, then read Request (what a session-sender sends) and Reply (what a session-reflector answers).
package stamp

import (
	"encoding/binary"
	"errors"
)

// The packets. Numbers are big-endian; what is not named is zero when sent and ignored when received.
//
//	       unauthenticated   authenticated
//	       offset length     offset length
//	request (RFC 8762 §4.2, RFC 8972 §3)
//	          0      4          0      4     sequence number
//	          4      8         16      8     timestamp: T1
//	         12      2         24      2     error estimate
//	         14      2         26      2     session id (SSID)
//	                           96     16     HMAC-SHA-256/128 over bytes 0 to 95
//	         44     ..        112     ..     TLVs
//	reply (RFC 8762 §4.3)
//	          0      4          0      4     sequence number of the reflector
//	          4      8         16      8     timestamp: T3
//	         12      2         24      2     error estimate
//	         14      2         26      2     session id
//	         16      8         32      8     receive timestamp: T2
//	         24      4         48      4     sequence number of the request
//	         28      8         64      8     timestamp of the request: T1
//	         36      2         72      2     error estimate of the request
//	         40      1         80      1     TTL or hop limit with which the request arrived
//	                           96     16     HMAC-SHA-256/128 over bytes 0 to 95
//	         44     ..        112     ..     TLVs
const (
	// OpenSize is the length of an unauthenticated packet without TLVs.
	OpenSize = 44
	// SealedSize is the length of an authenticated packet without TLVs.
	SealedSize = 112

	tagOffset = 96 // what the tag covers, and where it is
	tagSize   = 16
)

// layout says where the fields of a packet are.
type layout struct {
	base                                                   int
	time, estimate, ssid                                   int
	received, askedSequence, askedTime, askedEstimate, ttl int
}

var (
	openLayout   = layout{OpenSize, 4, 12, 14, 16, 24, 28, 36, 40}
	sealedLayout = layout{SealedSize, 16, 24, 26, 32, 48, 64, 72, 80}
)

// Port is the UDP port of session-reflectors that were not told another (RFC 8762 §4.1).
const Port = 862

// What is wrong with a packet.
var (
	// ErrShort: fewer bytes than a packet of this mode has.
	ErrShort = errors.New("stamp: the packet is too short")
	// ErrTag: the tag does not belong to the packet.
	ErrTag = errors.New("stamp: the tag does not belong to the packet")
	// ErrEstimate: a multiplier of zero, which RFC 4656 §4.1.2 forbids so that an empty packet is no packet.
	ErrEstimate = errors.New("stamp: the error estimate is zero")
	// ErrTLV: the lengths of the TLVs contradict the length of the packet.
	ErrTLV = errors.New("stamp: malformed TLV")
)

// Tagger makes and checks tags of 16 bytes: HMAC-SHA-256 cut to 128 bits (RFC 8762 §4.4) with the key of one direction.
// Tag and data do not overlap. It is used by one goroutine at a time.
type Tagger interface {
	Put(tag, data []byte)
	Check(tag, data []byte) bool
}

// Request is what a session-sender sends.
type Request struct {
	Sequence uint32
	Time     Time // T1
	Estimate Estimate
	SSID     uint16
}

// Reply is what a session-reflector answers.
type Reply struct {
	Sequence uint32 // the reflector's own count, or the request's when the reflector is stateless (RFC 8762 §4.3)
	Time     Time   // T3
	Estimate Estimate
	SSID     uint16
	Received Time // T2; its format is that of Time
	Request  Request
	TTL      uint8 // of the request as it arrived; 255 when the reflector cannot tell
}

// Codec reads and writes packets of one direction and mode.
type Codec struct {
	layout layout
	sign   Tagger
	check  Tagger
	text   *[4 + tlvHeader + followUpSize + tlvHeader]byte // what an HMAC TLV covers
}

// Open is the codec of the unauthenticated mode.
func Open() Codec { return Codec{layout: openLayout} }

// Sealed is the codec of the authenticated mode: sign is for what is written, check for what is read. Either may be nil when
// the codec is used for the other only. It is for one goroutine at a time.
func Sealed(sign, check Tagger) Codec {
	return Codec{layout: sealedLayout, sign: sign, check: check, text: new([4 + tlvHeader + followUpSize + tlvHeader]byte)}
}

// Size is the length of a packet without TLVs.
func (c Codec) Size() int { return c.layout.base }

// sealed says whether packets carry tags.
func (c Codec) sealed() bool { return c.layout.base == SealedSize }

// PutRequest writes the fields and the tag of a request to the first bytes of the packet, which has at least Size bytes. What
// follows them, the TLVs, is left as it is.
func (c Codec) PutRequest(packet []byte, r Request) {
	l := c.layout
	clear(packet[:l.base])
	binary.BigEndian.PutUint32(packet, r.Sequence)
	binary.BigEndian.PutUint64(packet[l.time:], uint64(r.Time))
	binary.BigEndian.PutUint16(packet[l.estimate:], uint16(r.Estimate))
	binary.BigEndian.PutUint16(packet[l.ssid:], r.SSID)
	c.seal(packet)
}

// Request reads a request. It checks the tag, not the TLVs.
func (c Codec) Request(packet []byte) (Request, error) {
	if err := c.verify(packet); err != nil {
		return Request{}, err
	}
	l := c.layout
	r := Request{
		Sequence: binary.BigEndian.Uint32(packet),
		Time:     Time(binary.BigEndian.Uint64(packet[l.time:])),
		Estimate: Estimate(binary.BigEndian.Uint16(packet[l.estimate:])),
		SSID:     binary.BigEndian.Uint16(packet[l.ssid:]),
	}
	if r.Estimate.multiplier() == 0 {
		return Request{}, ErrEstimate
	}
	return r, nil
}

// PutReply writes the fields and the tag of a reply to the first bytes of the packet, which has at least Size bytes. What
// follows them, the TLVs, is left as it is.
func (c Codec) PutReply(packet []byte, r Reply) {
	l := c.layout
	clear(packet[:l.base])
	binary.BigEndian.PutUint32(packet, r.Sequence)
	binary.BigEndian.PutUint64(packet[l.time:], uint64(r.Time))
	binary.BigEndian.PutUint16(packet[l.estimate:], uint16(r.Estimate))
	binary.BigEndian.PutUint16(packet[l.ssid:], r.SSID)
	binary.BigEndian.PutUint64(packet[l.received:], uint64(r.Received))
	binary.BigEndian.PutUint32(packet[l.askedSequence:], r.Request.Sequence)
	binary.BigEndian.PutUint64(packet[l.askedTime:], uint64(r.Request.Time))
	binary.BigEndian.PutUint16(packet[l.askedEstimate:], uint16(r.Request.Estimate))
	packet[l.ttl] = r.TTL
	c.seal(packet)
}

// Reply reads a reply. It checks the tag, not the TLVs. The SSID of the request is that of the reply, for it is sent once.
func (c Codec) Reply(packet []byte) (Reply, error) {
	if err := c.verify(packet); err != nil {
		return Reply{}, err
	}
	l := c.layout
	r := Reply{
		Sequence: binary.BigEndian.Uint32(packet),
		Time:     Time(binary.BigEndian.Uint64(packet[l.time:])),
		Estimate: Estimate(binary.BigEndian.Uint16(packet[l.estimate:])),
		SSID:     binary.BigEndian.Uint16(packet[l.ssid:]),
		Received: Time(binary.BigEndian.Uint64(packet[l.received:])),
		Request: Request{
			Sequence: binary.BigEndian.Uint32(packet[l.askedSequence:]),
			Time:     Time(binary.BigEndian.Uint64(packet[l.askedTime:])),
			Estimate: Estimate(binary.BigEndian.Uint16(packet[l.askedEstimate:])),
			SSID:     binary.BigEndian.Uint16(packet[l.ssid:]),
		},
		TTL: packet[l.ttl],
	}
	if r.Estimate.multiplier() == 0 {
		return Reply{}, ErrEstimate
	}
	return r, nil
}

func (c Codec) seal(packet []byte) {
	if c.sealed() {
		c.sign.Put(packet[tagOffset:tagOffset+tagSize], packet[:tagOffset])
	}
}

func (c Codec) verify(packet []byte) error {
	if len(packet) < c.layout.base {
		return ErrShort
	}
	if c.sealed() && !c.check.Check(packet[tagOffset:tagOffset+tagSize], packet[:tagOffset]) {
		return ErrTag
	}
	return nil
}
