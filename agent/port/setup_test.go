package port

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"
)

// stranger is a plain socket that speaks to a port.
func stranger(t *testing.T, p *Port) *net.UDPConn {
	t.Helper()
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// eventually waits for the counters of a port to be as wanted.
func eventually(t *testing.T, p *Port, want Stats) {
	t.Helper()
	poll(t, func() bool { return p.Stats() == want }, func() { t.Fatalf("stats are %+v; want %+v", p.Stats(), want) })
}

// poll waits until a condition holds; when it never does, it calls failed.
func poll(t *testing.T, holds func() bool, failed func()) {
	t.Helper()
	ctx := deadlined(t)
	for !holds() {
		select {
		case <-ctx.Done():
			failed()
			return
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// silent fails when a socket has received anything. It is called after the port has dealt with all that was sent.
func silent(t *testing.T, conn *net.UDPConn) {
	t.Helper()
	conn.SetReadDeadline(time.Now())
	b := make([]byte, 2048)
	if n, err := conn.Read(b); err == nil {
		t.Errorf("the port answered %x", b[:n])
	}
}

func hello(network uint8, id SessionID, stream uint16) setup {
	return newHello(network, id, Options{Stream: stream})
}

// TestNothingIsAnsweredUnproven: strangers, whatever they send, get no byte back, and each packet is counted as what it is.
func TestNothingIsAnsweredUnproven(t *testing.T) {
	variants(t, func(t *testing.T, p *Port) {
		_, keys := expect(t, p, 1)
		good := hello(overUDP, 1, 0).encode(NewTagger(keys.Initiator))
		random := mathrand.New(mathrand.NewPCG(1, 2))
		conn := stranger(t, p)
		var want Stats
		sent := 0
		send := func(packet []byte) {
			if _, err := conn.Write(packet); err != nil {
				t.Fatal(err)
			}
			if sent++; sent%50 == 0 {
				eventually(t, p, want) // not more in flight than the socket holds
			}
		}
		for range 2000 { // noise of all lengths
			noise := make([]byte, 1+random.IntN(300))
			rand.Read(noise)
			want.Malformed++
			send(noise)
		}
		for bit := range setupSize * 8 { // the hello with one bit turned
			packet := good
			packet[bit/8] ^= 1 << (bit % 8)
			switch at := bit / 8; {
			case at < 5: // magic, version
				want.Malformed++
			case at == 5 || at == 6:
				if h, err := parseSetup(packet[:]); err == nil && h.kind == kindHello && h.network == overUDP {
					t.Fatal("a turned bit made no difference")
				}
				want.Malformed++ // another kind or network
			case at >= 8 && at < 16:
				want.UnknownSession++
			default:
				want.BadTag++
			}
			send(packet[:])
		}
		for _, key := range [][32]byte{keys.Responder, {}} { // other keys
			packet := hello(overUDP, 1, 0).encode(NewTagger(key))
			want.BadTag++
			send(packet[:])
		}
		eventually(t, p, want)
		silent(t, conn)
	})
}

// TestAnswersAreRepeatedButNotReplayed: the same hello from the same address is answered again, as often as it comes, with the
// same bytes; from elsewhere, or with another hello for the stream, it is not.
func TestAnswersAreRepeatedButNotReplayed(t *testing.T) {
	variants(t, func(t *testing.T, p *Port) {
		s, keys := expect(t, p, 1)
		read := readFirst(deadlined(t), s)
		conn, thief := stranger(t, p), stranger(t, p)
		first := hello(overUDP, 1, 5)
		packet := first.encode(NewTagger(keys.Initiator))
		ask := func() []byte {
			if _, err := conn.Write(packet[:]); err != nil {
				t.Fatal(err)
			}
			conn.SetReadDeadline(time.Now().Add(patience))
			answer := make([]byte, 2048)
			n, err := conn.Read(answer)
			if err != nil {
				t.Fatal(err)
			}
			return answer[:n]
		}
		answer := ask()
		if len(answer) > len(packet) || !first.acknowledged(NewTagger(keys.Responder), answer) {
			t.Fatalf("answer %x to %x", answer, packet)
		}
		for range 3 {
			if again := ask(); !bytes.Equal(again, answer) {
				t.Errorf("the repeated answer is %x; want %x", again, answer)
			}
		}
		want := Stats{AcceptedUDP: 1, Answers: 4, Replayed: 3}
		thief.Write(packet[:]) // stolen
		second := hello(overUDP, 1, 5).encode(NewTagger(keys.Initiator))
		thief.Write(second[:]) // the stream is taken
		later := hello(overUDP, 1, 6)
		later.nonce = first.nonce
		third := later.encode(NewTagger(keys.Initiator))
		thief.Write(third[:]) // the nonce is used
		eventually(t, p, want)
		silent(t, thief)

		confirm := first.answer(kindConfirm, 0).encode(NewTagger(keys.Initiator))
		conn.Write(confirm[:])
		conn.Write(packet[:]) // a late copy of the hello: answered by whoever reads the flow, and not shown
		conn.Write([]byte("data"))
		got := <-read
		if got.err != nil || got.text != "data" {
			t.Fatalf("read %q, %v; want the data", got.text, got.err)
		}
		want.Answers++
		eventually(t, p, want)

		got.flow.Close() // the stream is free again, the nonce is not
		thief.Write(packet[:])
		want.Replayed++
		eventually(t, p, want)
		again, _ := pair(t, p, s, keys, Options{Stream: 5})
		again.Close()
	})
}

// reading is the first packet of a flow.
type reading struct {
	flow *Flow
	text string
	err  error
}

// readFirst reads the next flow of a session beside the test: hellos are answered also when the machine stops for so long that the
// flow counts as settled.
func readFirst(ctx context.Context, s *Session) <-chan reading {
	read := make(chan reading, 1)
	go func() {
		f, err := s.AcceptUDP(ctx)
		if err != nil {
			read <- reading{err: err}
			return
		}
		f.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, 100)
		n, err := f.Read(b)
		read <- reading{f, string(b[:n]), err}
	}()
	return read
}

// TestFlowSettlesWithoutConfirmation: a confirm that is lost costs nothing: data, or silence, says the same.
func TestFlowSettlesWithoutConfirmation(t *testing.T) {
	for name, data := range map[string]string{"data": "first packet", "silence": ""} {
		t.Run(name, func(t *testing.T) {
			variants(t, func(t *testing.T, p *Port) {
				s, keys := expect(t, p, 1)
				conn := stranger(t, p)
				packet := hello(overUDP, 1, 0).encode(NewTagger(keys.Initiator))
				conn.Write(packet[:])
				if data != "" {
					eventually(t, p, Stats{AcceptedUDP: 1, Answers: 1})
					conn.Write([]byte(data))
				}
				f, err := s.AcceptUDP(deadlined(t))
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				conn.Write([]byte("next packet"))
				for _, want := range []string{data, "next packet"} {
					if want == "" {
						continue
					}
					b := make([]byte, 100)
					f.SetReadDeadline(time.Now().Add(patience))
					if n, err := f.Read(b); err != nil || string(b[:n]) != want {
						t.Errorf("read %q, %v; want %q", b[:n], err, want)
					}
				}
			})
		})
	}
}

func TestOnlyThePeerIsLetIn(t *testing.T) {
	variants(t, func(t *testing.T, p *Port) {
		keys := DeriveKeys([]byte("secret"), 9)
		s, err := p.Expect(Expectation{ID: 9, Keys: keys, Peer: netip.MustParseAddr("127.0.0.2"), Until: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		conn := stranger(t, p) // from 127.0.0.1
		packet := hello(overUDP, 9, 0).encode(NewTagger(keys.Initiator))
		conn.Write(packet[:])
		eventually(t, p, Stats{WrongPeer: 1})
		silent(t, conn)
		right := Dialer{Where: Where{Address: netip.MustParseAddr("127.0.0.2")}}
		f, err := right.DialUDP(deadlined(t), p.Addr(), 9, keys, Options{})
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	})
}

func TestSessionIsBoundToItsFirstPeer(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	s, keys := expect(t, p, 1)
	pair(t, p, s, keys, Options{Stream: 1})
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 3)}, net.UDPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	packet := hello(overUDP, 1, 2).encode(NewTagger(keys.Initiator))
	conn.Write(packet[:])
	poll(t, func() bool { return p.Stats().WrongPeer == 1 }, func() { t.Fatalf("stats are %+v; want one wrong peer", p.Stats()) })
	if got := p.Stats().AcceptedUDP; got != 1 {
		t.Errorf("%d flows were let in; want the first peer's", got)
	}
}

func TestSessionEnds(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	keys := DeriveKeys([]byte("secret"), 1)
	if _, err := p.Expect(Expectation{ID: 1, Keys: keys, Until: time.Now().Add(-time.Second)}); err == nil {
		t.Error("a session of the past is expected")
	}
	s, err := p.Expect(Expectation{ID: 1, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Expect(Expectation{ID: 1, Keys: keys, Until: time.Now().Add(time.Minute)}); err == nil {
		t.Error("a session is expected twice")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AcceptUDP(canceled); err != context.Canceled {
		t.Errorf("accept with a cancelled context: %v", err)
	}
	s.Close()
	s.Close()
	if _, err := s.AcceptTCP(t.Context()); err != ErrClosed {
		t.Errorf("accept of a closed session: %v", err)
	}
	short, err := p.Expect(Expectation{ID: 1, Keys: keys, Until: time.Now().Add(200 * time.Millisecond)})
	if err != nil {
		t.Fatalf("the id of a closed session is still taken: %v", err)
	}
	if _, err := short.AcceptUDP(t.Context()); err != ErrExpired {
		t.Errorf("accept of an expired session: %v", err)
	}
	conn := stranger(t, p)
	packet := hello(overUDP, 1, 0).encode(NewTagger(keys.Initiator))
	conn.Write(packet[:])
	eventually(t, p, Stats{UnknownSession: 1})
	p.Close()
	if _, err := p.Expect(Expectation{ID: 2, Until: time.Now().Add(time.Minute)}); err != ErrClosed {
		t.Errorf("expect on a closed port: %v", err)
	}
}

// TestKeysStay: the derivation is part of the protocol.
func TestKeysStay(t *testing.T) {
	keys := DeriveKeys(bytes.Repeat([]byte{7}, 32), 0x0123456789abcdef)
	const initiator, responder = "e01cc3deb03bf1066d7118102da25a6d9ddfb3309e048254bfb0e00ff57a054b", "9f14b1afc65df928c2583e5863d322f060bd17afc993fb69000a2980b66cf0c5"
	if got := hex.EncodeToString(keys.Initiator[:]); got != initiator {
		t.Errorf("initiator key %s; want %s", got, initiator)
	}
	if got := hex.EncodeToString(keys.Responder[:]); got != responder {
		t.Errorf("responder key %s; want %s", got, responder)
	}
}

func TestTagger(t *testing.T) {
	key := [32]byte{1, 2, 3}
	a, b := NewTagger(key), NewTagger(key)
	packet := append([]byte("what an engine sends"), make([]byte, TagSize)...)
	a.Seal(packet)
	if !b.Open(packet) || b.Open(packet[:TagSize]) || b.Open(nil) {
		t.Error("a sealed packet does not open, or an empty one does")
	}
	for bit := range len(packet) * 8 {
		packet[bit/8] ^= 1 << (bit % 8)
		if b.Open(packet) {
			t.Fatalf("bit %d turned, and the packet opens", bit)
		}
		packet[bit/8] ^= 1 << (bit % 8)
	}
	if NewTagger([32]byte{}).Open(packet) {
		t.Error("another key opens the packet")
	}
	if n := testing.AllocsPerRun(100, func() { a.Seal(packet); b.Open(packet) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// FuzzSetup: whatever parses, encodes to the same bytes; whatever is sent to a session without its key, is not admitted.
func FuzzSetup(f *testing.F) {
	keys := DeriveKeys([]byte("known to nobody"), 1)
	good := hello(overUDP, 1, 2).encode(NewTagger(keys.Initiator))
	f.Add(good[:])
	f.Add(good[:40])
	f.Add(append(good[:], 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, packet []byte) {
		h, err := parseSetup(packet)
		if err != nil {
			return
		}
		again := h.encode(NewTagger([32]byte{}))
		if decoded, err := parseSetup(again[:]); err != nil || decoded != h {
			t.Fatalf("%+v became %+v, %v", h, decoded, err)
		}
		s := newSession(&Port{}, Expectation{ID: 1, Keys: DeriveKeys([]byte("another key"), 1)})
		if _, v := s.admit(h, packet, netip.MustParseAddrPort("192.0.2.1:1")); v != badTag {
			t.Fatalf("%x was judged %d", packet, v)
		}
	})
}

func BenchmarkTag(b *testing.B) {
	tagger, packet := NewTagger([32]byte{}), make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		tagger.Seal(packet)
	}
}
