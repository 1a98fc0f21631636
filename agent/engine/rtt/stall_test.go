package rtt

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
	"github.com/netpupper/netp/agent/port"
)

// silentSocket swallows probes.
type silentSocket struct{}

func (silentSocket) send([]byte, uint64) error             { return nil }
func (silentSocket) receive([]byte, *arrival) (int, error) { return 0, errNothing }
func (silentSocket) departures(func(uint64, int64))        {}
func (silentSocket) late(dropped uint32) uint32            { return dropped }
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

// TestStallOfTheHostIsNoSilence: a host that stood still has not waited in vain for answers. Silence while it is awake is unreachable.
func TestStallOfTheHostIsNoSilence(t *testing.T) {
	j := job(t, netp.Params{"count": 20.0, "interval": 0.01, "timeout": 0.1})
	codec := stamp.Open()
	s := newSession(j, newSettings(j.Params), silentSocket{}, newStamp(codec, codec, 0, 1, 1, false), loopback4)
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	givenUp := false
	s.cancel = func(error) { givenUp = true }
	for range quietProbes {
		s.probe(true)
	}
	now := s.start + int64(patience)
	s.tick(now)
	now += int64(10 * time.Second)
	s.tick(now)
	if givenUp {
		t.Error("given up after a stall")
	}
	for range (quietStart + s.settings.timeout) / patience {
		now += int64(patience)
		s.tick(now)
	}
	if !givenUp {
		t.Error("not given up after the silence")
	}
}

// TestWithoutKernelStamps runs a session over the socket of the systems that have none.
func TestWithoutKernelStamps(t *testing.T) {
	params := netp.Params{"count": 55.0, "interval": 0.002, "timeout": 3.0} // the last loss is not the last probe: whose fault that was may stay open
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

// TestAnswersAreFollowedUp: what an answer waited after it was stamped is taken out of the round trip when a later answer tells of it;
// what cannot be true is not believed, and what is told again, or of an answer that never came, changes nothing.
func TestAnswersAreFollowedUp(t *testing.T) {
	const network, stay, waited = 3 * ms, 2 * ms, 40_000
	j := job(t, netp.Params{"count": 7.0, "interval": 0.001})
	sign := port.NewTagger([32]byte{1})
	codec := stamp.Sealed(sign, sign)
	s := newSession(j, newSettings(j.Params), silentSocket{}, newStamp(codec, codec, 0, 1, 1, true), loopback4)
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	const far = int64(1e18)
	left := func(count uint32) int64 { return far + int64(count)*ms }
	answer := func(sequence uint32, tail stamp.Tail) {
		t.Helper()
		p := *s.ledger.at(uint64(sequence))
		count := sequence + 100
		packet := make([]byte, stamp.LeastSealed)
		codec.PutReply(packet, stamp.Reply{
			Sequence: count, Estimate: 1, Received: stamp.NTP(left(count) - stay), Time: stamp.NTP(left(count)),
			Request: stamp.Request{Sequence: sequence, Time: stamp.NTP(p.wall), Estimate: 1},
		})
		codec.PutTail(packet, count, tail)
		s.take(packet, &arrival{kernel: p.wall + network + stay + waited}, p.left+10*ms)
	}
	told := func(count uint32, late int64) stamp.Tail {
		return stamp.Tail{Sequence: count, Left: stamp.NTP(left(count) + late)}
	}
	for range 7 {
		s.probe(true)
	}
	answer(0, stamp.Tail{})
	answer(1, told(100, waited))
	answer(2, told(100, waited)) // again; that of 101 is lost
	answer(3, told(102, -50))    // what came for 102 answers a copy of the probe
	answer(4, told(103, waited))
	answer(5, told(99, waited)) // never seen
	answer(6, told(105, 10*ms)) // longer than the whole round trip
	for sequence, want := range []int64{network, network + waited, network + waited, network, network + waited, network + waited, network + waited} {
		if got := s.ledger.at(uint64(sequence)).rtt; got != want {
			t.Errorf("round trip of probe %d: %d ns, want %d", sequence, got, want)
		}
	}
	if s.seen.followed != 2 || s.seen.odd != 1 {
		t.Errorf("%d answers followed up, %d odd; want 2 and 1", s.seen.followed, s.seen.odd)
	}
}
