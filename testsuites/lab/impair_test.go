//go:build linux

package lab_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
)

// TestCountersAreTheTruth sends packets through random mixtures of impairments: what an onlooker sees at the far end is what the
// emulator says it did, to the packet.
func TestCountersAreTheTruth(t *testing.T) {
	const n = 400
	p := newPair(t)
	for seed := range uint64(30) {
		i := randomImpair(seed)
		check(t, p.line.Forward.Reset())
		check(t, p.line.Forward.Set(i))
		p.send(t, n, 100)
		c := p.settled(t, p.line.Forward, n)
		got := count(p.receive(t, int(c.Out)))
		want := tally{n - int(c.Lost+c.Dropped), int(c.Duplicated), int(c.Reordered)}
		if got != want {
			t.Errorf("seed %d: %+v arrived; the emulator says %+v (%+v, %+v)", seed, got, want, c, i)
		}
	}
}

func randomImpair(seed uint64) emulator.Impair {
	r := rand.New(rand.NewPCG(seed, 1))
	share := func(most float64) float64 { return most * r.Float64() * float64(r.IntN(2)) }
	i := emulator.Impair{
		Loss: share(0.3), Duplicate: share(0.2), Reorder: share(0.2), ReorderBy: time.Duration(r.IntN(5e6)), Seed: seed,
		Delay: time.Duration(r.IntN(5e6)), Jitter: time.Duration(r.IntN(3e6) * r.IntN(2)), KeepOrder: r.IntN(2) == 0,
		Dist: []string{emulator.Uniform, emulator.Exponential, emulator.Normal, emulator.HeavyTailed}[r.IntN(4)],
	}
	if r.IntN(3) == 0 {
		i.Burst = &emulator.Burst{Enter: 0.05, Leave: 0.3, LossBad: 0.8}
	}
	if r.IntN(4) == 0 {
		i.Rate, i.Queue = 20e6, 20_000
	}
	return i
}

// TestExactLoss loses every tenth packet from the third on, and the records say which.
func TestExactLoss(t *testing.T) {
	p := newPair(t)
	check(t, p.line.Forward.Record(2000))
	check(t, p.line.Forward.Set(emulator.Impair{LossEvery: 10, LossPhase: 3}))
	p.send(t, 1000, 60)
	if c := p.settled(t, p.line.Forward, 1000); c.Lost != 100 || c.Out != 900 {
		t.Errorf("%+v; want 100 lost", c)
	}
	for _, n := range p.receive(t, 900) {
		if n%10 == 3 {
			t.Fatalf("packet %d arrived", n)
		}
	}
	records := must(p.line.Forward.Take())(t)
	if len(records) != 1000 {
		t.Fatalf("%d records; want 1000", len(records))
	}
	for _, r := range records {
		number := binary.BigEndian.Uint32(r.Head[8:])
		if lost := r.Fate == emulator.Lost; lost != (number%10 == 3) || uint64(number) != r.Number || r.Length != 88 || r.Protocol != unix.IPPROTO_UDP {
			t.Fatalf("record %+v of packet %d", r, number)
		}
	}
}

// TestSickness is one case of each impairment that has no random choice.
func TestSickness(t *testing.T) {
	const n = 50
	for name, c := range map[string]struct {
		impair emulator.Impair
		length int
		arrive int
	}{
		"none":            {emulator.Impair{}, 100, n},
		"down":            {emulator.Impair{Down: true}, 100, 0},
		"black hole":      {emulator.Impair{MaxLength: 1400}, 1373, 0},
		"below the hole":  {emulator.Impair{MaxLength: 1400}, 1372, n},
		"corrupt":         {emulator.Impair{Corrupt: 1}, 100, 0}, // the checksum of UDP finds each turned bit
		"everything lost": {emulator.Impair{Loss: 1}, 100, 0},
		"other port":      {emulator.Impair{Loss: 1, Only: &emulator.Filter{Port: 7001}}, 100, n},
		"this port":       {emulator.Impair{Loss: 1, Only: &emulator.Filter{Port: 7000, Protocol: 17}}, 100, 0},
		"other length":    {emulator.Impair{Loss: 1, Only: &emulator.Filter{MinLength: 129}}, 100, n},
		"no queue":        {emulator.Impair{Rate: 1000, Queue: 1}, 100, 1}, // there is always room for one on the line
		"whole":           {emulator.Impair{Duplicate: 1}, 100, 2 * n},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			check(t, p.line.Forward.Set(c.impair))
			p.send(t, n, c.length)
			if c.impair.Only == nil {
				p.settled(t, p.line.Forward, n)
			}
			got := p.receive(t, c.arrive)
			if len(got) != c.arrive {
				t.Errorf("%d packets arrived; want %d", len(got), c.arrive)
			}
		})
	}
}

