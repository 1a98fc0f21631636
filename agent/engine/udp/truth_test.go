package udp

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
)

// TestTruth: over random mixtures of loss, copies and reordering the figures are those of the path, to the packet.
func TestTruth(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			impaired(t, seed)
		})
	}
}

// impaired runs one session over a path of random faults.
func impaired(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	drop, double, hold := random.IntN(30), random.IntN(20), random.IntN(20)
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if !to || !isCounted(p) {
			if to && len(r.held) > 0 && p[0] == kindEcho && p[1] == stateFinished { // the end: nothing stays behind
				out := append(r.held, p)
				r.held = nil
				return out
			}
			return [][]byte{p}
		}
		out := [][]byte{p}
		switch n := random.IntN(100); {
		case n < drop:
			out = nil
		case n < drop+double:
			for range 1 + random.IntN(3) {
				out = append(out, p)
			}
		case n < drop+double+hold:
			r.held = append(r.held, p)
			return nil
		}
		if len(r.held) > 0 && random.IntN(4) == 0 {
			out = append(out, r.held...)
			r.held = nil
		}
		return out
	}}
	r := bench{params: netp.Params{"rate": "5000pps", "count": 600.0, "timeout": 20.0}, relay: path.open, separate: seed%2 == 0}.finished(t)
	received, lost, overtook, copies, copied := path.truth()
	for name, want := range map[string]float64{
		metricSent: 600, metricReceived: received, metricLost: lost, metricReorderings: overtook, metricDuplicates: copies,
		metricLate: 0, metricLoss: lost / 600, metricReordered: overtook / received, metricDuplicated: copied / received,
	} {
		if got := figure(t, r, name); got != want {
			t.Errorf("seed %d: %s = %v; want %v", seed, name, got, want)
		}
	}
}

// finished is merged, with the receiver not waiting a long timeout for what was lost.
func (b bench) finished(t *testing.T) netp.Result {
	t.Helper()
	b.params["timeout"] = 2.5 // longer than the machine, and the relay with it, may stop
	return b.merged(t)
}

// TestForgery: packets made up or altered on the way change nothing, and are counted.
func TestForgery(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		out := [][]byte{p}
		if p[0] != kindData && p[0] != kindReport && p[0] != kindEcho && p[0] != kindDepartures {
			return out // set-up of the flow
		}
		for range 3 {
			forged := slices.Clone(p)
			last := len(forged)
			if p[0] == kindData {
				last = headerSize
			}
			forged[random.IntN(last)] ^= 1 << random.IntN(8)
			out = append(out, forged)
		}
		garbage := make([]byte, random.IntN(120))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		if len(garbage) > 0 {
			garbage[0] = byte(1 + random.IntN(4))
		}
		return append(out, garbage)
	}}
	i, r := bench{params: netp.Params{"rate": "1000pps", "count": 200.0}, relay: path.open}.run(t)
	m := netp.Merge(i, r)
	if m.Failure != nil {
		t.Fatal(m.Failure)
	}
	for name, want := range map[string]float64{metricSent: 200, metricReceived: 200, metricDuplicates: 0, metricReorderings: 0, metricLate: 0} {
		if got := figure(t, m, name); got != want {
			t.Errorf("%s = %v; want %v", name, got, want)
		}
	}
	if !checkOf(t, m, checkCounts).OK || !checkOf(t, m, checkClaims).OK {
		t.Error("forged packets changed what the ends count")
	}
	if m.Facts["packets_rejected"] == "0" {
		t.Error("no forged packet was noticed")
	}
}

// TestReplay: control packets played back, of this direction and of the other, change nothing.
func TestReplay(t *testing.T) {
	t.Parallel()
	var old [][]byte
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		out := [][]byte{p}
		if p[0] == kindReport || p[0] == kindEcho || p[0] == kindDepartures {
			old = append(old, p)
		}
		if n := len(old); n > 3 {
			out = append(out, old[0], old[n/2], old[n-1])
		}
		return out
	}}
	m := bench{params: netp.Params{"rate": "1000pps", "count": 200.0, "direction": "both"}, relay: path.open}.merged(t)
	for _, prefix := range []string{"forward.", "reverse."} {
		if sent, received := figure(t, m, prefix+metricSent), figure(t, m, prefix+metricReceived); sent != 200 || received != 200 {
			t.Errorf("%ssent %v, received %v; want 200", prefix, sent, received)
		}
		if !checkOf(t, m, prefix+checkClock).OK {
			t.Error("replayed stamps confused the clock")
		}
	}
}

