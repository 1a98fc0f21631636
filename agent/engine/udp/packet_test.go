package udp

import (
	"bytes"
	"slices"
	"testing"

	"github.com/netpupper/netp/agent/port"
)

func TestDataPacket(t *testing.T) {
	key := [32]byte{1}
	m := newMarker(key, wayForward, 3)
	packet := bytes.Repeat([]byte{0xaa}, 64)
	m.write(packet, purposeWarmup, maxSequence, -5)
	var a arrival
	if !m.read(packet, &a) {
		t.Fatal("own packet refused")
	}
	if a.purpose != purposeWarmup || a.sequence != maxSequence || a.sent != -5 || a.size != 64 {
		t.Errorf("read %+v", a)
	}
	for bit := range headerSize * 8 {
		forged := bytes.Clone(packet)
		forged[bit/8] ^= 1 << (bit % 8)
		if m.read(forged, &a) {
			t.Errorf("accepted with bit %d changed", bit)
		}
	}
	for n := range headerSize {
		if m.read(packet[:n], &a) {
			t.Errorf("accepted %d bytes", n)
		}
	}
	for name, other := range map[string]*marker{
		"direction": newMarker(key, wayReverse, 3), "stream": newMarker(key, wayForward, 4), "key": newMarker([32]byte{2}, wayForward, 3),
	} {
		if other.read(packet, &a) {
			t.Errorf("accepted by another %s", name)
		}
	}
}

// TestRun holds that packets written and read together are those written and read one by one, and that a run ends where it should.
func TestRun(t *testing.T) {
	const size, n = 40, 9
	m := newMarker([32]byte{1}, wayForward, 3)
	packets, single := make([]byte, n*size), make([]byte, size)
	m.writeRun(packets, size, n, purposeCounted, 1<<32-4, 77)
	for i := range n {
		m.write(single, purposeCounted, 1<<32-4+uint64(i), 77)
		if !bytes.Equal(packets[i*size:(i+1)*size], single) {
			t.Fatalf("packet %d differs from one written alone", i)
		}
	}
	follow := func(packets []byte) uint64 {
		var a arrival
		if !m.read(packets[:size], &a) {
			t.Fatal("own packet refused")
		}
		m.follow(packets, &a)
		return a.more
	}
	if more := follow(packets); more != n-1 {
		t.Errorf("%d packets follow the first, want %d", more, n-1)
	}
	if more := follow(packets[:n*size-1]); more != n-2 {
		t.Errorf("%d packets follow when the last is cut short, want %d", more, n-2)
	}
	for bit := range headerSize * 8 {
		forged := bytes.Clone(packets)
		forged[5*size+bit/8] ^= 1 << (bit % 8)
		if more := follow(forged); more != 4 {
			t.Errorf("bit %d of the sixth changed: %d packets follow the first, want 4", bit, more)
		}
	}
	m.writeRun(packets, size, n, purposeTraced, 0, 77)
	if more := follow(packets); more != 0 {
		t.Errorf("%d traced packets were taken into a run: each has departures of its own", more)
	}
}

// TestRunsInTurn holds the same for runs that go on where the one before ended, or do not.
func TestRunsInTurn(t *testing.T) {
	const size, most = 40, 9
	write, read, single := newMarker([32]byte{1}, wayForward, 3), newMarker([32]byte{1}, wayForward, 3), newMarker([32]byte{1}, wayForward, 3)
	for _, c := range []struct {
		sequence uint64
		stamp    int64
		n        int
		lost     bool
	}{
		{sequence: 1<<32 - 4, stamp: 77, n: most},
		{sequence: 1<<32 + 5, stamp: 77, n: most}, // goes on
		{sequence: 1<<32 + 14, stamp: 77, n: 2},
		{sequence: 1<<32 + 16, stamp: 78, n: most},
		{sequence: 1<<32 + 25, stamp: 78, n: 5, lost: true},
		{sequence: 1<<32 + 30, stamp: 78, n: most},
		{sequence: 1<<32 + 30, stamp: 78, n: most}, // again
	} {
		packets, alone := make([]byte, c.n*size), make([]byte, c.n*size)
		write.writeRun(packets, size, c.n, purposeCounted, c.sequence, c.stamp)
		for i := range c.n {
			single.write(alone[i*size:], purposeCounted, c.sequence+uint64(i), c.stamp)
		}
		if !bytes.Equal(packets, alone) {
			t.Fatalf("%+v: packets differ from those written alone", c)
		}
		var a arrival
		if c.lost {
			continue
		}
		if !read.read(packets[:size], &a) {
			t.Fatalf("%+v: refused", c)
		}
		if read.follow(packets, &a); a.more != uint64(c.n-1) || a.sequence != c.sequence {
			t.Errorf("%+v: read as %+v", c, a)
		}
	}
}

