//go:build !race

package rtt

import (
	"net"
	"testing"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
)

// TestProbingAllocatesNothing (not with the race detector, which allocates itself) sends probes to a foreign reflector made of the same parts, and takes the answers.
func TestProbingAllocatesNothing(t *testing.T) {
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	near, err := net.DialUDP("udp4", nil, far.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	sock, err := connSocket(near)
	if err != nil {
		t.Fatal(err)
	}
	defer sock.close()
	j := job(t, netp.Params{"interval": 0.001})
	s := newSession(j, newSettings(j.Params), sock, newStamp(stamp.Open(), stamp.Open(), 0, 1, 1, false), loopback4)
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	codec, packet, answers := stamp.Open(), make([]byte, 2048), make([]byte, 2048)
	departed := s.departed
	var a arrival
	count := uint32(0)
	once := func() {
		s.probe(true)
		n, from, err := far.ReadFromUDPAddrPort(packet)
		if err != nil {
			t.Error(err)
			return
		}
		request, err := codec.Request(packet[:n])
		if err != nil {
			t.Error(err)
			return
		}
		now := stamp.NTP(j.Clock.Nanos())
		codec.PutReply(packet, stamp.Reply{Sequence: count, Received: now, Time: now, Estimate: 1, Request: request})
		count++
		if _, err := far.WriteToUDPAddrPort(packet[:n], from); err != nil {
			t.Error(err)
			return
		}
		if n, err = sock.receive(answers, &a); err != nil {
			t.Error(err)
			return
		}
		at := clock.Mono()
		sock.departures(departed)
		s.take(answers[:n], &a, at)
	}
	// Probes are settled ten times a second; what the distributions take then is theirs.
	if got := testing.AllocsPerRun(800, once); got != 0 {
		t.Errorf("%v allocations per probe", got)
	}
	s.ledger.finish()
	if s.ledger.received != 801 || s.seen.unstamped+s.seen.unmarked > 0 {
		t.Errorf("%d answers, %d without a stamp of the departure, %d without one of the arrival", s.ledger.received, s.seen.unstamped, s.seen.unmarked)
	}
}