// TestDeadMan: when the reports end, the sender stops long before its time.
func TestDeadMan(t *testing.T) {
	t.Parallel()
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if !to && r.asked > 50 {
			return nil
		}
		return [][]byte{p}
	}}
	i, r := bench{params: netp.Params{"rate": "100pps", "duration": 30.0}, relay: path.open}.run(t)
	if i.Failure == nil || i.Failure.Kind != netp.FailureInterrupted || i.Completed {
		t.Errorf("the sender's part: %+v, completed %v; want interrupted", i.Failure, i.Completed)
	}
	if r.Completed {
		t.Error("the receiver's part says completed")
	}
	asked, passed := path.counts()
	if asked > 1000 {
		t.Errorf("%d packets were sent; the sender should have stopped soon after 50", asked)
	}
	if got := figure(t, r, metricReceived); got != float64(passed) {
		t.Errorf("received %v; want the %d that were passed on", got, passed)
	}
}

// TestBreak: a path that is down for a while and comes back. The sender is silent soon, goes on afterwards, and the loss is that
// of the path; the result says that it is not all that would have been lost.
func TestBreak(t *testing.T) {
	t.Parallel()
	const length = 2500 * time.Millisecond
	var broken, during int64
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		now := clock.Mono()
		if broken == 0 && r.asked > 50 {
			broken = now
		}
		if broken > 0 && now-broken < int64(length) {
			if to && isCounted(p) {
				during++
			}
			return nil
		}
		return [][]byte{p}
	}}
	stood := watchHost(t)
	i, r := bench{params: netp.Params{"rate": "100pps", "count": 600.0}, relay: path.open}.run(t)
	m := netp.Merge(i, r)
	if m.Completed || m.Failure == nil || m.Failure.Kind != netp.FailureInterrupted || !strings.Contains(m.Failure.Detail, "silent once") {
		t.Errorf("completed %v, failure %+v; want interrupted once", m.Completed, m.Failure)
	}
	asked, passed := path.counts()
	if sent, lost := figure(t, m, metricSent), figure(t, m, metricLost); sent != 600 || asked != 600 || lost != float64(asked-passed) {
		t.Errorf("lost %v of %v; want %d of %d", lost, sent, asked-passed, asked)
	}
	if during == 0 || during > 150 {
		t.Errorf("%d packets were sent while the path was down for %v; want those of a second", during, length)
	}
	if c := checkOf(t, m, checkAchieved); !c.OK && stood() == 0 {
		t.Errorf("the break is taken for a fault of the sender: %+v", c)
	}
}

// watchHost gives a function that ends the watch and says for how long the machine stood still meanwhile.
func watchHost(t *testing.T) func() time.Duration {
	end, stood := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		sum, last := time.Duration(0), time.Now()
		for {
			select {
			case <-end:
				stood <- sum
				return
			case <-tick.C:
			}
			if gap := time.Since(last); gap > 50*time.Millisecond {
				sum += gap
			}
			last = time.Now()
		}
	}()
	over := sync.OnceFunc(func() { close(end) })
	t.Cleanup(over)
	return func() time.Duration { over(); return <-stood }
}

// TestEndLost: without the sender's word on the end, loss is judged up to the last packet known, and the result says so.
func TestEndLost(t *testing.T) {
	t.Parallel()
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if to && p[0] == kindEcho && p[1] == stateFinished {
			return nil
		}
		if isCounted(p) && sequenceOf(p)%10 == 3 {
			return nil
		}
		return [][]byte{p}
	}}
	i, r := bench{params: netp.Params{"rate": "500pps", "count": 200.0}, relay: path.open}.run(t)
	m := netp.Merge(i, r)
	if m.Completed || m.Failure == nil || m.Failure.Kind != netp.FailureInterrupted {
		t.Errorf("completed %v, failure %+v; want interrupted", m.Completed, m.Failure)
	}
	if sent, lost := figure(t, m, metricSent), figure(t, m, metricLost); sent != 200 || lost != 20 {
		t.Errorf("lost %v of %v; want 20 of 200", lost, sent)
	}
}

