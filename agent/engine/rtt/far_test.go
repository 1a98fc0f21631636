package rtt

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
)

// slowly forwards packets to an address and back, each as late as that, and gives its own address.
func slowly(t *testing.T, to netip.AddrPort, late time.Duration) netip.AddrPort {
	front, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addr(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	var mu sync.Mutex // guards backs
	backs := map[netip.AddrPort]*net.UDPConn{}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, b := range backs {
			b.Close()
		}
	})
	copies := func(from *net.UDPConn, send func(packet []byte, from netip.AddrPort)) {
		b := make([]byte, 64<<10)
		for {
			n, sender, err := from.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			packet := slices.Clone(b[:n])
			time.AfterFunc(late, func() { send(packet, sender) })
		}
	}
	go copies(front, func(packet []byte, from netip.AddrPort) {
		mu.Lock()
		defer mu.Unlock()
		back := backs[from]
		if back == nil {
			if back, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to)); err != nil {
				return
			}
			backs[from] = back
			go copies(back, func(packet []byte, _ netip.AddrPort) { front.WriteToUDPAddrPort(packet, from) })
		}
		back.Write(packet)
	})
	return front.LocalAddr().(*net.UDPAddr).AddrPort()
}

// TestSlowerThanTheTimeout: a path that answers too late loses everything, and is not out of reach; also where the answers come when nobody
// looks for them any more.
func TestSlowerThanTheTimeout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		timeout float64
		late    time.Duration // each way
	}{{0.5, 260 * time.Millisecond}, {0.2, 450 * time.Millisecond}} {
		t.Run(c.late.String(), func(t *testing.T) {
			t.Parallel()
			params := netp.Params{"count": 30.0, "interval": 0.1, "timeout": c.timeout}
			initiator, responder := agents(t, netip.MustParseAddr("127.0.0.1"), params)
			initiator.Peer = slowly(t, initiator.Peer, c.late)
			near, _ := play(deadlined(t), initiator, responder)
			wantComplete(t, near, params)
			wantMetrics(t, near, map[string]float64{metricSent: 30, metricLost: 30, metricLoss: 1})
		})
	}
}
