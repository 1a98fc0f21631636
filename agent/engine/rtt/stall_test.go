package rtt

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
)

// silentSocket swallows probes.
type silentSocket struct{}

func (silentSocket) send([]byte, uint64) error             { return nil }
func (silentSocket) receive([]byte, *arrival) (int, error) { return 0, errNothing }
func (silentSocket) departures(func(uint64, int64))        {}
func (silentSocket) clocks() string                        { return kernelClocks }
func (silentSocket) close() error                          { return nil }

// TestStallOfTheHostLosesNothing: answers that came in time, and were read 10 s later because the host stood still, are no losses.
func TestStallOfTheHostLosesNothing(t *testing.T) {
	const probes, network, stall = 20, 3 * ms, int64(10 * time.Second)
	j := job(t, netp.Params{"count": float64(probes), "interval": 0.001, "timeout": 0.1})
	codec := stamp.Open()
	s := newSession(j, newSettings(j.Params), silentSocket{}, newStamp(codec, codec, 0, 1, 1, false), loopback4)
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	for range probes {
		s.probe(true)
	}
	s.cancel = func(err error) { t.Errorf("given up: %v", err) }
	packet := make([]byte, stamp.OpenSize)
	for i := range uint64(probes) {
		p := *s.ledger.at(i)
		request := stamp.Request{Sequence: uint32(i), Time: stamp.NTP(p.wall), Estimate: 1}
		codec.PutReply(packet, stamp.Reply{Sequence: uint32(i), Time: 5 << 32, Received: 5 << 32, Estimate: 1, Request: request})
		s.take(packet, &arrival{kernel: p.wall + network}, p.left+stall)
		s.tick(p.left + stall)
	}
	s.ledger.finish()
	if s.ledger.received != probes || s.ledger.lost != 0 || s.ledger.late != 0 {
		t.Errorf("%d received, %d lost, %d late; want all received", s.ledger.received, s.ledger.lost, s.ledger.late)
	}
	if got := s.ledger.rtt.All; got.Min() != network || got.Max() != network {
		t.Errorf("rtt from %d to %d ns, want %d", got.Min(), got.Max(), network)
	}
	if got := s.ledger.user.All.Min(); got != stall {
		t.Errorf("rtt_user from %d ns, want %d", got, stall)
	}
}

// TestWithoutKernelStamps runs a session over the socket of the systems that have none.
func TestWithoutKernelStamps(t *testing.T) {
	params := netp.Params{"count": 55.0, "interval": 0.002, "timeout": 0.5} // the last loss is not the last probe: whose fault that was may stay open
	address := foreign{deaf: every(10)}.start(t)
	conn, err := net.Dial("udp4", address)
	if err != nil {
		t.Fatal(err)
	}
	j := job(t, params)
	codec := stamp.Open()
	s := newSession(j, newSettings(j.Params), plainSocket{conn}, newStamp(codec, codec, 0, 1, 1, false), loopback4)
	defer s.socket.close()
	near, err := s.run(deadlined(t), s.receive)
	if err != nil {
		t.Fatal(err)
	}
	wantComplete(t, near, params)
	wantMetrics(t, near, map[string]float64{metricSent: 55, metricLost: 5, metricForward: 5.0 / 55, metricBackward: 0})
	if near.Facts["timestamps"] != userClocks || find(near, "kernel_timestamps").Value != 0 {
		t.Errorf("timestamps %q, check %+v", near.Facts["timestamps"], find(near, "kernel_timestamps"))
	}
}

// TestReflectorTellsWhatItAdds: what an answer waits after its stamp is in rtt, so the reflector must say when that is much.
func TestReflectorTellsWhatItAdds(t *testing.T) {
	r := &reflector{job: job(t, netp.Params{"count": 1.0}), socket: silentSocket{}}
	const stamped = int64(1e18)
	for count, lag := range []int64{ms, 9 * ms, 3 * ms} {
		r.leaving[count] = leaving{uint64(count), stamped}
		r.departed(uint64(count), stamped+lag)
	}
	r.departed(leavingRing+1, stamped+80*ms) // its stamp is not known any more
	if c := find(netp.Result{Health: r.health()}, "reflector_send_lag"); !c.OK || c.Value != 0.009 {
		t.Errorf("after 9 ms: %+v", c)
	}
	r.departed(2, stamped+80*ms)
	c := find(netp.Result{Health: r.health()}, "reflector_send_lag")
	if c.OK || c.Value != 0.08 || !slices.Contains(c.Metrics, metricRTT) {
		t.Errorf("after 80 ms: %+v", c)
	}
}

// TestAnswersAreStampedAhead: an answer says when it leaves, as far as the latest ones left later than their clock was read in any case.
func TestAnswersAreStampedAhead(t *testing.T) {
	r := &reflector{job: job(t, netp.Params{"count": 1.0})}
	const left = int64(1e18)
	depart := func(n int, lag int64) {
		for range n {
			count := uint32(r.departures)
			r.leaving[count%leavingRing] = leaving{uint64(count), left}
			r.departed(uint64(count), left+lag)
		}
	}
	ahead := func(want int64) {
		t.Helper()
		if got := r.ahead(); got != want {
			t.Errorf("%d ns ahead after %d departures, want %d", got, r.departures, want)
		}
	}
	ahead(0)
	depart(fewestLags-1, 4000)
	ahead(0) // too few to tell
	depart(1, 9000)
	ahead(3000)
	depart(1, 2000)
	ahead(1500)
	depart(recentLags-1, 8000)
	ahead(1500)
	depart(1, 8000) // the shortest is forgotten
	ahead(6000)
	depart(1, -50) // somebody set the clock
	ahead(0)
}
