package port

import (
	"encoding/binary"
	"errors"
)

// The set-up packets. All three have the same length and layout, over UDP and over TCP, so that no answer is longer
// than its request. Numbers are big-endian.
//
//	 0  4  magic "netp"
//	 4  1  version (1)
//	 5  1  kind: 1 hello, 2 hello-ack, 3 confirm, 4 open (inside.go)
//	 6  1  network: 1 UDP, 2 TCP
//	 7  1  role, free for the engine
//	 8  8  session id
//	16  2  stream
//	18  6  zero; ignored on receipt
//	24  8  wall clock of the sender, Unix nanoseconds
//	32 16  nonce of the hello, repeated in the answers to it
//	48 16  tag over bytes 0 to 47
//
// The initiator sends a hello until a hello-ack with its nonce comes back, then (UDP only) one confirm. The hello and the
// confirm are signed with the initiator's key, the hello-ack with the responder's.
//
// The clock is carried for the reader of a capture and is not judged: an agent whose clock is wrong is one of the faults we
// measure. Against replay there are the keys, which live for one session, and the nonces, each accepted once.
//
// Versions: 1 (2026-11; open added in the same month).
const (
	setupSize    = 64
	setupVersion = 1
	nonceSize    = 16
)

// Kinds of set-up packets, written out because they are on the wire.
const (
	kindHello   = 1
	kindAck     = 2
	kindConfirm = 3
	kindOpen    = 4
)

// Networks, written out because they are on the wire.
const (
	overUDP = 1
	overTCP = 2
)

var setupMagic = [4]byte{'n', 'e', 't', 'p'}

var errMalformed = errors.New("not a set-up packet")

// setup is a decoded set-up packet.
type setup struct {
	kind    uint8
	network uint8
	role    uint8
	session SessionID
	stream  uint16
	wall    int64
	nonce   [nonceSize]byte
}

// isSetup says whether a packet looks like a set-up packet of any version: by its magic and its length alone.
func isSetup(packet []byte) bool {
	return len(packet) == setupSize && [4]byte(packet[:4]) == setupMagic
}

// parseSetup decodes a set-up packet. It does not check the tag.
func parseSetup(packet []byte) (setup, error) {
	if !isSetup(packet) || packet[4] != setupVersion {
		return setup{}, errMalformed
	}
	s := setup{
		kind:    packet[5],
		network: packet[6],
		role:    packet[7],
		session: SessionID(binary.BigEndian.Uint64(packet[8:])),
		stream:  binary.BigEndian.Uint16(packet[16:]),
		wall:    int64(binary.BigEndian.Uint64(packet[24:])),
		nonce:   [nonceSize]byte(packet[32:]),
	}
	if s.kind < kindHello || s.kind > kindOpen || s.network < overUDP || s.network > overTCP {
		return setup{}, errMalformed
	}
	return s, nil
}

// encode writes the packet and its tag.
func (s setup) encode(tagger *Tagger) [setupSize]byte {
	var packet [setupSize]byte
	copy(packet[:], setupMagic[:])
	packet[4] = setupVersion
	packet[5] = s.kind
	packet[6] = s.network
	packet[7] = s.role
	binary.BigEndian.PutUint64(packet[8:], uint64(s.session))
	binary.BigEndian.PutUint16(packet[16:], s.stream)
	binary.BigEndian.PutUint64(packet[24:], uint64(s.wall))
	copy(packet[32:], s.nonce[:])
	tagger.Seal(packet[:])
	return packet
}

// answer is the set-up packet of another kind to the same hello.
func (s setup) answer(kind uint8, wall int64) setup {
	s.kind, s.wall = kind, wall
	return s
}
