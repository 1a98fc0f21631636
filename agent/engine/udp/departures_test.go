package udp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/port"
)

func TestLateness(t *testing.T) {
	for _, ns := range []int64{0, 1, 2047, 2048, 4711, 5_000, 123_456, 5_000_000, 1_999_999_999} {
		if got := latenessOf(ns).ns(); got < ns-ns/2000 || got > ns+ns/2000 {
			t.Errorf("%d ns became %d", ns, got)
		}
	}
	for _, ns := range []int64{-1, -1 << 40, 1 << 50} {
		if got := latenessOf(ns); got != unknownLateness {
			t.Errorf("%d ns became %v; want unknown", ns, got)
		}
	}
}

var testPlace = place{3, wayReverse}

// told passes all that is due from a tracer to a receiver's knowledge, as far as the path lets it.
func told(t *testing.T, x *tracer, d *departures, now int64, passes func() bool) {
	t.Helper()
	tagger := port.NewTagger([32]byte{1})
	var buffer [departuresSize]byte
	x.taken = x.sent
	for {
		first, end, due := x.next(now)
		if !due {
			return
		}
		if end-first > mostDepartures {
			t.Fatalf("%d departures at once", end-first)
		}
		packet := x.encode(buffer[:], testPlace, first, end, tagger)
		if passes() && !d.decode(packet, testPlace, maxSequence, tagger) {
			t.Fatal("a packet of departures was not understood")
		}
	}
}

// TestDeparturesAreToldTwice: what the receiver hears is right, and as long as no two packets in a row are lost it misses nothing.
func TestDeparturesAreToldTwice(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	x, d := newTracer(0, tellAfter), newDepartures(1000, time.Second)
	late := map[uint64]int64{}
	lost := false
	const packets = 6000
	for s := range uint64(packets) {
		stamp := int64(s) * 1e6
		x.sending(s, stamp)
		late[s] = random.Int64N(100_000)
		x.left(s, stamp+late[s])
		told(t, x, &d, stamp, func() bool { lost = !lost && random.IntN(2) == 0; return !lost })
	}
	checked := 0
	for s := packets - uint64(len(d.late)) + 100; s+2*tellAfter < packets; s++ {
		checked++
		if got := d.of(s); got != latenessOf(late[s]) {
			t.Fatalf("packet %d left %v late; want %v", s, got.ns(), late[s])
		}
	}
	if checked < 1000 {
		t.Fatalf("%d packets checked", checked)
	}
	if d.of(0) != unknownLateness || d.of(packets) != unknownLateness {
		t.Error("what was never told, or too long ago, is said to be known")
	}
}

// TestBlindDevice: departures that the kernel does not stamp are told as unknown after a while, so that nothing waits for them.
func TestBlindDevice(t *testing.T) {
	x, d := newTracer(0, tellAfter), newDepartures(1000, time.Second)
	for s := range uint64(blindAfter) {
		if x.blind() {
			t.Fatalf("gave up after %d packets", s)
		}
		x.sending(s, 0)
	}
	if !x.blind() {
		t.Error("did not give up")
	}
	always := func() bool { return true }
	told(t, x, &d, int64(tellEvery), always)
	told(t, x, &d, 2*int64(tellEvery), always)
	if d.next != blindAfter || d.of(5) != unknownLateness {
		t.Errorf("told up to %d; want %d, all unknown", d.next, blindAfter)
	}
}

// TestDeparturesOfOthers: packets of another stream, altered ones, and those no honest sender makes teach nothing.
func TestDeparturesOfOthers(t *testing.T) {
	tagger := port.NewTagger([32]byte{1})
	x, d := newTracer(0, tellAfter), newDepartures(1000, time.Second)
	x.sending(0, 0)
	x.left(0, 5000)
	var buffer [departuresSize]byte
	packet := x.encode(buffer[:], testPlace, 0, 1, tagger)
	if d.decode(packet, place{2, wayReverse}, 1000, tagger) || d.decode(packet, testPlace, 1000, port.NewTagger([32]byte{2})) || d.decode(packet[:len(packet)-1], testPlace, 1000, tagger) {
		t.Error("took what is not of this stream")
	}
	x.encode(buffer[:], testPlace, 1001, 1002, tagger)
	if !d.decode(packet, testPlace, 1000, tagger) || d.next != 0 {
		t.Error("believed a number beyond the session's")
	}
}

// slowSocket is taken off its processor between the stamp of each tenth packet and the system call.
type slowSocket struct {
	socket
	calls int
}

const offProcessor = 30 * time.Millisecond

func (s *slowSocket) send(packet []byte, id uint64) error {
	if s.calls++; s.calls%10 == 0 {
		time.Sleep(offProcessor)
	}
	return s.socket.send(packet, id)
}