// TestRunsAmongOthers: whatever was joined, each packet is read once and as what it is.
func TestRunsAmongOthers(t *testing.T) {
	const size, n = 40, 32
	m := newMarker([32]byte{1}, wayForward, 3)
	for _, lengths := range [][]int{{32}, {1, 31}, {31, 1}, {10, 22}, {22, 10}, {1, 1, 1, 1, 28}, {3, 5, 8, 16}, {16, 8, 5, 3}} {
		var packets []byte
		for stamp, length := range lengths {
			run := make([]byte, length*size)
			m.writeRun(run, size, length, purposeCounted, uint64(len(packets)/size), int64(stamp))
			packets = append(packets, run...)
		}
		var ends []int
		for at := 0; at < n; {
			var a, joined arrival
			for more := true; more && at < n; {
				if !m.read(packets[at*size:][:size], &a) || a.sequence != uint64(at) {
					t.Fatalf("%v: packet %d was read as %+v", lengths, at, a)
				}
				m.follow(packets[at*size:], &a)
				if joined.size == 0 {
					joined = a
				} else if more = joined.extend(&a); !more {
					break
				}
				at += int(a.more) + 1
			}
			ends = append(ends, int(joined.more)+1)
		}
		if !slices.Equal(ends, lengths) {
			t.Errorf("runs of %v were read as %v", lengths, ends)
		}
	}
}

func TestControlPackets(t *testing.T) {
	tagger := port.NewTagger([32]byte{7})
	var b [controlSize]byte
	r := report{place{3, wayReverse}, stateReceiving, true, 1, -2, 3, 4, 5, 6, 7, 8}
	packet := bytes.Clone(r.encode(&b, tagger))
	if got, ok := decodeReport(packet, tagger); !ok || got != r {
		t.Errorf("report %+v, %v; want %+v", got, ok, r)
	}
	e := echo{place{1, wayForward}, stateFinished, 9, 8, -7, 6, 5, 4, 3}
	answer := bytes.Clone(e.encode(&b, tagger))
	if got, ok := decodeEcho(answer, tagger); !ok || got != e {
		t.Errorf("echo %+v, %v; want %+v", got, ok, e)
	}
	if len(answer) > len(packet) {
		t.Errorf("an echo has %d bytes, more than the %d of the report it answers", len(answer), len(packet))
	}
	for i := range packet {
		packet[i] ^= 1
		if _, ok := decodeReport(packet, tagger); ok {
			t.Errorf("accepted a report with byte %d changed", i)
		}
		packet[i] ^= 1
	}
	if _, ok := decodeEcho(packet, tagger); ok {
		t.Error("a report was taken for an echo")
	}
	if _, ok := decodeReport(packet, port.NewTagger([32]byte{8})); ok {
		t.Error("accepted with another key")
	}
}

func FuzzReceive(f *testing.F) {
	m, tagger := newMarker([32]byte{1}, wayForward, 0), port.NewTagger([32]byte{1})
	valid := make([]byte, 64)
	m.write(valid, purposeCounted, 1, 2)
	var b [controlSize]byte
	f.Add(valid)
	f.Add(bytes.Clone(report{}.encode(&b, port.NewTagger([32]byte{9}))))
	f.Fuzz(func(t *testing.T, packet []byte) {
		var a arrival
		if m.read(packet, &a) && !bytes.Equal(packet[:headerSize], valid[:headerSize]) {
			t.Error("a data packet was forged")
		}
		if _, ok := decodeReport(packet, tagger); ok {
			t.Error("a report was forged")
		}
		if _, ok := decodeEcho(packet, tagger); ok {
			t.Error("an echo was forged")
		}
	})
}

func BenchmarkWriteHeader(b *testing.B) {
	m := newMarker([32]byte{1}, wayForward, 0)
	packet := make([]byte, 64)
	b.ReportAllocs()
	for i := range b.N {
		m.write(packet, purposeCounted, uint64(i), int64(i))
	}
}

func BenchmarkReadHeader(b *testing.B) {
	m := newMarker([32]byte{1}, wayForward, 0)
	packet := make([]byte, 64)
	m.write(packet, purposeCounted, 1, 1)
	var a arrival
	b.ReportAllocs()
	for range b.N {
		if !m.read(packet, &a) {
			b.Fatal("refused")
		}
	}
}
