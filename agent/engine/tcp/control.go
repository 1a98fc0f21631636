package tcp

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/port"
)

// Kinds of control messages, see protocol.md.
const (
	msgReady  uint8 = 1
	msgGo     uint8 = 2
	msgBeat   uint8 = 3
	msgReport uint8 = 4
	msgDone   uint8 = 5
	msgAbort  uint8 = 6
)

// writeTime bounds a write: the connection carries so little that there is always room, unless it is dead.
const writeTime = 500 * time.Millisecond

const (
	protocolVersion = 1
	headerSize      = 8
	maxMessage      = 512
	maxBody         = maxMessage - headerSize - port.TagSize
)

// message is one control message. Its body is valid until the next one is read.
type message struct {
	kind uint8
	body []byte
}

// control is the control connection of a session. Sending may be called concurrently; receiving is for one goroutine.
type control struct {
	stream io.ReadWriter
	// deadline bounds a write; nil for streams without deadlines.
	deadline func(time.Time) error

	mu   sync.Mutex // guards what follows
	sign *port.Tagger
	sent uint32
	out  [maxMessage]byte

	check *port.Tagger
	got   uint32
	in    [maxMessage]byte
}

func newControl(c *port.Conn) *control {
	return &control{
		stream: c.TCPConn, deadline: c.SetWriteDeadline,
		sign: port.NewTagger(c.SendKey), check: port.NewTagger(c.ReceiveKey),
	}
}

// send writes one message; a body that is too long is cut. It blocks for at most writeTime.
func (c *control) send(kind uint8, body []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	body = body[:min(len(body), maxBody)]
	m := c.out[:headerSize+len(body)+port.TagSize]
	binary.BigEndian.PutUint16(m, uint16(len(m)))
	m[2], m[3] = protocolVersion, kind
	binary.BigEndian.PutUint32(m[4:], c.sent)
	copy(m[headerSize:], body)
	c.sign.Seal(m)
	c.sent++
	if c.deadline != nil {
		if err := c.deadline(time.Now().Add(writeTime)); err != nil {
			return err
		}
	}
	if _, err := c.stream.Write(m); err != nil {
		return fmt.Errorf("control connection: %w", err)
	}
	return nil
}

// receive reads the next message. A message that the peer did not make is a *netp.Failure.
func (c *control) receive() (message, error) {
	if _, err := io.ReadFull(c.stream, c.in[:headerSize]); err != nil {
		return message{}, fmt.Errorf("control connection: %w", err)
	}
	size := int(binary.BigEndian.Uint16(c.in[:]))
	if size < headerSize+port.TagSize || size > maxMessage {
		return message{}, forged("a length that none has")
	}
	m := c.in[:size]
	if _, err := io.ReadFull(c.stream, m[headerSize:]); err != nil {
		return message{}, fmt.Errorf("control connection: %w", err)
	}
	switch {
	case !c.check.Open(m):
		return message{}, forged("a wrong tag")
	case m[2] != protocolVersion:
		return message{}, failure(netp.FailureUnsupported, "The peer speaks version %d of the tcp session protocol, this agent %d. Bring both agents to the same version.", m[2], protocolVersion)
	case binary.BigEndian.Uint32(m[4:]) != c.got:
		return message{}, forged("a wrong sequence number")
	}
	c.got++
	return message{kind: m[3], body: m[headerSize : size-port.TagSize]}, nil
}

func forged(what string) error {
	return failure(netp.FailureInterrupted, "The control connection brought a message with %s: something on the path alters the connection, or somebody tries to take part in the session.", what)
}

// report is what a receiver tells the sender at the end.
type report struct {
	bytes    uint64
	elapsed  time.Duration
	busy     float64 // share of the host's CPU time, 0 to 1
	complete bool
}

func (r report) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 19), r.bytes)
	b = binary.BigEndian.AppendUint64(b, uint64(r.elapsed))
	b = binary.BigEndian.AppendUint16(b, uint16(1000*min(max(r.busy, 0), 1)))
	if r.complete {
		return append(b, 1)
	}
	return append(b, 0)
}

func parseReport(b []byte) (report, error) {
	if len(b) < 19 {
		return report{}, forged("a report that is too short")
	}
	r := report{
		bytes:    binary.BigEndian.Uint64(b),
		elapsed:  time.Duration(binary.BigEndian.Uint64(b[8:])),
		busy:     float64(binary.BigEndian.Uint16(b[16:])) / 1000,
		complete: b[18] == 1,
	}
	if r.elapsed < 0 {
		return report{}, forged("a report of a negative time")
	}
	return r, nil
}

// beat is the sign of life of both ends.
type beat struct {
	received uint64
	elapsed  time.Duration
}

func (t beat) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, t.received)
	return binary.BigEndian.AppendUint64(b, uint64(t.elapsed))
}

func parseBeat(b []byte) (beat, error) {
	if len(b) < 16 {
		return beat{}, forged("a beat that is too short")
	}
	return beat{binary.BigEndian.Uint64(b), time.Duration(binary.BigEndian.Uint64(b[8:]))}, nil
}

// maxLead bounds what a go may say: no set-up takes longer.
const maxLead = time.Hour

// goBody makes the body of the initiator's go.
func goBody(lead time.Duration) []byte { return binary.BigEndian.AppendUint64(nil, uint64(lead)) }

// parseLead reads it; 0 when it is not said, or not true.
func parseLead(b []byte) time.Duration {
	if len(b) < 8 {
		return 0
	}
	if lead := binary.BigEndian.Uint64(b); lead <= uint64(maxLead) {
		return time.Duration(lead)
	}
	return 0
}

// abort makes the body of an abort message.
func abort(f *netp.Failure) []byte {
	b := append([]byte{byte(len(f.Kind))}, f.Kind...)
	return append(b, f.Detail...)
}

// abortable are the failure kinds a peer may give as a reason.
var abortable = [...]netp.FailureKind{
	netp.FailureUnreachable, netp.FailureRefused, netp.FailureTimeout, netp.FailureInterrupted, netp.FailureCancelled,
	netp.FailureUnsupported, netp.FailurePermission, netp.FailureInternal,
}

// parseAbort gives the failure that the peer had.
func parseAbort(b []byte) *netp.Failure {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return failure(netp.FailureInterrupted, "The peer ended the session without a reason.")
	}
	kind, detail := netp.FailureKind(b[1:1+b[0]]), b[1+b[0]:]
	if !slices.Contains(abortable[:], kind) {
		kind = netp.FailureInterrupted
	}
	for !utf8.Valid(detail) && len(detail) > 0 { // cut within a character
		detail = detail[:len(detail)-1]
	}
	return failure(kind, "The peer ended the session: %s", strings.ToValidUTF8(string(detail), ""))
}
