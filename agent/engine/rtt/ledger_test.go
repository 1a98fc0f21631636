package rtt

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/engine/rtt/stamp"
)

const ms = int64(time.Millisecond)

// fate is what a simulated path does to one probe.
type fate struct {
	lostThere, lostBack, twiceBack bool
	there, back                    int64 // delay of each direction
}

// walk sends probes 1 ms apart through a path and an agent's reflector, in true order of events, and gives the account.
// The last probe is a closing one, which is not counted and never lost.
func walk(t *testing.T, fates []fate, warmup int, timeout time.Duration) *ledger {
	t.Helper()
	type event struct {
		at       int64
		sequence uint64
		kind     int // 0 send, 1 at the reflector, 2 answer
		back     uint32
	}
	fates = append(append([]fate{}, fates...), fate{there: ms, back: ms})
	var queue []event
	for i := range fates {
		at := int64(i) * ms
		if i == len(fates)-1 {
			at += int64(timeout) + int64(grace)
		}
		queue = append(queue, event{at: at, sequence: uint64(i)})
	}
	l := newLedger(timeout, 10_000, newSplit(10_000, true), newRows(0, time.Minute))
	count := uint32(0)
	for len(queue) > 0 {
		first := 0
		for i, e := range queue {
			if e.at < queue[first].at {
				first = i
			}
		}
		e := queue[first]
		queue = append(queue[:first], queue[first+1:]...)
		f := fates[e.sequence]
		l.settle(e.at)
		switch e.kind {
		case 0:
			got, ok := l.send(e.at, e.at, int(e.sequence) >= warmup && int(e.sequence) < len(fates)-1)
			if !ok || got != e.sequence {
				t.Fatalf("send gave %d, %v; want %d", got, ok, e.sequence)
			}
			if !f.lostThere {
				queue = append(queue, event{at: e.at + f.there, sequence: e.sequence, kind: 1})
			}
		case 1:
			if !f.lostBack {
				queue = append(queue, event{at: e.at + f.back, sequence: e.sequence, kind: 2, back: count})
			}
			if f.twiceBack {
				queue = append(queue, event{at: e.at + f.back + ms/3, sequence: e.sequence, kind: 2, back: count})
			}
			count++
		case 2:
			trip := f.there + f.back
			l.answered(e.sequence, answer{rtt: trip, user: trip, hasBack: true, back: e.back})
		}
	}
	l.finish()
	return l
}

// TestLedgerTellsTheTruth compares with random paths that lose, reorder, duplicate and delay.
func TestLedgerTellsTheTruth(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		timeout := 40 * time.Millisecond
		fates := make([]fate, 300+random.IntN(300))
		warmup := random.IntN(50)
		burst := 0
		var sent, there, back, late, twice, answered uint64
		for i := range fates {
			f := &fates[i]
			f.there, f.back = ms+random.Int64N(6*ms), ms+random.Int64N(6*ms) // up to six probes overtake
			if burst == 0 && random.IntN(80) == 0 {
				burst = 1 + random.IntN(30)
			}
			if burst > 0 {
				burst--
				f.lostThere = random.IntN(2) == 0
				f.lostBack = !f.lostThere && random.IntN(2) == 0
			}
			if !f.lostThere && !f.lostBack {
				f.twiceBack = random.IntN(20) == 0
				if random.IntN(50) == 0 {
					f.back = 45 * ms
				}
			}
			if i < warmup {
				continue
			}
			sent++
			switch {
			case f.lostThere:
				there++
			case f.lostBack:
				back++
			case f.there+f.back > int64(timeout):
				late++
			default:
				answered++
				if f.twiceBack {
					twice++
				}
			}
		}
		l := walk(t, fates, warmup, timeout)
		if l.sent != sent || l.received != answered || l.late != late || l.lost != sent-answered || l.duplicated.Total() != twice {
			t.Errorf("seed %d: sent %d, received %d, late %d, lost %d, duplicated %d; want %d %d %d %d %d",
				seed, l.sent, l.received, l.late, l.lost, l.duplicated.Total(), sent, answered, late, sent-answered, twice)
		}
		loss := l.arrivals.Misses(l.sent)
		if loss.Events != l.lost || l.rtt.All.Count() != answered || l.user.All.Count() != answered {
			t.Errorf("seed %d: loss of %d, %d delays; want %d, %d", seed, loss.Events, l.rtt.All.Count(), l.lost, answered)
		}
		f, b := l.split.ratios()
		// Which of the losses around the end of the warm-up was lost in which direction nobody can tell.
		slack := uint64(0)
		for i := max(0, warmup-overtaking); i < warmup+overtaking; i++ {
			if fates[i].lostThere || fates[i].lostBack {
				slack++
			}
		}
		if f.Trials != sent || b.Trials != f.Trials-f.Events || within(f.Events, there, slack) || within(b.Events, back, slack) {
			t.Errorf("seed %d: there %d of %d, back %d of %d; want %d of %d, %d of %d (± %d)",
				seed, f.Events, f.Trials, b.Events, b.Trials, there, sent, back, sent-there, slack)
		}
	}
}

func within(got, want, slack uint64) bool { return max(got, want)-min(got, want) > slack }

