package port

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAllWhoWaitAccept: flows that are let in at once go to all who wait for one, in their order to one who comes later, and after
// Close to nobody.
func TestAllWhoWaitAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(nil, Expectation{Until: time.Now().Add(time.Hour)})
		accepted := make(chan *Flow, 4)
		accept := func() {
			f, err := s.AcceptUDP(t.Context())
			if err != nil {
				t.Error(err)
			}
			accepted <- f
		}
		let := func(streams ...uint16) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, n := range streams {
				s.udp.put(&Flow{Stream: n})
			}
		}
		go accept()
		go accept()
		synctest.Wait()
		let(0, 1)
		synctest.Wait()
		if n := len(accepted); n != 2 {
			t.Fatalf("%d of 2 who waited have a flow", n)
		}
		let(2, 3)
		accept()
		accept()
		<-accepted
		<-accepted
		if a, b := <-accepted, <-accepted; a.Stream != 2 || b.Stream != 3 {
			t.Errorf("streams %d and %d; want 2 and 3", a.Stream, b.Stream)
		}
		s.Close()
		if f, err := s.AcceptUDP(t.Context()); err != ErrClosed {
			t.Errorf("got %v, %v after Close", f, err)
		}
	})
}
