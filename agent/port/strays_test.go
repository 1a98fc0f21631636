package port

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestFlowsDoNotDisturbEachOther: while hundreds of flows come and go, and strangers fill the gaps between them, a flow that was
// there before gets each of its packets and nothing else, and so do all the others. A socket that is bound but not yet connected
// would take packets of strangers, or of flows whose socket does not exist yet.
func TestFlowsDoNotDisturbEachOther(t *testing.T) {
	variants(t, func(t *testing.T, p *Port) {
		s, keys := expect(t, p, 1)
		a, b := pair(t, p, s, keys, Options{Stream: 9999})
		var stop atomic.Bool
		var background sync.WaitGroup
		var pings, noise int
		background.Go(func() { pings = pingPong(t, a, b, &stop) })
		background.Go(func() { noise = makeNoise(t, p, &stop) })

		const openers, each = 4, 60
		var openings sync.WaitGroup
		for opener := range openers {
			openings.Go(func() {
				for i := range each {
					id := SessionID(1000 + opener*each + i)
					if err := visit(t, p, id, i%2 == 0); err != nil {
						t.Errorf("flow of session %v: %v", id, err)
						return
					}
				}
			})
		}
		openings.Wait()
		stop.Store(true)
		background.Wait()
		poll(t, func() bool {
			got := p.Stats()
			return got.Malformed == uint64(noise) && got.AcceptedUDP == openers*each+1
		}, func() {
			t.Fatalf("stats are %+v; want %d malformed, %d flows: a packet of a stranger went to a flow, or one of a flow to the listener", p.Stats(), noise, openers*each+1)
		})
		t.Logf("%d pings and %d strange packets beside %d new flows", pings, noise, openers*each)
	})
}

// visit opens a flow in a session of its own, speaks, and closes it or leaves it to the end of the test.
func visit(t *testing.T, p *Port, id SessionID, leave bool) error {
	keys := DeriveKeys([]byte("secret"), id)
	s, err := p.Expect(Expectation{ID: id, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		return err
	}
	t.Cleanup(s.Close)
	a, err := Dialer{}.DialUDP(t.Context(), p.Addr(), id, keys, Options{})
	if err != nil {
		return err
	}
	for i := range 5 { // at once, while the responder may still be settling
		fmt.Fprintf(a, "%v %d", id, i)
	}
	b, err := s.AcceptUDP(t.Context())
	if err != nil {
		return err
	}
	b.SetReadDeadline(time.Now().Add(patience))
	packet := make([]byte, 100)
	for i := range 5 {
		n, err := b.Read(packet)
		if want := fmt.Sprintf("%v %d", id, i); err != nil || string(packet[:n]) != want {
			return fmt.Errorf("read %q, %v; want %q", packet[:n], err, want)
		}
	}
	if leave {
		t.Cleanup(func() { a.Close(); b.Close() })
		return nil
	}
	a.Close()
	return b.Close()
}

// pingPong sends windows of numbered packets and wants each one, once, in order, at the other end.
func pingPong(t *testing.T, a, b *Flow, stop *atomic.Bool) (count int) {
	packet, got := make([]byte, 8), make([]byte, 100)
	for !stop.Load() {
		for i := range 16 {
			binary.BigEndian.PutUint64(packet, uint64(count+i))
			if _, err := a.Write(packet); err != nil {
				t.Error(err)
				return count
			}
		}
		b.SetReadDeadline(time.Now().Add(patience))
		for range 16 {
			n, err := b.Read(got)
			if err != nil || n != 8 || binary.BigEndian.Uint64(got) != uint64(count) {
				t.Errorf("ping %d: got %x, %v", count, got[:n], err)
				return count
			}
			count++
		}
	}
	return count
}

// makeNoise sends packets of strangers, not more than the listener has room for.
func makeNoise(t *testing.T, p *Port, stop *atomic.Bool) (count int) {
	conn := stranger(t, p)
	for !stop.Load() {
		for range 8 {
			if _, err := conn.Write([]byte("stray")); err != nil {
				t.Error(err)
				return count
			}
			count++
		}
		poll(t, func() bool { return stop.Load() || p.Stats().Malformed >= uint64(count) }, func() {})
	}
	return count
}
