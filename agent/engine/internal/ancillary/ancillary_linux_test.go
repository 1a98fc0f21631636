package ancillary

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// control is a message as the kernel writes it.
func control(level, kind int32, data ...byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	at := unix.CmsgLen(0) - 8
	binary.NativeEndian.PutUint32(b[at:], uint32(level))
	binary.NativeEndian.PutUint32(b[at+4:], uint32(kind))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func TestAll(t *testing.T) {
	if unix.SizeofCmsghdr != 16 {
		t.Skip("the messages are written for 64 bits")
	}
	in := append(control(1, 2, 10, 11, 12), control(3, 4)...)
	in = append(in, control(5, 6, 20)...)
	var out []Message
	for m := range All(in) {
		out = append(out, m)
	}
	if len(out) != 3 || !out[0].Is(1, 2, 3) || out[0].Is(1, 2, 4) || !bytes.Equal(out[0].Data, []byte{10, 11, 12}) || !out[1].Is(3, 4, 0) || !out[2].Is(5, 6, 1) {
		t.Errorf("%+v", out)
	}
	for m := range All(in[:len(in)-8]) { // cut in the last message
		if m.Level == 5 {
			t.Error("read beyond the end")
		}
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 10_000 { // must end, within bounds
		b := bytes.Clone(in[:random.IntN(len(in))])
		if len(b) > 0 {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		for range All(b) {
		}
	}
}
