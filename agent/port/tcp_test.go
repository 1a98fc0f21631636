package port

import (
	"crypto/rand"
	"net"
	"testing"
	"time"
)

// TestIdleConnectionsDelayNobody: 200 connections that say nothing, 200 that say nonsense, and a good one is let in.
func TestIdleConnectionsDelayNobody(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	s, keys := expect(t, p, 1)
	ctx := deadlined(t)
	for i := range 400 {
		conn, err := net.Dial("tcp4", p.Addr().String())
		if err != nil {
			continue // evicted before we saw it open
		}
		defer conn.Close()
		if i%2 == 0 {
			nonsense := make([]byte, 200)
			rand.Read(nonsense)
			conn.Write(nonsense) // may be closed already
		}
	}
	begin := time.Now()
	a, err := Dialer{}.DialTCP(ctx, p.Addr(), 1, keys, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := s.AcceptTCP(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	t.Logf("let in after %v; %+v", time.Since(begin), p.Stats())
	if n := len(p.waiting.snapshot()); n > maxWaitingPerSource {
		t.Errorf("%d connections of one source wait; want %d at most", n, maxWaitingPerSource)
	}
	if got := p.Stats(); got.Evicted == 0 || got.Answers != 1 {
		t.Errorf("stats %+v; want evictions and one answer", got)
	}
}

func (w *waiting) snapshot() []waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]waiter(nil), w.list...)
}

// TestNobodyWaitsWithoutASession: while nothing is expected, a connection is closed at once.
func TestNobodyWaitsWithoutASession(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	conn, err := net.Dial("tcp4", p.Addr().String())
	if err == nil { // else it was closed before we saw it open
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(patience))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("read %d bytes, %v; want the end", n, err)
		}
	}
	eventually(t, p, Stats{WrongPeer: 1})
}

// TestStolenHelloOpensNothing: a hello over TCP works once, and one made for UDP never.
func TestStolenHelloOpensNothing(t *testing.T) {
	p := listen(t, Config{Where: Where{Address: loopback}})
	_, keys := expect(t, p, 1)
	say := func(packet [setupSize]byte) int {
		conn, err := net.Dial("tcp4", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write(packet[:])
		conn.SetReadDeadline(time.Now().Add(patience))
		n, _ := conn.Read(make([]byte, 1000))
		return n
	}
	packet := hello(overTCP, 1, 0).encode(NewTagger(keys.Initiator))
	if n := say(packet); n != setupSize {
		t.Fatalf("the answer has %d bytes; want %d", n, setupSize)
	}
	for name, c := range map[string][setupSize]byte{
		"replay":         packet,
		"of UDP":         hello(overUDP, 1, 1).encode(NewTagger(keys.Initiator)),
		"taken stream":   hello(overTCP, 1, 0).encode(NewTagger(keys.Initiator)),
		"responder's":    hello(overTCP, 1, 2).encode(NewTagger(keys.Responder)),
		"other session":  hello(overTCP, 2, 3).encode(NewTagger(keys.Initiator)),
		"a confirmation": hello(overTCP, 1, 4).answer(kindConfirm, 0).encode(NewTagger(keys.Initiator)),
	} {
		if n := say(c); n != 0 {
			t.Errorf("%s: the answer has %d bytes; want none", name, n)
		}
	}
	eventually(t, p, Stats{AcceptedTCP: 1, Answers: 1, Replayed: 2, BadTag: 1, UnknownSession: 1, Malformed: 2})
}

func TestWaitingMakesRoom(t *testing.T) {
	var w waiting
	conns := make([]*net.TCPConn, 200)
	evicted := 0
	for i := range conns {
		conns[i] = new(net.TCPConn)
		from := loopback
		if i >= 100 { // 50 sources with two connections each
			from = loopback.Next()
			for range (i - 100) / 2 {
				from = from.Next()
			}
		}
		out := w.add(conns[i], from)
		if out != nil {
			evicted++
		}
		if out == conns[i] {
			t.Fatal("the newest connection had to go")
		}
	}
	if len(w.list) != maxWaiting || evicted != len(conns)-maxWaiting {
		t.Errorf("%d wait, %d evicted; want %d and %d", len(w.list), evicted, maxWaiting, len(conns)-maxWaiting)
	}
	if !w.remove(conns[199]) || w.remove(conns[0]) {
		t.Error("the newest is not there, or the oldest still is")
	}
}