// TestTrailingLoss: what is lost at the very end is lost, not forgotten.
func TestTrailingLoss(t *testing.T) {
	t.Parallel()
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if isCounted(p) && sequenceOf(p) >= 150 {
			return nil
		}
		return [][]byte{p}
	}}
	m := bench{params: netp.Params{"rate": "1000pps", "count": 200.0}, relay: path.open}.finished(t)
	if lost, longest := figure(t, m, metricLost), figure(t, m, metricLongest); lost != 50 || longest != 50 {
		t.Errorf("lost %v, longest %v; want 50", lost, longest)
	}
}

// TestLate: a packet after the timeout is lost, and is said to be late.
func TestLate(t *testing.T) {
	t.Parallel()
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if isCounted(p) && sequenceOf(p) == 10 {
			r.held = append(r.held, p)
			return nil
		}
		if isCounted(p) && sequenceOf(p) == 310 { // three seconds later
			return append(r.held, p)
		}
		return [][]byte{p}
	}}
	b := bench{params: netp.Params{"rate": "100pps", "count": 320.0, "timeout": 2.0}, relay: path.open}
	m := b.merged(t)
	if late, lost, received := figure(t, m, metricLate), figure(t, m, metricLost), figure(t, m, metricReceived); late != 1 || lost != 1 || received != 319 {
		t.Errorf("late %v, lost %v, received %v; want 1, 1, 319", late, lost, received)
	}
}

// TestBlackHole: a path that drops large packets without a word is named as such.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if len(p) > 1400 {
			return nil
		}
		return [][]byte{p}
	}}
	i, _ := bench{params: netp.Params{"rate": "100pps", "count": 10.0, "size": 1472.0}, relay: path.open}.run(t)
	if i.Failure == nil || i.Failure.Kind != netp.FailureUnreachable {
		t.Fatalf("failure %+v; want unreachable", i.Failure)
	}
	t.Log(i.Failure.Detail)
}

// TestBlackHoleBackwards: of two directions the failure says in which one it was.
func TestBlackHoleBackwards(t *testing.T) {
	t.Parallel()
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if len(p) > 1400 && !to {
			return nil
		}
		return [][]byte{p}
	}}
	_, r := bench{params: netp.Params{"rate": "100pps", "count": 10.0, "size": 1472.0, "direction": "both"}, relay: path.open}.run(t)
	if r.Failure == nil || r.Failure.Kind != netp.FailureUnreachable || !strings.HasPrefix(r.Failure.Detail, "The stream reverse: Packets of 1472 bytes") {
		t.Errorf("failure %+v; want unreachable, in reverse", r.Failure)
	}
}

// TestOneOfSeveralWays: where some of a session's flows are answered and others are not, neither the port nor its address is at fault.
func TestOneOfSeveralWays(t *testing.T) {
	t.Parallel()
	path := &relay{script: func(r *relay, to bool, p []byte) [][]byte {
		if len(p) == 64 && string(p[:4]) == "netp" && binary.BigEndian.Uint16(p[16:]) == 1 { // of the second stream
			return nil
		}
		return [][]byte{p}
	}}
	i, _ := bench{params: netp.Params{"rate": "100pps", "count": 10.0, "streams": 3.0}, relay: path.open}.run(t)
	if f := i.Failure; f == nil || f.Kind != netp.FailureUnreachable || !strings.HasPrefix(f.Detail, "2 of the session's UDP flows to ") {
		t.Errorf("failure %+v; want unreachable, and how many flows were answered", f)
	}
}

