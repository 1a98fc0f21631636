package rtt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
	"github.com/netpupper/netp/agent/port"
)

// TestForgeriesAreNotCounted: a responder that answers each probe with forgeries, the true answer, and copies of that.
func TestForgeriesAreNotCounted(t *testing.T) {
	const probes = 40
	params := netp.Params{"count": float64(probes), "interval": 0.002}
	initiator, responder := agents(t, loopback4, params)
	ctx := deadlined(t)
	var far sync.WaitGroup
	far.Go(func() {
		flow, err := responder.Accept.AcceptUDP(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		defer flow.Close()
		forge(t, flow)
	})
	near := new(Engine).Initiate(ctx, initiator)
	far.Wait()
	wantComplete(t, near, params)
	wantMetrics(t, near, map[string]float64{
		metricSent: probes, metricReceived: probes, metricLost: 0, metricDuplicated: 1, metricForward: 0, metricBackward: 0,
	})
	if got := near.Facts["rejected"]; got != "160" && got != "164" { // those to the End may come after the end
		t.Errorf("rejected %q, want four for each answered packet", got)
	}
}

// forge reflects until the End has been answered.
func forge(t *testing.T, flow *port.Flow) {
	reading := stamp.Sealed(nil, port.NewTagger(flow.ReceiveKey))
	honest := stamp.Sealed(port.NewTagger(flow.SendKey), nil)
	stolen := stamp.Sealed(port.NewTagger(flow.ReceiveKey), nil) // the wrong direction's key
	random := rand.New(rand.NewPCG(1, 2))
	packet := make([]byte, 2048)
	for count := uint32(0); ; count++ {
		flow.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := flow.Read(packet)
		if err != nil {
			t.Error(err)
			return
		}
		request, err := reading.Request(packet[:n])
		if err != nil {
			t.Error(err)
			return
		}
		now := stamp.NTP(time.Now().UnixNano())
		reply := stamp.Reply{Sequence: count, Time: now, Received: now, Estimate: request.Estimate, Request: request}
		truth := bytes.Clone(packet[:n])
		honest.PutReply(truth, reply)
		fake := bytes.Clone(packet[:n])
		stolen.PutReply(fake, reply)
		flipped := bytes.Clone(truth)
		flipped[random.IntN(stamp.SealedSize)] ^= 1 << random.IntN(8)
		other := reply
		other.Request.Time += 1 << 20 // signed, but it answers a probe that was never sent
		unasked := bytes.Clone(packet[:n])
		honest.PutReply(unasked, other)
		for _, b := range [][]byte{packet[:n], fake, flipped, unasked, truth, truth, truth} {
			if _, err := flow.Write(b); err != nil {
				return
			}
		}
		if tail, ok := reading.Tail(packet[:n]); !ok || tail.End {
			if !ok {
				t.Error("a probe without TLVs that belong to it")
			}
			return
		}
	}
}

// TestReflectorAnswersOnlyProbes: no bytes for what has no valid tag, the same number for what comes again, nothing longer than what
// was asked.
func TestReflectorAnswersOnlyProbes(t *testing.T) {
	initiator, responder := agents(t, loopback4, netp.Params{"count": 1.0})
	ctx := deadlined(t)
	done := make(chan netp.Result, 1)
	go func() { done <- new(Engine).Respond(ctx, responder) }()
	flow, err := initiator.Dialer.DialUDP(ctx, initiator.Peer, initiator.ID, initiator.Keys, port.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer flow.Close()
	codec := stamp.Sealed(port.NewTagger(flow.SendKey), port.NewTagger(flow.ReceiveKey))
	wrong := stamp.Sealed(port.NewTagger(flow.ReceiveKey), nil)
	request := func(c stamp.Codec, sequence uint32, size int) []byte {
		packet := make([]byte, c.Fit(size))
		c.Pad(packet)
		c.PutRequest(packet, stamp.Request{Sequence: sequence, Time: stamp.NTP(time.Now().UnixNano()), Estimate: 1})
		return packet
	}
	expect := func(sequence uint32, size int, count uint32) {
		t.Helper()
		asked := request(codec, sequence, size)
		if _, err := flow.Write(asked); err != nil {
			t.Fatal(err)
		}
		flow.SetReadDeadline(time.Now().Add(10 * time.Second))
		packet := make([]byte, 2048)
		n, err := flow.Read(packet)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := codec.Reply(packet[:n])
		if err != nil || n != len(asked) || reply.Request.Sequence != sequence || reply.Sequence != count {
			t.Fatalf("%d bytes, %+v, %v; want the answer %d to probe %d of %d bytes", n, reply, err, count, sequence, len(asked))
		}
		if stay := reply.Time.Unix(reply.Estimate) - reply.Received.Unix(reply.Estimate); stay < 0 || stay > int64(10*time.Second) {
			t.Errorf("stayed for %d ns", stay)
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for round := range uint32(25) { // what comes back is the answer to the true probe: the mutants and the noise get none
		for range 20 {
			packet := request(codec, 5, stamp.LeastSealed+random.IntN(200))
			switch random.IntN(3) {
			case 0:
				packet[random.IntN(stamp.SealedSize)] ^= 1 << random.IntN(8)
			case 1:
				packet = packet[:random.IntN(stamp.SealedSize)]
			case 2:
				packet = request(wrong, 5, 0)
			}
			if _, err := flow.Write(packet); err != nil {
				t.Fatal(err)
			}
		}
		expect(100+round, 0, round)
	}
	expect(3, 0, 25)
	expect(4, 1000, 26)
	expect(3, 0, 25) // again
	expect(10_000, 0, 27)
	if _, err := flow.Write(request(codec, 4, 0)); err != nil { // older than the window
		t.Fatal(err)
	}
	expect(10_001, 0, 28)
	last := make([]byte, stamp.LeastSealed+stamp.EndSize)
	codec.PutRequest(last, stamp.Request{Sequence: 10_002, Estimate: 1})
	codec.PutTail(last, 10_002, stamp.Tail{End: true})
	if _, err := flow.Write(last); err != nil {
		t.Fatal(err)
	}
	far := <-done
	if far.Failure != nil || far.Facts["reflected"] != "30" || far.Facts["reflector_rejected"] != "500" ||
		far.Facts["reflector_repeated"] != "1" || far.Facts["reflector_outdated"] != "1" {
		t.Errorf("failure %v, facts %v", far.Failure, far.Facts)
	}
}

// foreign is a reflector that is no agent.
type foreign struct {
	stateless bool
	silent    func(sequence uint32) bool // does not answer
	deaf      func(sequence uint32) bool // did not get it
	stampless bool                       // its stamps are nonsense
	answers   int                        // copies of each answer; 0 is one
}

func (f foreign) start(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { f.serve(conn) })
	t.Cleanup(func() { conn.Close(); done.Wait() })
	return conn.LocalAddr().String()
}

func (f foreign) serve(conn net.PacketConn) {
	codec, packet := stamp.Open(), make([]byte, 2048)
	count := uint32(0)
	for {
		n, from, err := conn.ReadFrom(packet)
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		request, err := codec.Request(packet[:n])
		if err != nil || f.deaf != nil && f.deaf(request.Sequence) {
			continue
		}
		now := time.Now().UnixNano()
		reply := stamp.Reply{Sequence: count, Time: stamp.PTP(now), Received: stamp.PTP(now), Estimate: stamp.NewEstimate(1, true, true), Request: request, TTL: 64}
		count++
		if f.stateless {
			reply.Sequence = request.Sequence
		}
		if f.stampless {
			reply.Received = 0
		}
		if f.silent != nil && f.silent(request.Sequence) {
			continue
		}
		codec.PutReply(packet, reply)
		for range max(f.answers, 1) {
			conn.WriteTo(packet[:n], from)
		}
	}
}

func every(n uint32) func(uint32) bool { return func(s uint32) bool { return s%n == n-1 } }

func TestForeignReflectors(t *testing.T) {
	const count = 103 // so that the very last one is answered: only what follows it shows on which way a probe was lost
	for _, test := range []struct {
		name      string
		reflector foreign
		want      map[string]float64
		split     bool
		fact      string
		healthy   bool
	}{
		{"stateful", foreign{deaf: every(10)},
			map[string]float64{metricLost: 10, metricForward: 10.0 / 103, metricBackward: 0, metricDuplicated: 0}, true, "stateful", true},
		{"stateful, both ways", foreign{deaf: every(10), silent: every(7)},
			map[string]float64{metricLost: 23, metricForward: 10.0 / 103, metricBackward: 13.0 / 93}, true, "stateful", true},
		{"stateless", foreign{stateless: true, deaf: every(10)},
			map[string]float64{metricLost: 10}, false, "stateless, or nothing was lost on the way there", true},
		{"stateless without loss", foreign{stateless: true, answers: 2},
			map[string]float64{metricLost: 0, metricForward: 0, metricBackward: 0, metricDuplicated: 1}, true, "stateless, or nothing was lost on the way there", true},
		{"stamps of another clock", foreign{stampless: true},
			map[string]float64{metricLost: 0}, true, "stateless, or nothing was lost on the way there", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			params := netp.Params{"count": float64(count), "interval": 0.001, "timeout": 3.0, "size": 200.0}
			j := job(t, params)
			j.Path = netp.Path{Dest: test.reflector.start(t), Endpoint: true}
			near := new(Engine).Initiate(deadlined(t), j)
			wantComplete(t, near, params)
			wantMetrics(t, near, map[string]float64{metricSent: count})
			wantMetrics(t, near, test.want)
			if _, ok := near.Metrics[metricForward]; ok != test.split {
				t.Errorf("split by direction: %v, want %v", ok, test.split)
			}
			if got := near.Facts["reflector"]; got != test.fact {
				t.Errorf("reflector %q, want %q", got, test.fact)
			}
			if c := find(near, "impossible_stamps"); c.OK != test.healthy {
				t.Errorf("check %+v, want OK %v", c, test.healthy)
			}
		})
	}
}