func TestLedgerRefusesWhatItNeverSent(t *testing.T) {
	l := newLedger(time.Second, 100, nil, newRows(0, time.Minute))
	for _, sequence := range []uint64{0, 1, 1 << 40} {
		if got := l.answered(sequence, answer{user: 1}); got != receivedStale {
			t.Errorf("an answer to probe %d, never sent, is %v", sequence, got)
		}
	}
	l.send(0, 0, true)
	if got := l.answered(0, answer{rtt: 5, user: 7}); got != receivedFirst {
		t.Errorf("the answer is %v", got)
	}
	if got := l.answered(0, answer{rtt: 1, user: 1}); got != receivedAgain {
		t.Errorf("its copy is %v", got)
	}
	l.settle(int64(time.Second) + int64(grace) + 1)
	if got := l.answered(0, answer{rtt: 1, user: 1}); got != receivedStale {
		t.Errorf("a copy after the settlement is %v", got)
	}
	if l.sent != 1 || l.received != 1 || l.lost != 0 || l.rtt.All.Max() != 5 || l.user.All.Max() != 7 {
		t.Errorf("account: %d sent, %d received, %d lost, rtt %d, user %d", l.sent, l.received, l.lost, l.rtt.All.Max(), l.user.All.Max())
	}
}

func TestLedgerFull(t *testing.T) {
	l := newLedger(time.Second, 3, nil, newRows(0, time.Minute))
	for i := range 4 {
		if _, ok := l.send(int64(i), 0, true); !ok {
			t.Fatalf("no room for probe %d", i)
		}
	}
	if _, ok := l.send(9, 0, true); ok || l.sent != 4 {
		t.Errorf("room for a fifth: %v, %d sent", ok, l.sent)
	}
	l.unsend()
	if _, ok := l.send(9, 0, true); !ok || l.sent != 4 {
		t.Errorf("no room after unsend: %v, %d sent", ok, l.sent)
	}
	l.finish()
	if l.lost != 4 || l.longest != 4 {
		t.Errorf("%d lost, longest %d; want 4, 4", l.lost, l.longest)
	}
}

func TestExpand(t *testing.T) {
	for _, test := range []struct {
		next, low uint64
		width     uint
		want      uint64
	}{
		{0, 0, 16, 0},
		{1, 0, 16, 0},
		{1, 5, 16, 1}, // never sent
		{65_536, 65_535, 16, 65_535},
		{65_537, 0, 16, 65_536},
		{65_537, 65_535, 16, 65_535},
		{200_000, 199_990 & 0xFFFF, 16, 199_990},
		{1<<32 + 5, 3, 32, 1<<32 + 3},
	} {
		l := &ledger{next: test.next}
		if got := l.expand(test.low, test.width); got != test.want {
			t.Errorf("%d of %d bits with next %d: got %d, want %d", test.low, test.width, test.next, got, test.want)
		}
	}
}

// TestSplitOfForeignReflectors: what can be said depends on what the reflector counts.
func TestSplitOfForeignReflectors(t *testing.T) {
	for _, test := range []struct {
		name  string
		back  func(i uint64, reflected uint32) uint32
		lost  map[uint64]bool // on the way there
		known bool
		there uint64
	}{
		{"stateless without loss", func(i uint64, _ uint32) uint32 { return uint32(i) }, nil, true, 0},
		{"stateless with loss", func(i uint64, _ uint32) uint32 { return uint32(i) }, map[uint64]bool{5: true}, false, 0},
		{"stateful", func(_ uint64, n uint32) uint32 { return n }, map[uint64]bool{5: true, 6: true}, true, 2},
		{"stateful, first lost", func(_ uint64, n uint32) uint32 { return n }, map[uint64]bool{0: true}, true, 1},
		{"counted before", func(_ uint64, n uint32) uint32 { return n + 70_000 }, map[uint64]bool{5: true}, true, 1},
		{"no count at all", func(i uint64, _ uint32) uint32 { return uint32(i * 2_654_435_761) }, nil, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(time.Second, 100, newSplit(100, false), newRows(0, time.Minute))
			reflected := uint32(0)
			for i := range uint64(50) {
				sequence, _ := l.send(int64(i)*ms, 0, true)
				if test.lost[i] {
					continue
				}
				l.answered(sequence, answer{rtt: 1, user: 1, hasBack: true, back: test.back(i, reflected)})
				reflected++
			}
			l.finish()
			if got := l.split.known(false, l.lost); got != test.known {
				t.Fatalf("known: %v, want %v", got, test.known)
			}
			forward, backward := l.split.ratios()
			if test.known && (forward.Events != test.there || backward.Events != 0) {
				t.Errorf("lost %d there, %d back; want %d, 0", forward.Events, backward.Events, test.there)
			}
		})
	}
}

// TestTailStaysOpen: without an answer after them, losses have no direction.
func TestTailStaysOpen(t *testing.T) {
	l := newLedger(time.Second, 100, newSplit(100, true), newRows(0, time.Minute))
	for i := range uint64(10) {
		sequence, _ := l.send(int64(i)*ms, 0, true)
		if i < 7 {
			l.answered(sequence, answer{rtt: 1, user: 1, hasBack: true, back: uint32(i)})
		}
	}
	l.finish()
	forward, backward := l.split.ratios()
	if l.lost != 3 || l.longest != 3 || forward.Trials != 7 || forward.Events != 0 || backward.Events != 0 {
		t.Errorf("lost %d, longest %d, split %+v %+v; want the tail in no direction", l.lost, l.longest, forward, backward)
	}
	j, codec := job(t, netp.Params{"count": 10.0}), stamp.Open()
	s := newSession(j, newSettings(j.Params), silentSocket{}, newStamp(codec, codec, 0, 1, 1, true), loopback4)
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	s.ledger, s.agent = l, true
	c := find(netp.Result{Health: s.health()}, "losses_unplaced")
	if c.OK || !c.Touches(metricForward) || !c.Touches(metricBackward) || c.Touches(metricLoss) {
		t.Errorf("check %+v: the two ratios are in doubt, and only they", c)
	}
}
