package port

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"
)

// SessionID names a session on the data port. It is a random 64-bit number: it selects the keys, it is not a secret.
type SessionID uint64

// String gives the 16 hexadecimal digits that logs show.
func (id SessionID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// TagSize is the length in bytes of the tags on the data port: HMAC-SHA-256 cut to 128 bits (RFC 4868, RFC 8762 §4.4).
const TagSize = 16

// Keys are the two HMAC-SHA-256 keys of a session. Each one signs what its role sends, so that nothing an agent sent can
// be played back to it.
type Keys struct {
	// Initiator signs what the side that opens the flow or the connection sends.
	Initiator [32]byte
	// Responder signs what the side that waits on its data port sends.
	Responder [32]byte
}

// The labels of the derivation. They are part of the protocol: a change makes agents of two versions mute to each other.
const (
	initiatorLabel = "netp data port v1 initiator"
	responderLabel = "netp data port v1 responder"
)

// DeriveKeys makes the keys of a session from the secret that the controller gave to both agents (32 random bytes; a
// shorter one works and is as weak as it is short), by HKDF-SHA-256 (RFC 5869) with the session id as salt.
func DeriveKeys(secret []byte, id SessionID) Keys {
	salt := binary.BigEndian.AppendUint64(nil, uint64(id))
	return Keys{
		Initiator: derive(secret, salt, initiatorLabel),
		Responder: derive(secret, salt, responderLabel),
	}
}

func derive(secret, salt []byte, label string) [32]byte {
	key, err := hkdf.Key(sha256.New, secret, salt, label, sha256.Size)
	if err != nil {
		panic("port: HKDF of 32 bytes: " + err.Error()) // only a longer output or a FIPS-only build with a short secret can fail
	}
	return [32]byte(key)
}

// Tagger makes and checks tags with one key. It allocates only when it is made. It is for one goroutine at a time: a
// sender and a receiver have one each.
type Tagger struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

// NewTagger returns a tagger for the key.
func NewTagger(key [32]byte) *Tagger {
	return &Tagger{mac: hmac.New(sha256.New, key[:])}
}

// Put writes the tag of data to the first TagSize bytes of tag, which must have room for them. The two must not overlap.
func (t *Tagger) Put(tag, data []byte) {
	copy(tag[:TagSize], t.compute(data))
}

// Check says, in constant time, whether tag (at least TagSize bytes, of which the first are looked at) belongs to data.
func (t *Tagger) Check(tag, data []byte) bool {
	return len(tag) >= TagSize && subtle.ConstantTimeCompare(tag[:TagSize], t.compute(data)) == 1
}

// Seal writes into the last TagSize bytes of the packet the tag of all bytes before them. The packet must be longer than
// TagSize.
func (t *Tagger) Seal(packet []byte) {
	body := len(packet) - TagSize
	t.Put(packet[body:], packet[:body])
}

// Open says whether the packet ends in the tag of all bytes before it. A packet of TagSize bytes or fewer never does.
func (t *Tagger) Open(packet []byte) bool {
	body := len(packet) - TagSize
	return body > 0 && t.Check(packet[body:], packet[:body])
}

func (t *Tagger) compute(data []byte) []byte {
	t.mac.Reset()
	t.mac.Write(data)
	return t.mac.Sum(t.sum[:0])[:TagSize]
}