// TestSenderOffItsProcessor: a sender that is interrupted between stamp and call makes no delay where the kernel stamps departures;
// where it does not, the result says so.
func TestSenderOffItsProcessor(t *testing.T) {
	for name, traced := range map[string]bool{"kernel": true, "user": false} {
		t.Run(name, func(t *testing.T) {
			x, r := hotPair(t, netp.Params{"rate": "1000pps", "duration": 1000.0})
			x.sock = &slowSocket{socket: x.sock}
			if traced && !x.trace() {
				t.Skip("no stamps of departures here")
			}
			const packets = 60
			for range packets {
				if err := x.one(x.pacer.Due()); err != nil {
					t.Fatal(err)
				}
			}
			if traced {
				x.look()
				x.tellRest()
			}
			for r.collector.received < packets {
				r.readOnce(t)
			}
			jumps := 0
			delay := r.collector.finish([]uint64{packets}, 0).metrics[metricDelay].Distribution
			for _, b := range delay.Batches { // so few packets have a batch each
				if int64(b.Sum)+delay.Base >= int64(offProcessor) {
					jumps++
				}
			}
			check := (&session{set: x.set, sending: &sending{senders: []*sender{x}}}).sendStamps()
			if traced && (jumps != 0 || !check.OK || r.held.known != packets || r.held.unknown != 0) {
				t.Errorf("%d delays have the sender's pause in them; %d departures known, %d unknown; %+v", jumps, r.held.known, r.held.unknown, check)
			}
			if !traced && (jumps == 0 || check.OK) {
				t.Errorf("%d delays have the sender's pause in them, and the check says %+v", jumps, check)
			}
		})
	}
}

// TestDeparturesLost: without the sender's word on when they left packets count all the same, with the time they bear, and the
// result says how many. What rides in data packets is altered on the path, which costs no packet.
func TestDeparturesLost(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]func(told int) bool{
		"all":         func(int) bool { return true },
		"every third": func(told int) bool { return told%3 == 1 },
	} {
		for _, size := range []float64{64, 200} { // in packets of their own, and riding
			t.Run(fmt.Sprintf("%s, %g B", name, size), func(t *testing.T) {
				told := 0
				path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
					switch {
					case p[0] == kindDepartures:
						if told++; lost(told) {
							return nil
						}
					case isCounted(p) && len(p) > headerSize && p[headerSize] == kindDepartures:
						if told++; lost(told) {
							p[headerSize+departuresHead] ^= 1
						}
					}
					return [][]byte{p}
				}}
				m := bench{params: netp.Params{"rate": "1000pps", "count": 400.0, "size": size}, relay: path.open}.finished(t)
				if sent, received, n := figure(t, m, metricSent), figure(t, m, metricReceived), m.Metrics[metricDelay].Distribution.All.Count(); sent != 400 || received != 400 || n != 400 {
					t.Errorf("sent %v, received %v, %d delays; want 400", sent, received, n)
				}
				unknown, stamps := m.Facts["departures_unknown"], m.Facts["send_stamps"]
				if stamps != "kernel" {
					t.Skip("no stamps of departures here")
				}
				check := checkOf(t, m, checkDepartures)
				if name == "all" && (unknown != "400" || check.OK) || name != "all" && (unknown != "" || !check.OK) {
					t.Errorf("%s departures unknown, check %+v", unknown, check)
				}
			})
		}
	}
}

// TestTracingAddsNothing: while a stream goes on, the path carries its data packets and none beside them but echoes.
func TestTracingAddsNothing(t *testing.T) {
	var beside, riding, data int
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		switch {
		case to && isCounted(p):
			data++
			if len(p) > headerSize && p[headerSize] == kindDepartures {
				riding++
			}
		case to && data > 0 && data < 400 && p[0] != kindEcho:
			beside++
		}
		return [][]byte{p}
	}}
	m := bench{params: netp.Params{"rate": "1000pps", "count": 400.0, "size": 172.0}, relay: path.open}.finished(t)
	if m.Facts["send_stamps"] != "kernel" {
		t.Skip("no stamps of departures here")
	}
	path.mu.Lock()
	defer path.mu.Unlock()
	if beside != 0 || riding < 300 || data != 400 {
		t.Errorf("%d data packets, departures in %d of them, and %d other packets beside; want 400, most, and none", data, riding, beside)
	}
	if unknown := m.Facts["departures_unknown"]; unknown != "" {
		t.Errorf("%s departures unknown; want none", unknown)
	}
}

// TestHeld: arrivals come out in the order in which they came, copies and overtaken ones too.
func TestHeld(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	h := held{departures: newDepartures(1000, time.Second)}
	var in, out []uint64
	release := func(upTo uint64) {
		for a := h.pop(upTo); a != nil; a = h.pop(upTo) {
			out = append(out, a.sequence)
		}
	}
	for i := range uint64(5000) {
		a := arrival{purpose: purposeTraced, sequence: i - min(i, random.Uint64N(20))}
		in = append(in, a.sequence)
		h.push(a)
		if i%100 == 99 {
			h.reach(i - 50)
			release(0)
		}
	}
	release(all)
	if len(out) != len(in) {
		t.Fatalf("%d came out of %d", len(out), len(in))
	}
	for i := range in {
		if in[i] != out[i] {
			t.Fatalf("number %d is %d; want %d", i, out[i], in[i])
		}
	}
	if cap(h.queue) > 1000 {
		t.Errorf("room for %d, where at most some 200 wait", cap(h.queue))
	}
}
