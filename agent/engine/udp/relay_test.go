package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

// relay is a path that does what its script says, packet by packet, and keeps the truth.
type relay struct {
	// script decides what becomes of a packet: the packets to be passed on in its place, in order.
	script func(r *relay, toResponder bool, packet []byte) [][]byte

	mu     sync.Mutex // guards what follows, and the script runs under it
	passed []uint64   // sequence numbers of counted data packets to the responder, in the order passed on
	asked  uint64     // counted data packets that reached the relay
	held   [][]byte
}

// open starts the relay in front of a data port.
func (r *relay) open(t *testing.T, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	front.SetReadBuffer(4 << 20)
	var running sync.WaitGroup
	backs := map[netip.AddrPort]*net.UDPConn{}
	running.Go(func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := front.ReadFromUDPAddrPort(buffer)
			if err != nil {
				break
			}
			back := backs[from]
			if back == nil {
				if back, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to)); err != nil {
					t.Error(err)
					break
				}
				back.SetReadBuffer(4 << 20)
				backs[from] = back
				running.Go(func() { r.backwards(front, back, from) })
			}
			for _, p := range r.decide(true, buffer[:n]) {
				back.Write(p)
			}
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

func (r *relay) backwards(front, back *net.UDPConn, to netip.AddrPort) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := back.Read(buffer)
		if err != nil {
			if opError, ok := err.(*net.OpError); ok && opError.Err == net.ErrClosed {
				return
			}
			continue // an ICMP error: the end of one side
		}
		for _, p := range r.decide(false, buffer[:n]) {
			front.WriteToUDPAddrPort(p, to)
		}
	}
}

func (r *relay) decide(toResponder bool, packet []byte) [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	packet = slices.Clone(packet)
	if toResponder && isCounted(packet) {
		r.asked++
	}
	out := r.script(r, toResponder, packet)
	if toResponder {
		for _, p := range out {
			if isCounted(p) {
				r.passed = append(r.passed, sequenceOf(p))
			}
		}
	}
	return out
}

func isCounted(p []byte) bool {
	return len(p) >= headerSize && p[0] == kindData && (p[1] == purposeCounted || p[1] == purposeTraced)
}

func sequenceOf(p []byte) uint64 { return binary.BigEndian.Uint64(p[8:]) & maxSequence }

// truth is what a receiver must have seen, from the packets passed on.
func (r *relay) truth() (received, lost, overtook, copies, copied float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[uint64]int{}
	var highest uint64
	for _, s := range r.passed {
		switch seen[s]++; seen[s] {
		case 1:
			received++
			if s < highest {
				overtook++
			}
		case 2:
			copied++
			copies++
		default:
			copies++
		}
		highest = max(highest, s)
	}
	return received, float64(r.asked) - received, overtook, copies, copied
}

// counts is how many counted packets came to the relay, and how many it passed on.
func (r *relay) counts() (asked, passed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.asked), len(r.passed)
}
