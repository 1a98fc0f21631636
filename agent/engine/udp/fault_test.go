//go:build netptest

package udp

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// TestClockFaults: the stated error of a delay covers the truth when the sender's clock is wrong. On loopback the truth is below a
// few milliseconds, however busy the machine.
func TestClockFaults(t *testing.T) {
	const truth = 0.005
	for name, fault := range map[string]clock.Fault{
		"ahead":  {Offset: 20 * time.Millisecond},
		"behind": {Offset: -20 * time.Millisecond},
		"drift":  {Drift: 100},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := new(clock.Clock)
			wrong.Inject(fault)
			m := bench{params: netp.Params{"rate": "500pps", "duration": 2.0}, separate: true, clock: wrong}.merged(t)
			delay := m.Metrics[metricDelay]
			p50 := delay.Distribution.Member("p50")
			if p50+delay.Uncertainty < 0 || p50-delay.Uncertainty > truth {
				t.Errorf("median %v ± %v s", p50, delay.Uncertainty)
			}
			if delay.Uncertainty > 0.01 {
				t.Errorf("stated error %v s", delay.Uncertainty)
			}
			t.Logf("median %v ± %v s", p50, delay.Uncertainty)
		})
	}
	t.Run("step", func(t *testing.T) {
		wrong := new(clock.Clock)
		var once sync.Once
		midway := func(p netp.Progress) {
			if p.Values["sent"] > 0 {
				once.Do(func() { wrong.Inject(clock.Fault{Step: time.Hour, StepAt: time.Now()}) })
			}
		}
		m := bench{params: netp.Params{"rate": "500pps", "count": 1000.0}, separate: true, clock: wrong, progress: midway}.merged(t)
		if c := checkOf(t, m, checkClock); c.OK {
			t.Errorf("a step of an hour was not noticed: %+v", c)
		} else {
			t.Log(c)
		}
	})
}

// slow is a path whose two directions take different times.
type slow struct{ there, back time.Duration }

// open starts the path in front of a data port.
func (s slow) open(t *testing.T, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		backs := map[netip.AddrPort]*net.UDPConn{}
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDPAddrPort(buffer)
			if err != nil {
				break
			}
			if backs[from] == nil {
				back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
				if err != nil {
					t.Error(err)
					break
				}
				backs[from] = back
				running.Go(func() { s.backwards(front, back, from) })
			}
			back, packet := backs[from], slices.Clone(buffer[:n])
			time.AfterFunc(s.there, func() { back.Write(packet) })
		}
		for _, back := range backs {
			back.Close()
		}
	})
	t.Cleanup(func() {
		front.Close()
		running.Wait()
	})
	return front.LocalAddr().(*net.UDPAddr).AddrPort()
}

func (s slow) backwards(front, back *net.UDPConn, to netip.AddrPort) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := back.Read(buffer)
		if opError, ok := err.(*net.OpError); ok && opError.Err == net.ErrClosed {
			return
		}
		if err == nil {
			packet := slices.Clone(buffer[:n])
			time.AfterFunc(s.back, func() { front.WriteToUDPAddrPort(packet, to) })
		}
	}
}

// TestClockFaultsOnAnUnevenPath: the clocks of two hosts are apart and drift, and the path takes three milliseconds one way and
// fifteen the other, which no exchange of stamps can tell from an offset of six. The stated error covers the truth all the
// same, in both directions, and is no smaller than what cannot be known.
func TestClockFaultsOnAnUnevenPath(t *testing.T) {
	const busy = 0.01 // what a busy machine may add to the path
	path := slow{there: 3 * time.Millisecond, back: 15 * time.Millisecond}
	for name, fault := range map[string]clock.Fault{
		"ahead":  {Offset: 40 * time.Millisecond},
		"behind": {Offset: -40 * time.Millisecond, Drift: -100},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := new(clock.Clock)
			wrong.Inject(fault)
			m := bench{params: netp.Params{"rate": "200pps", "duration": 2.0, "direction": "both"}, separate: true, clock: wrong, relay: path.open}.merged(t)
			for direction, truth := range map[string]time.Duration{"forward": path.there, "reverse": path.back} {
				delay := m.Metrics[direction+"."+metricDelay]
				p50 := delay.Distribution.Member("p50")
				if p50+delay.Uncertainty < truth.Seconds() || p50-delay.Uncertainty > truth.Seconds()+busy {
					t.Errorf("%s: median %v ± %v s, the truth is %v", direction, p50, delay.Uncertainty, truth)
				}
				if least := (path.there + path.back).Seconds() / 2; delay.Uncertainty < least {
					t.Errorf("%s: stated error %v s, less than half the round trip, %v s", direction, delay.Uncertainty, least)
				}
				t.Logf("%s: median %v ± %v s, the truth is %v", direction, p50, delay.Uncertainty, truth)
			}
		})
	}
}
