package stamp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// mac is a Tagger made of the standard library alone.
type mac struct{ key []byte }

func (m mac) sum(data []byte) []byte {
	h := hmac.New(sha256.New, m.key)
	h.Write(data)
	return h.Sum(nil)[:tagSize]
}
func (m mac) Put(tag, data []byte)        { copy(tag, m.sum(data)) }
func (m mac) Check(tag, data []byte) bool { return hmac.Equal(tag[:tagSize], m.sum(data)) }

var (
	asking    = mac{[]byte("the sender's key")}
	answering = mac{[]byte("the reflector's key")}
)

func codecs() map[string]Codec {
	return map[string]Codec{"open": Open(), "sealed": Sealed(asking, asking)}
}

var (
	aRequest = Request{Sequence: 0x01020304, Time: 0x1112131415161718, Estimate: 0x8C55, SSID: 0x2122}
	aReply   = Reply{
		Sequence: 0x31323334, Time: 0x4142434445464748, Estimate: 0x8C66, SSID: 0x2122,
		Received: 0x5152535455565758, Request: aRequest, TTL: 0x61,
	}
)

// TestLayout compares with packets written out by hand from the figures of RFC 8762.
func TestLayout(t *testing.T) {
	zeros := func(n int) string { return hex.EncodeToString(make([]byte, n)) }
	request := "01020304" + "1112131415161718" + "8c55" + "2122" + zeros(28)
	reply := "31323334" + "4142434445464748" + "8c66" + "2122" + "5152535455565758" +
		"01020304" + "1112131415161718" + "8c55" + "0000" + "61" + "000000"
	sealedRequest := "01020304" + zeros(12) + "1112131415161718" + "8c55" + "2122" + zeros(68)
	sealedReply := "31323334" + zeros(12) + "4142434445464748" + "8c66" + "2122" + zeros(4) + "5152535455565758" + zeros(8) +
		"01020304" + zeros(12) + "1112131415161718" + "8c55" + zeros(6) + "61" + zeros(15)
	for _, test := range []struct {
		name  string
		codec Codec
		put   func(Codec, []byte)
		want  string
	}{
		{"request", Open(), func(c Codec, b []byte) { c.PutRequest(b, aRequest) }, request},
		{"reply", Open(), func(c Codec, b []byte) { c.PutReply(b, aReply) }, reply},
		{"sealed request", Sealed(asking, nil), func(c Codec, b []byte) { c.PutRequest(b, aRequest) }, sealedRequest},
		{"sealed reply", Sealed(asking, nil), func(c Codec, b []byte) { c.PutReply(b, aReply) }, sealedReply},
	} {
		t.Run(test.name, func(t *testing.T) {
			want, err := hex.DecodeString(test.want)
			if err != nil {
				t.Fatal(err)
			}
			if test.codec.sealed() {
				want = append(want, asking.sum(want)...)
			}
			got := bytes.Repeat([]byte{0xFF}, test.codec.Size())
			test.put(test.codec, got)
			if !bytes.Equal(got, want) {
				t.Errorf("got\n%x\nwant\n%x", got, want)
			}
		})
	}
}

