package udp

import (
	"errors"
	"syscall"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// narrowSocket sends only some of the packets that it is given, and refuses others for a time.
type narrowSocket struct {
	socket
	calls int
}

func (s *narrowSocket) sendAll(packets [][]byte) (int, error) {
	s.calls++
	if s.calls%7 == 0 {
		return 0, syscall.ECONNREFUSED // of a packet before
	}
	n, err := s.socket.sendAll(packets[:1+s.calls%len(packets)])
	if err == nil && s.calls%5 == 0 {
		err = errBusy
	}
	return n, err
}

// TestSeveral: packets that leave together are counted as they leave, whatever the system does with the rest.
func TestSeveral(t *testing.T) {
	const count = 500
	x, r := hotPair(t, netp.Params{"rate": "0", "count": float64(count), "mix": []any{[]any{64.0, 1.0}, []any{65.0, 1.0}}})
	x.sock = &narrowSocket{socket: x.sock}
	packets := x.several()
	for !x.complete(clock.Mono()) {
		if err := x.together(clock.Mono(), packets); err != nil && !errors.Is(err, errBusy) {
			t.Fatal(err)
		}
	}
	if x.sent.Load() != count || x.stats.busy == 0 {
		t.Errorf("%d of %d packets sent, the socket was busy %d times", x.sent.Load(), count, x.stats.busy)
	}
	for r.collector.received < count {
		r.readOnce(t)
	}
	o := r.collector.finish([]uint64{count}, 0)
	if o.beyond != 0 || r.collector.copies != 0 || r.collector.overtaken.Total() != 0 {
		t.Errorf("%d beyond the last, %d copies, %d out of order", o.beyond, r.collector.copies, r.collector.overtaken.Total())
	}
}