// TestMark: packets that can bear it are marked, with a right checksum, and the others left alone.
func TestMark(t *testing.T) {
	p := newPair(t)
	check(t, p.line.Forward.Set(emulator.Impair{Mark: 1}))
	raw := must(p.away.SyscallConn())(t)
	check(t, raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1) }))
	mine := must(p.here.SyscallConn())(t)
	for _, c := range []struct {
		tos, want byte
		marked    uint64
	}{{0, 0, 0}, {2, 3, 1}, {0xb9, 0xbb, 1}, {3, 3, 1}} {
		check(t, p.line.Forward.Reset())
		check(t, mine.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, int(c.tos)) }))
		p.send(t, 1, 60)
		p.away.SetReadDeadline(time.Now().Add(patience))
		buffer, more := make([]byte, 100), make([]byte, 100)
		_, n, _, _, err := p.away.ReadMsgUDP(buffer, more)
		check(t, err)
		messages := must(unix.ParseSocketControlMessage(more[:n]))(t)
		if len(messages) != 1 || messages[0].Data[0] != c.want {
			t.Errorf("sent with %#x, came with %+v; want %#x", c.tos, messages, c.want)
		}
		if marked := p.settled(t, p.line.Forward, 1).Marked; marked != c.marked {
			t.Errorf("sent with %#x: %d marked; want %d", c.tos, marked, c.marked)
		}
	}
}

// TestDelay: each packet leaves when its record says it is due, and the kernel at the far end stamps it just then.
func TestDelay(t *testing.T) {
	const n, delay = 300, 8 * time.Millisecond
	p := newPair(t)
	raw := must(p.away.SyscallConn())(t)
	check(t, raw.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }))
	check(t, p.line.Forward.Set(emulator.Impair{Delay: delay}))
	err := lab.Repeat(20, func() error {
		return lab.Window(5*time.Millisecond, p.line.Both(), func() error {
			check(t, p.line.Forward.Record(n))
			p.send(t, n, 60)
			p.settled(t, p.line.Forward, n)
			errors := p.stampErrors(t, n, delay)
			t.Logf("stamp at the far end − departure: p1 %v, p50 %v, p99 %v, max %v", errors[n/100], errors[n/2], errors[n-1-n/100], errors[n-1])
			if errors[0] < -50*time.Microsecond {
				t.Errorf("a packet was there %v before it left", -errors[0])
			}
			if errors[n/2] > time.Millisecond {
				return fmt.Errorf("%w: the far end is %v behind", lab.ErrLate, errors[n/2])
			}
			return nil
		})
	})
	check(t, err)
}

// stampErrors are the differences between the far kernel's stamps and the departures, in order.
func (p pair) stampErrors(t *testing.T, n int, delay time.Duration) []time.Duration {
	stamps := map[uint32]int64{}
	buffer, more := make([]byte, 100), make([]byte, 100)
	for range n {
		p.away.SetReadDeadline(time.Now().Add(patience))
		_, length, _, _, err := p.away.ReadMsgUDP(buffer, more)
		check(t, err)
		messages := must(unix.ParseSocketControlMessage(more[:length]))(t)
		stamp := messages[0].Data
		stamps[binary.BigEndian.Uint32(buffer)] = int64(binary.NativeEndian.Uint64(stamp))*1e9 + int64(binary.NativeEndian.Uint64(stamp[8:]))
	}
	var out []time.Duration
	for _, r := range must(p.line.Forward.Take())(t) {
		if r.Due-r.Arrival != int64(delay) || r.Departure < r.Due {
			t.Fatalf("packet %d arrived at %d, was due %d later and left %d later", r.Number, r.Arrival, r.Due-r.Arrival, r.Departure-r.Arrival)
		}
		out = append(out, time.Duration(stamps[binary.BigEndian.Uint32(r.Head[8:])]-r.Departure))
	}
	if len(out) != n {
		t.Fatalf("%d records of packets that arrived; want %d", len(out), n)
	}
	slices.Sort(out)
	return out
}

// TestRate: the line serialises to the bit. A packet of 1000 bytes and 14 of Ethernet takes 8.112 ms at 1 Mbit/s.
func TestRate(t *testing.T) {
	p := newPair(t)
	check(t, p.line.Forward.Record(100))
	check(t, p.line.Forward.Set(emulator.Impair{Rate: 1e6, Queue: 20_280}))
	p.send(t, 40, 972)
	p.settled(t, p.line.Forward, 40)
	var last int64
	sent := 0
	for _, r := range must(p.line.Forward.Take())(t) {
		if r.Fate != emulator.Sent {
			continue
		}
		if gap := r.Due - last; sent > 0 && math.Abs(float64(gap)-8.112e6) > 1 {
			t.Errorf("packet %d was due %d ns after the one before; want 8 112 000", r.Number, gap)
		}
		last = r.Due
		sent++
	}
	if sent < 20 || sent > 22 { // 20 fit, and what is sent while they come
		t.Errorf("%d of 40 packets had room; want 20 or a little more", sent)
	}
}