// TestCancel: a cancelled side stops, and its peer does not wait for the end of the stream.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, direction := range []string{"forward", "reverse"} {
		t.Run(direction, func(t *testing.T) {
			var cancel context.CancelFunc
			b := bench{params: netp.Params{"rate": "100pps", "duration": 50.0, "direction": direction}}
			b.cancel = func(ctx context.Context) context.Context {
				ctx, cancel = context.WithCancel(ctx)
				return ctx
			}
			b.progress = func(p netp.Progress) {
				if p.Values["packets"]+p.Values["sent"] > 0 {
					cancel()
				}
			}
			begin := time.Now()
			i, r := b.run(t)
			if i.Failure == nil || i.Failure.Kind != netp.FailureCancelled || i.Completed || r.Completed {
				t.Errorf("failure %+v, completed %v and %v; want cancelled", i.Failure, i.Completed, r.Completed)
			}
			if took := time.Since(begin); took > 25*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// stingy is a meter that lets a number of bytes through.
type stingy struct {
	mu   sync.Mutex // guards left
	left int
}

func (m *stingy) Allow(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left < n {
		return false
	}
	m.left -= n
	return true
}

// TestMeter: the agent's own limit ends the stream, and not a byte leaves beyond it.
func TestMeter(t *testing.T) {
	t.Parallel()
	meter := &stingy{left: 20_000}
	path := &relay{script: func(r *relay, _ bool, p []byte) [][]byte { return [][]byte{p} }}
	b := bench{params: netp.Params{"rate": "1000pps", "duration": 20.0}, relay: path.open, meter: meter, abandon: true}
	i, _ := b.run(t)
	if i.Failure == nil || i.Failure.Kind != netp.FailureRefused {
		t.Fatalf("failure %+v; want refused", i.Failure)
	}
	asked, _ := path.counts()
	if n := asked * (defaultSize + headers4); n > 20_000 {
		t.Errorf("%d bytes left; the limit is 20 000", n)
	}
}

// dataOnly is a meter that holds back what is not control.
type dataOnly struct{ stingy }

func (m *dataOnly) Allow(n int) bool { return n < defaultSize || m.stingy.Allow(n) }

// TestSenderTellsThatItStopped: the receiver that is told so has a reason, which is not its own.
func TestSenderTellsThatItStopped(t *testing.T) {
	t.Parallel()
	i, r := bench{params: netp.Params{"rate": "1000pps", "duration": 20.0}, meter: &dataOnly{stingy{left: 20_000}}}.run(t)
	if i.Failure == nil || i.Failure.Kind != netp.FailureRefused {
		t.Errorf("the sender's part: %+v; want refused", i.Failure)
	}
	if r.Failure == nil || r.Failure.Kind != netp.FailureInterrupted || r.Completed {
		t.Errorf("the receiver's part: %+v, completed %v; want interrupted", r.Failure, r.Completed)
	}
	if sent := figure(t, r, metricSent); sent == 0 || sent*(defaultSize+headers4) > 20_000 {
		t.Errorf("%v packets were sent, or more than the limit allows", sent)
	}
}

// TestStalledHost: what a host kept waiting is in the delay only where its system does not stamp packets.
func TestStalledHost(t *testing.T) {
	for _, user := range []bool{false, true} {
		x := &session{set: newSettings(nil), inbound: &receiving{receivers: []*receiver{{user: user, stall: int64(2 * stallLimit)}}}}
		if c := x.hostStall(0); c.OK == user || (c.Limit != 0) != user || c.Value == 0 {
			t.Errorf("stamps of the reader %t: check %+v; want a limit, and a fault, only with them", user, c)
		}
	}
}

// TestLies: a peer that says it sent less than arrived is found out.
func TestLies(t *testing.T) {
	c := newCollector(ofParams(netp.Params{"count": 10.0}), true)
	scripted(c, [][2]int64{{0, 1}, {1, 1}, {9, 1}})
	o := c.finish([]uint64{5}, 0)
	x := &session{set: c.set, role: netp.Responder, inbound: &receiving{collector: c}}
	if check := x.claims(o); check.OK || check.Value != 1 {
		t.Errorf("check %+v; want 1 packet too many", check)
	}
	s := &sender{set: c.set, last: report{state: stateDone, received: 8, next: 10, judged: 9}}
	s.sent.Store(10)
	x = &session{set: c.set, sending: &sending{senders: []*sender{s}}}
	if check := x.counts(); check.OK {
		t.Error("a receiver that judged another number of packets was believed")
	}
}
