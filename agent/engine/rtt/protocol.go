package rtt

import (
	"bytes"
	"encoding/binary"

	"github.com/netpupper/netp/agent/engine/rtt/stamp"
)

// protocol makes the probes of one session and reads the answers. What both use is kept apart, so that one goroutine may make
// probes while another one reads answers.
type protocol interface {
	// probe writes the next probe and gives it. It is valid until the next call.
	probe(sequence uint64, wall int64) []byte
	// end writes the probe that ends the session for the far end; nil when there is no such thing.
	end(sequence uint64, wall int64) []byte
	// read reads an answer. It is not ok when the packet is no answer, or does not prove to be one.
	read(packet []byte) (echo, bool)
	// size is the length of a probe on the IP layer, without the IP header.
	size() int
}

// echo is what an answer says.
type echo struct {
	sequence uint64 // of the probe, its low bits
	width    uint   // how many bits
	wall     int64  // the wall clock of the probe, as it was sent
	counts   bool   // the far end numbers its answers ...
	count    uint32 // ... with this
	stays    bool   // the far end says when the probe came and the answer left ...
	came     int64  // ... by its clock, Unix nanoseconds
	left     int64
	ttl      int    // with which the probe came; -1 when not known
	told     bool   // the far end says when an earlier answer left ...
	earlier  uint32 // ... that with this count ...
	departed int64  // ... by its clock, Unix nanoseconds
}

// stampProtocol sends STAMP packets.
type stampProtocol struct {
	codec    stamp.Codec // writes
	reading  stamp.Codec
	estimate stamp.Estimate
	ssid     uint16
	packet   []byte
	last     []byte // the packet that ends the session; nil to foreign reflectors, which get no TLVs but padding
}

// newStamp makes the protocol; size is the wish for the length of the UDP payload, agent says that the far end is one.
func newStamp(codec, reading stamp.Codec, size int, estimate stamp.Estimate, ssid uint16, agent bool) *stampProtocol {
	p := &stampProtocol{codec: codec, reading: reading, estimate: estimate, ssid: ssid, packet: make([]byte, codec.Fit(size))}
	codec.Pad(p.packet)
	if agent {
		p.last = make([]byte, codec.Least()+stamp.EndSize)
	}
	return p
}

func (p *stampProtocol) request(sequence uint64, wall int64) stamp.Request {
	return stamp.Request{Sequence: uint32(sequence), Time: stamp.NTP(wall), Estimate: p.estimate, SSID: p.ssid}
}

func (p *stampProtocol) probe(sequence uint64, wall int64) []byte {
	p.codec.PutRequest(p.packet, p.request(sequence, wall))
	if p.last != nil {
		p.codec.PutTail(p.packet, uint32(sequence), stamp.Tail{})
	}
	return p.packet
}

func (p *stampProtocol) end(sequence uint64, wall int64) []byte {
	if p.last == nil {
		return nil
	}
	p.codec.PutRequest(p.last, p.request(sequence, wall))
	p.codec.PutTail(p.last, uint32(sequence), stamp.Tail{End: true})
	return p.last
}

func (p *stampProtocol) read(packet []byte) (echo, bool) {
	r, err := p.reading.Reply(packet)
	if err != nil {
		return echo{}, false
	}
	e := echo{
		sequence: uint64(r.Request.Sequence), width: 32,
		wall:   r.Request.Time.Unix(p.estimate),
		counts: true, count: r.Sequence,
		stays: true, came: r.Received.Unix(r.Estimate), left: r.Time.Unix(r.Estimate),
		ttl: int(r.TTL),
	}
	if t, ok := p.reading.Tail(packet); ok && t.Left != 0 {
		e.told, e.earlier, e.departed = true, t.Sequence, t.Left.Unix(r.Estimate)
	}
	return e, true
}

func (p *stampProtocol) size() int { return udpHeader + len(p.packet) }

// echoProtocol sends ICMP echo requests (RFC 792, RFC 4443). Their data:
//
//	 0  8  wall clock of the sender, Unix nanoseconds, big-endian
//	 8  8  cookie of the session
//	16 ..  filling
type echoProtocol struct {
	request, reply byte // ICMP types
	identifier     uint16
	anyIdentifier  bool // the kernel chooses it, and gives us our answers only
	cookie         uint64
	packet         []byte
}

const (
	// echoSize is the least data of an echo request.
	echoSize = 16

	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

func newEcho(six bool, size int, identifier uint16, anyIdentifier bool, cookie uint64) *echoProtocol {
	p := &echoProtocol{
		request: echoRequest4, reply: echoReply4,
		identifier: identifier, anyIdentifier: anyIdentifier, cookie: cookie,
		packet: make([]byte, icmpHeader+max(size, echoSize)),
	}
	if six {
		p.request, p.reply = echoRequest6, echoReply6
	}
	copy(p.packet[icmpHeader+echoSize:], bytes.Repeat([]byte("netp"), len(p.packet)/4+1))
	return p
}

func (p *echoProtocol) probe(sequence uint64, wall int64) []byte {
	b := p.packet
	b[0], b[1] = p.request, 0
	binary.BigEndian.PutUint16(b[2:], 0)
	binary.BigEndian.PutUint16(b[4:], p.identifier)
	binary.BigEndian.PutUint16(b[6:], uint16(sequence))
	binary.BigEndian.PutUint64(b[8:], uint64(wall))
	binary.BigEndian.PutUint64(b[16:], p.cookie)
	if p.request == echoRequest4 { // for IPv6 the kernel does it, since it takes the addresses in
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

func (p *echoProtocol) end(uint64, int64) []byte { return nil }

func (p *echoProtocol) read(b []byte) (echo, bool) {
	if len(b) != len(p.packet) || b[0] != p.reply || b[1] != 0 {
		return echo{}, false
	}
	if p.request == echoRequest4 && checksum(b) != 0 { // raw sockets get what came damaged, too
		return echo{}, false
	}
	if !p.anyIdentifier && binary.BigEndian.Uint16(b[4:]) != p.identifier || binary.BigEndian.Uint64(b[16:]) != p.cookie {
		return echo{}, false
	}
	return echo{
		sequence: uint64(binary.BigEndian.Uint16(b[6:])), width: 16,
		wall: int64(binary.BigEndian.Uint64(b[8:])),
		ttl:  -1,
	}, true
}

func (p *echoProtocol) size() int { return len(p.packet) }

// checksum is the Internet checksum (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xFFFF {
		sum = sum>>16 + sum&0xFFFF
	}
	return ^uint16(sum)
}