// TestKernelShapes: TBF and HTB slow a transfer down to their rate, whichever was there before.
func TestKernelShapes(t *testing.T) {
	p := newPair(t)
	tbf, htb := func() error { return p.a.Shape("eth0", 2e6, 1<<20) }, func() error { return p.a.Share("eth0", 2e6) }
	for _, kind := range []struct {
		name  string
		shape func() error
	}{{"TBF", tbf}, {"TBF again", tbf}, {"HTB", htb}, {"HTB again", htb}, {"TBF after HTB", tbf}} {
		check(t, kind.shape())
		check(t, p.line.Forward.Reset())
		check(t, p.line.Forward.Record(1000))
		p.send(t, 100, 1000)
		p.settled(t, p.line.Forward, 100)
		records := must(p.line.Forward.Take())(t)
		bits := float64(50 * (1028 + 14) * 8)
		if rate := bits / float64(records[99].Arrival-records[49].Arrival) * 1e9; rate > 2.1e6 {
			t.Errorf("%s let %.0f bit/s through; want 2 000 000", kind.name, rate)
		}
		p.receive(t, 100)
	}
	check(t, p.a.Unshape("eth0"))
}

// TestRules: nftables drops what it is told to, and counts it.
func TestRules(t *testing.T) {
	p := newPair(t)
	for _, c := range []struct {
		drop      lab.Drop
		low, high int
	}{
		{lab.Drop{Hook: lab.Input, Protocol: 17, Port: 7000, Every: 10, Phase: 9}, 100, 100},
		{lab.Drop{Hook: lab.Input, Protocol: 6}, 0, 0},
		{lab.Drop{Hook: lab.Input, Port: 7001}, 0, 0},
		{lab.Drop{Hook: lab.Input, MinLength: 88}, 1000, 1000},
		{lab.Drop{Hook: lab.Input, MinLength: 89}, 0, 0},
		{lab.Drop{Hook: lab.Input, MaxLength: 87}, 0, 0},
		{lab.Drop{Hook: lab.Input, Share: 0.1}, 50, 160}, // 5 standard deviations
	} {
		rule := must(p.b.Drop(c.drop))(t)
		p.send(t, 1000, 60)
		check(t, p.line.Forward.Reset())
		before := len(p.receive(t, 1000-c.high))
		dropped := int(must(rule.Dropped())(t))
		if dropped < c.low || dropped > c.high || before != 1000-dropped {
			t.Errorf("%+v: %d dropped and %d arrived; want %d to %d dropped of 1000", c.drop, dropped, before, c.low, c.high)
		}
		check(t, rule.Remove())
	}
}

// TestFlap: while a device or a direction is down nothing passes, and afterwards everything does.
func TestFlap(t *testing.T) {
	p := newPair(t)
	check(t, p.line.Backward.Set(emulator.Impair{Down: true})) // one way only
	p.send(t, 10, 60)
	p.receive(t, 10)
	if _, err := p.away.WriteToUDPAddrPort([]byte("back"), near); err != nil {
		t.Fatal(err)
	}
	if c := p.settled(t, p.line.Backward, 1); c.Blocked != 1 {
		t.Errorf("%+v; want 1 blocked", c)
	}
	check(t, p.b.Up("eth0", false))
	p.send(t, 5, 60)
	for end := time.Now().Add(patience); ; {
		if c, _, err := p.line.Forward.Count(); err != nil || c.Out+c.Missed == 15 || time.Now().After(end) {
			if c.Missed != 5 {
				t.Errorf("%+v, %v; want 5 lost behind the emulator", c, err)
			}
			break
		}
		<-time.After(time.Millisecond)
	}
	check(t, p.b.Up("eth0", true))
	p.send(t, 10, 60)
	if got := p.receive(t, 10); len(got) != 10 {
		t.Errorf("%d packets arrived; want the 10 sent after the flap", len(got))
	}
}

// TestBadValues: values that make no sense are refused with a word on which.
func TestBadValues(t *testing.T) {
	p := newPair(t)
	for _, i := range []emulator.Impair{
		{Loss: 1.5}, {Loss: math.NaN()}, {Duplicate: -1}, {Delay: -1}, {Jitter: time.Hour}, {Rate: 3}, {Dist: "flat"}, {LossEvery: 3, LossPhase: 3},
		{Burst: &emulator.Burst{Enter: 2}}, {Queue: -1},
	} {
		if err := p.line.Forward.Set(i); err == nil {
			t.Errorf("%+v was taken", i)
		}
	}
	if err := p.a.Route(0, netip.MustParsePrefix("10.8.0.0/16"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")); err == nil {
		t.Error("a gateway out of reach was taken")
	}
}