func TestRoundTrip(t *testing.T) {
	for name, c := range codecs() {
		packet := make([]byte, c.Size())
		c.PutRequest(packet, aRequest)
		if got, err := c.Request(packet); err != nil || got != aRequest {
			t.Errorf("%s request: got %+v, %v; want %+v", name, got, err, aRequest)
		}
		c.PutReply(packet, aReply)
		if got, err := c.Reply(packet); err != nil || got != aReply {
			t.Errorf("%s reply: got %+v, %v; want %+v", name, got, err, aReply)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, c := range codecs() {
		packet := make([]byte, c.Size())
		c.PutRequest(packet, aRequest)
		if _, err := c.Request(packet[:c.Size()-1]); !errors.Is(err, ErrShort) {
			t.Errorf("%s: one byte less gives %v", name, err)
		}
		if _, err := c.Reply(nil); !errors.Is(err, ErrShort) {
			t.Errorf("%s: nothing gives %v", name, err)
		}
		empty := aRequest
		empty.Estimate &^= 0xFF
		c.PutRequest(packet, empty)
		if _, err := c.Request(packet); !errors.Is(err, ErrEstimate) {
			t.Errorf("%s: multiplier 0 gives %v", name, err)
		}
	}
}

// TestEveryBitIsProtected flips each bit of authenticated packets.
func TestEveryBitIsProtected(t *testing.T) {
	c := Sealed(asking, asking)
	request, reply := make([]byte, SealedSize), make([]byte, SealedSize)
	c.PutRequest(request, aRequest)
	c.PutReply(reply, aReply)
	for bit := range SealedSize * 8 {
		request[bit/8] ^= 1 << (bit % 8)
		reply[bit/8] ^= 1 << (bit % 8)
		_, asked := c.Request(request)
		_, answered := c.Reply(reply)
		if !errors.Is(asked, ErrTag) || !errors.Is(answered, ErrTag) {
			t.Fatalf("bit %d flipped: request %v, reply %v; want %v", bit, asked, answered, ErrTag)
		}
		request[bit/8] ^= 1 << (bit % 8)
		reply[bit/8] ^= 1 << (bit % 8)
	}
	other := Sealed(nil, answering)
	if _, err := other.Request(request); !errors.Is(err, ErrTag) {
		t.Errorf("a request under the other direction's key gives %v", err)
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		name string
		unix int64
		ntp  Time
		ptp  Time
	}{
		{"epoch", 0, 2_208_988_800 << 32, 0},
		{"half a second", 500_000_000, 2_208_988_800<<32 | 1<<31, 500_000_000},
		{"one nanosecond", 1, 2_208_988_800<<32 | 5, 1},
		{"NTP's second era", 2_085_978_496 * second, 0, 2_085_978_496 << 32},
	} {
		if got := NTP(test.unix); got != test.ntp {
			t.Errorf("%s: NTP %x, want %x", test.name, got, test.ntp)
		}
		if got := PTP(test.unix); got != test.ptp {
			t.Errorf("%s: PTP %x, want %x", test.name, got, test.ptp)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		unix := random.Int64N(math.MaxInt32 * 2 * second / 2)
		if got := NTP(unix).Unix(0); got != unix {
			t.Fatalf("NTP of %d reads back as %d", unix, got)
		}
		if got := PTP(unix).Unix(ptpFormat); got != unix {
			t.Fatalf("PTP of %d reads back as %d", unix, got)
		}
	}
}

func TestEstimate(t *testing.T) {
	for _, bound := range []time.Duration{0, 1, time.Microsecond, 3 * time.Millisecond, 16 * time.Second, time.Hour} {
		for _, flags := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
			e := NewEstimate(bound, flags[0], flags[1])
			if e.multiplier() == 0 || e.Synchronised() != flags[0] || e.PTP() != flags[1] {
				t.Errorf("%v: estimate %04x", bound, uint16(e))
			}
			if got := e.Bound(); got < bound || float64(got) > float64(bound)*1.01+1 {
				t.Errorf("%v: reads back as %v", bound, got)
			}
		}
	}
	if got := Estimate(0x3FFF).Bound(); got != math.MaxInt64 {
		t.Errorf("the largest estimate is %v", got)
	}
}

func TestFitAndPad(t *testing.T) {
	for name, c := range codecs() {
		base := c.Least()
		for size, want := range map[int]int{0: base, base: base, base + 1: base + 4, base + 3: base + 4, base + 4: base + 4, base + 5: base + 5, 1400: 1400} {
			if got := c.Fit(size); got != want {
				t.Errorf("%s: Fit(%d) = %d, want %d", name, size, got, want)
			}
		}
		for _, size := range []int{base, base + 4, 200, 1472, 65507} {
			packet := make([]byte, size)
			c.Pad(packet)
			c.PutRequest(packet, aRequest)
			if size > base && (packet[base] != flagUnknown || packet[base+1] != typePadding) {
				t.Errorf("%s, %d bytes: the TLV starts with %x", name, size, packet[base:base+4])
			}
			if err := c.Reflect(packet); err != nil {
				t.Errorf("%s, %d bytes: reflected with %v", name, size, err)
			}
			if size > base && packet[base] != 0 {
				t.Errorf("%s, %d bytes: flags %x after reflection", name, size, packet[base])
			}
		}
	}
}

func TestReflectFlags(t *testing.T) {
	c := Open()
	for _, test := range []struct {
		name string
		tlvs string
		want string
		err  error
	}{
		{"none", "", "", nil},
		{"unknown type", "00fd000100", "80fd000100", nil},
		{"padding, then unknown", "80010001ee" + "80fa0000", "00010001ee" + "80fa0000", nil},
		{"too long", "80010005ee", "c0010005ee", ErrTLV},
		{"cut header", "800100", "c00100", ErrTLV},
	} {
		tlvs, _ := hex.DecodeString(test.tlvs)
		packet := append(make([]byte, OpenSize), tlvs...)
		if err := c.Reflect(packet); !errors.Is(err, test.err) {
			t.Errorf("%s: %v, want %v", test.name, err, test.err)
		}
		if got := hex.EncodeToString(packet[OpenSize:]); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestTail: what the TLVs say is read back, also from a packet that was reflected, and is not believed when a byte of it, or of the
// sequence number, was changed.
func TestTail(t *testing.T) {
	c := Sealed(asking, asking)
	for _, want := range []Tail{{}, {End: true}, {Sequence: 7, Left: 1 << 40}, {Sequence: 7, Left: 1 << 40, End: true}} {
		packet := make([]byte, 300)
		length := LeastSealed
		if want.End {
			packet = packet[:LeastSealed+EndSize]
			length = len(packet)
		} else {
			c.Pad(packet)
		}
		c.PutRequest(packet, aRequest)
		c.PutTail(packet, aRequest.Sequence, want)
		if got, ok := c.Tail(packet); !ok || got != want {
			t.Errorf("got %+v, %v; want %+v", got, ok, want)
		}
		if err := c.Reflect(packet); err != nil || packet[SealedSize] != 0 {
			t.Errorf("reflected: %v, flags %x", err, packet[SealedSize])
		}
		if got, ok := c.Tail(packet); !ok || got != want {
			t.Errorf("reflected: got %+v, %v; want %+v", got, ok, want)
		}
		flags := map[int]bool{SealedSize: true, SealedSize + 20: true, length - tagSize - tlvHeader: true}
		for at := range length {
			if at >= 4 && at < SealedSize || flags[at] {
				continue
			}
			packet[at] ^= 4
			if got, ok := c.Tail(packet); ok {
				t.Errorf("byte %d of %+v changed: read as %+v", at, want, got)
			}
			packet[at] ^= 4
		}
	}
	padded := make([]byte, 200)
	c.Pad(padded)
	c.PutRequest(padded, aRequest)
	if _, ok := c.Tail(padded); ok {
		t.Error("no TLVs pass for some")
	}
	if _, ok := Open().Tail(padded); ok {
		t.Error("the TLVs of an open packet are read")
	}
}

// FuzzPackets: nothing that arrives makes the parsers panic, and what they read they write back.
func FuzzPackets(f *testing.F) {
	for _, c := range codecs() {
		packet := make([]byte, 200)
		c.Pad(packet)
		c.PutRequest(packet, aRequest)
		f.Add(packet)
		c.PutReply(packet, aReply)
		f.Add(packet)
		f.Add(packet[:c.Size()])
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		for name, c := range codecs() {
			c.Tail(packet)
			r, err := c.Reply(packet)
			if err == nil {
				again := bytes.Clone(packet)
				c.PutReply(again, r)
				if back, err := c.Reply(again); err != nil || back != r {
					t.Errorf("%s: %+v, %v; want %+v", name, back, err, r)
				}
			}
			if q, err := c.Request(packet); err == nil {
				again := bytes.Clone(packet)
				c.PutRequest(again, q)
				if back, err := c.Request(again); err != nil || back != q {
					t.Errorf("%s: %+v, %v; want %+v", name, back, err, q)
				}
			}
			c.Reflect(bytes.Clone(packet))
		}
	})
}

func TestNothingAllocates(t *testing.T) {
	c, packet := Open(), make([]byte, 200)
	sealed := Sealed(still{}, still{})
	got := testing.AllocsPerRun(100, func() {
		c.PutRequest(packet, aRequest)
		if _, err := c.Request(packet); err != nil {
			t.Error(err)
		}
		c.PutReply(packet, aReply)
		if _, err := c.Reply(packet); err != nil {
			t.Error(err)
		}
		sealed.PutTail(packet, 1, Tail{})
		sealed.Tail(packet)
	})
	if got != 0 {
		t.Errorf("%v allocations per packet", got)
	}
}

// still is a Tagger that does nothing.
type still struct{}

func (still) Put(_, _ []byte)        {}
func (still) Check(_, _ []byte) bool { return true }
