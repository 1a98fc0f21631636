//go:build linux

package lab_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/netpupper/netp/testsuites/lab"
	"github.com/netpupper/netp/testsuites/lab/emulator"
	"github.com/netpupper/netp/testsuites/lab/labtest"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

var (
	near = netip.MustParseAddrPort("10.9.0.1:7000")
	far  = netip.MustParseAddrPort("10.9.0.2:7000")
)

// pair is two hosts and a line between them.
type pair struct {
	a, b *lab.Node
	line *lab.Line
	here *net.UDPConn // in a
	away *net.UDPConn // in b
}

func newPair(t testing.TB) pair {
	t.Helper()
	l := labtest.New(t)
	p := pair{a: must(l.Node("a"))(t), b: must(l.Node("b"))(t)}
	p.line = must(l.Line(
		lab.End{Node: p.a, Device: "eth0", Address: netip.PrefixFrom(near.Addr(), 24)},
		lab.End{Node: p.b, Device: "eth0", Address: netip.PrefixFrom(far.Addr(), 24)}))(t)
	p.here, p.away = must(p.a.Listen(near))(t), must(p.b.Listen(far))(t)
	for _, c := range []*net.UDPConn{p.here, p.away} {
		c.SetReadBuffer(4 << 20)
		t.Cleanup(func() { c.Close() })
	}
	return p
}

// must gives a value, or ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// send sends n numbered packets of a payload length to b.
func (p pair) send(t testing.TB, n, length int) {
	t.Helper()
	payload := make([]byte, length)
	for i := range n {
		binary.BigEndian.PutUint32(payload, uint32(i))
		if _, err := p.here.WriteToUDPAddrPort(payload, far); err != nil {
			t.Fatal(err)
		}
		if i%8 == 7 { // not faster than the ring of the emulator is read
			for begin := time.Now(); time.Since(begin) < 200*time.Microsecond; {
			}
		}
	}
}

// settled waits until n packets have arrived at the line and all that shall leave has left.
func (p pair) settled(t testing.TB, w *lab.Way, n int) emulator.Counters {
	t.Helper()
	for end := time.Now().Add(patience); ; {
		c, _, err := w.Count()
		check(t, err)
		if c.In >= uint64(n) && c.In-c.Blocked-c.TooLong-c.Lost-c.Dropped == c.Out-c.Duplicated {
			if c.Missed > 0 {
				t.Errorf("the emulator itself lost %d packets", c.Missed)
			}
			return c
		}
		if time.Now().After(end) {
			t.Fatalf("after %v: %+v; want %d packets to have passed", patience, c, n)
		}
		<-time.After(time.Millisecond)
	}
}

// receive reads so many packets and gives their numbers in order of arrival. Then it makes sure that there are no more.
func (p pair) receive(t testing.TB, n int) []int {
	t.Helper()
	var got []int
	buffer := make([]byte, 2000)
	for {
		wait := patience
		if len(got) >= n {
			wait = 20 * time.Millisecond
		}
		p.away.SetReadDeadline(time.Now().Add(wait))
		if _, err := p.away.Read(buffer); err != nil {
			if len(got) < n {
				t.Errorf("%d packets arrived; want %d: %v", len(got), n, err)
			}
			return got
		}
		got = append(got, int(binary.BigEndian.Uint32(buffer)))
	}
}

// tally is what an onlooker at the far end counts.
type tally struct{ different, copies, reordered int }

func count(got []int) tally {
	var out tally
	seen, highest := map[int]bool{}, -1
	for _, n := range got {
		if seen[n] {
			out.copies++
			continue
		}
		seen[n] = true
		if n < highest {
			out.reordered++
		}
		highest = max(highest, n)
	}
	out.different = len(seen)
	return out
}
