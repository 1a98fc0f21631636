package udp

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// BenchmarkSuperPacket is the cost of a packet of a flood, both ends and the kernel together, in one goroutine.
func BenchmarkSuperPacket(b *testing.B) {
	x, r := hotPair(b, netp.Params{"rate": "0", "duration": 10_000.0, "size": 64.0})
	pieces := x.super()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += x.segments {
		if err := x.burst(clock.Mono(), pieces); err != nil {
			b.Fatal(err)
		}
		r.sock.(*rawSocket).busy = false // nobody else sends: waiting for more would be in vain
		r.readOnce(b)
		if x.segments == 0 {
			b.Skip("no segmentation offload here")
		}
	}
}

// TestRehearsalSendsNothing: neither a packet, nor what would move the numbers that the kernel gives to departures, and an error that
// waits in the socket is for who sends.
func TestRehearsalSendsNothing(t *testing.T) {
	x, r := hotPair(t, netp.Params{"rate": "1000pps", "duration": 10_000.0})
	if !x.trace() {
		t.Error("no stamps of departures here")
	}
	for range 100 {
		x.rehearse()
		if err := x.one(x.pacer.Due()); err != nil {
			t.Fatal(err)
		}
	}
	came := 0
	for batch := []datagram(nil); came == 0 || len(batch) > 0; came += len(batch) {
		var err error
		if batch, err = r.sock.read(clock.Mono() + int64(10*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
	}
	if came != 100 {
		t.Errorf("%d packets came; want 100", came)
	}
	left := 0
	x.sock.departures(func(id uint64, _ int64) {
		if id == uint64(left) {
			left++
		}
	})
	if left != 100 {
		t.Errorf("of 100 packets the kernel stamped %d as they left", left)
	}
}

func TestRehearsalTakesNoError(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		closed, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		closed.Close()
		conn, err := net.Dial("udp", closed.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		raw, err := conn.(*net.UDPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var first, second error
		err = raw.Control(func(fd uintptr) {
			s := &rawSocket{fd: int(fd)}
			packet := make([]byte, 100)
			first = s.send(packet, 0)
			s.rehearse(packet)
			second = s.send(packet, 0)
		})
		if err != nil || first != nil || !errors.Is(second, syscall.ECONNREFUSED) {
			t.Errorf("%s: sent with %v and, after a rehearsal, with %v, %v; want the port's refusal", host, first, second, err)
		}
	}
}
