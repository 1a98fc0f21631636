package emulator

import (
	"encoding/binary"
)

// ethernet is the length of an Ethernet header.
const ethernet = 14

// packet is what a line needs to know of a frame. The zero value is a frame that carries no IP, or what hosts of one link tell each
// other by IPv6 about themselves, as they do in IPv4 by ARP.
type packet struct {
	length    int // of the IP packet
	header    int // of IP; the transport begins at ethernet + header
	version   int
	protocol  int
	transport []byte // header and payload; empty in later fragments
}

// parse reads the headers of a frame.
func parse(frame []byte) packet {
	if len(frame) < ethernet+20 {
		return packet{}
	}
	ip := frame[ethernet:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		p := packet{version: 4, length: int(binary.BigEndian.Uint16(ip[2:])), header: 4 * int(ip[0]&15), protocol: int(ip[9])}
		if p.header < 20 || p.length < p.header || p.length > len(ip) {
			return packet{}
		}
		if binary.BigEndian.Uint16(ip[6:])&0x1fff == 0 {
			p.transport = ip[p.header:p.length]
		}
		return p
	case 0x86dd:
		p := packet{version: 6, header: 40, protocol: int(ip[6])}
		if len(ip) < p.header || linkLocal(ip[24], ip[25]) {
			return packet{}
		}
		p.length = p.header + int(binary.BigEndian.Uint16(ip[4:]))
		if p.length > len(ip) {
			return packet{}
		}
		p.transport = ip[p.header:p.length]
		return p
	}
	return packet{}
}

// linkLocal says, of the first two bytes of an IPv6 address, whether it is a multicast address of this link.
func linkLocal(first, second byte) bool { return first == 0xff && second&15 <= 2 }

// chooses says whether a packet is one of the filter's.
func (f *Filter) chooses(p packet) bool {
	if f == nil {
		return true
	}
	if f.Protocol != 0 && f.Protocol != p.protocol || p.length < f.MinLength || f.MaxLength != 0 && p.length > f.MaxLength {
		return false
	}
	if f.Port == 0 {
		return true
	}
	if p.protocol != 6 && p.protocol != 17 || len(p.transport) < 4 {
		return false
	}
	return int(binary.BigEndian.Uint16(p.transport)) == f.Port || int(binary.BigEndian.Uint16(p.transport[2:])) == f.Port
}

// mark sets "congestion experienced" in the frame of an ECN-capable packet, and says whether it was one.
func mark(frame []byte, p packet) bool {
	ip := frame[ethernet:]
	if p.version == 6 {
		if ip[1]>>4&3 == 0 {
			return false
		}
		ip[1] |= 3 << 4
		return true
	}
	if ip[1]&3 == 0 {
		return false
	}
	before := binary.BigEndian.Uint16(ip)
	ip[1] |= 3
	// RFC 1624: the checksum follows the word that changed.
	sum := uint32(^binary.BigEndian.Uint16(ip[10:])) + uint32(^before) + uint32(binary.BigEndian.Uint16(ip))
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum))
	return true
}
