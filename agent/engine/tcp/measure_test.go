package tcp

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/host"
	"github.com/netpupper/netp/agent/port"
)

const ms = int64(time.Millisecond)

func TestSeriesByTime(t *testing.T) {
	s := newSeries(options{duration: 300 * time.Millisecond, omit: 50 * time.Millisecond})
	s.begin(1000 * ms)
	s.begin(2000 * ms) // has no effect
	for _, a := range []struct {
		at int64
		n  int
	}{{1000, 9}, {1049, 9}, {1050, 1}, {1149, 2}, {1150, 4}, {1349, 8}, {1350, 100}, {1400, 100}} {
		s.add(a.at*ms, a.n)
	}
	if s.end() != 1350*ms {
		t.Errorf("ends at %d ms, want 1350", s.end()/ms)
	}
	g := s.measure(1351*ms, true)
	if g.bytes != 15 || g.elapsed != 300*time.Millisecond || len(g.interval) != 3 || g.interval[0] != 3 || g.interval[1] != 4 || g.interval[2] != 8 {
		t.Errorf("got %+v; want 15 bytes in 3, 4, 8", g)
	}
	if got, want := g.throughput().Member("mean"), 15*8/0.3; math.Abs(got-want) > 1e-9*want {
		t.Errorf("mean %g bit/s, want %g", got, want)
	}
	if cut := s.measure(1260*ms, false); cut.bytes != 7 || len(cut.interval) != 2 {
		t.Errorf("cut at 210 ms: %+v; want the two whole intervals", cut)
	}
	if rows := g.rows("throughput", 50*time.Millisecond); len(rows) != 3 || rows[1].Start != 150*time.Millisecond || rows[2].Values["throughput"] != 640 {
		t.Errorf("rows %+v", rows)
	}
}

// TestSeriesByBytes has transfers of any length: the sum is exact, the mean is bytes/time, and a steady stream is steady.
func TestSeriesByBytes(t *testing.T) {
	for _, length := range []time.Duration{time.Millisecond, 99 * time.Millisecond, 250 * time.Millisecond, 10 * time.Second, 3 * time.Hour} {
		s := newSeries(options{bytes: 1, duration: 24 * time.Hour})
		s.begin(5)
		const pieces = 20000
		for i := int64(1); i <= pieces; i++ {
			s.add(5+int64(length)*i/pieces, 1500)
		}
		g := s.measure(math.MaxInt64, true)
		if g.bytes != pieces*1500 || g.elapsed != length || len(g.interval) != intervalsIn(length) || len(s.cells) > maxCells {
			t.Errorf("%v: %d bytes in %v, %d intervals", length, g.bytes, g.elapsed, len(g.interval))
		}
		d, want := g.throughput(), pieces*1500*8/length.Seconds()
		if got := d.Member("mean"); math.Abs(got-want) > 1e-9*want {
			t.Errorf("%v: mean %g, want %g", length, got, want)
		}
		if d.Member("min") < 0.9*want && length < time.Hour || d.Member("max") > 1.1*want && length < time.Hour {
			t.Errorf("%v: a steady stream is seen between %g and %g, mean %g", length, d.Member("min"), d.Member("max"), want)
		}
		if rows := g.rows("throughput", 0); len(rows) > maxRows {
			t.Errorf("%v: %d rows", length, len(rows))
		}
	}
}

// TestSeriesOfStreamsThatRace: of two streams whose first bytes arrive at the same time, the one that looks at the clock later may begin
// the series. What the other has counts, too.
func TestSeriesOfStreamsThatRace(t *testing.T) {
	for _, o := range []options{{bytes: 1, duration: time.Minute}, {duration: time.Second}} {
		s := newSeries(o)
		s.add(1001*ms, 1)
		s.add(1000*ms, 4)
		if g := s.measure(2001*ms, true); g.bytes != 5 {
			t.Errorf("%+v: counted %d bytes of 5", o, g.bytes)
		}
	}
}

func TestPacer(t *testing.T) {
	p := newPacer(8e6) // a byte per microsecond
	p.start = 0
	now := int64(0)
	for now < int64(time.Second) {
		n, wait := p.due(now)
		p.spent += float64(n)
		now += int64(wait) + 100
	}
	if p.spent < 0.99e6 || p.spent > 1.01e6 || p.late != 0 {
		t.Errorf("sent %.0f bytes in a second at 1 MB/s, late %v", p.spent, p.late)
	}
	now += int64(time.Second) // stood still, and nobody held it back
	before := p.spent
	n, _ := p.due(now)
	if float64(n) > maxBacklog.Seconds()*1e6+float64(p.chunk)+1 {
		t.Errorf("catches up %d bytes, more than %v", n, maxBacklog)
	}
	if p.spent == before || p.late < 800*time.Millisecond || p.late > time.Second {
		t.Errorf("late %v after a second of standing still", p.late)
	}
	p.spent += float64(n)
	late := p.late
	now += int64(time.Second)
	p.excused = time.Second // the network's doing
	if p.due(now); p.late != late {
		t.Errorf("the host is blamed for %v that the network held it back", p.late-late)
	}
}

// bucket allows no more than its content at once.
type bucket struct{ content int }

func (b *bucket) Allow(n int) bool {
	if n > b.content {
		return false
	}
	b.content -= n
	return true
}

func TestGrant(t *testing.T) {
	m := &bucket{content: 20000}
	g := grant{meter: m, overhead: 1.5}
	sent := 0
	for range 100 {
		n := g.payload(bufferSize)
		g.use(n)
		sent += n
	}
	if over := float64(sent) * 1.5; over > 20000 || over < 20000-2*smallest {
		t.Errorf("sent %.0f of 20000 bytes allowed", over)
	}
	m.content = 1 << 30
	if n := g.payload(bufferSize); n != bufferSize {
		t.Errorf("a wide limit allows %d at once, want %d", n, bufferSize)
	}
}

func TestSamplerRows(t *testing.T) {
	m := newSampler(200 * ms)
	at := func(i int) []figures {
		return []figures{{known: true, rtt: 20 * time.Millisecond, minRTT: 10 * time.Millisecond, retransmits: uint64(i), counts: true, sent: uint64(i) * 100, resent: uint64(i), queued: 1}}
	}
	m.begin(0, at(0))
	const ticks = 2000
	for i := 1; i <= ticks; i++ {
		m.tick(int64(i)*100*ms, at(i), false)
	}
	var sum float64
	var length time.Duration
	for _, r := range m.rows {
		sum += r.Values["retransmits"]
		length += r.Length
	}
	change := m.change()
	if len(m.rows) > maxRows || sum != ticks-2 || length != (ticks-2)*100*time.Millisecond {
		t.Errorf("%d rows, %g retransmits in %v", len(m.rows), sum, length)
	}
	if change.retransmits != ticks-2 || change.sent != (ticks-2)*100 || change.limits {
		t.Errorf("change %+v", change)
	}
	if m.rtt.All.Count() != ticks-2 || m.minRTT() != 10*time.Millisecond || m.rtt.Member("mean") != 0.020 {
		t.Errorf("rtt %d samples, mean %g, least %v", m.rtt.All.Count(), m.rtt.Member("mean"), m.minRTT())
	}
}

func TestHoldCountsOnlyWhenIdle(t *testing.T) {
	m := newSampler(0)
	m.begin(0, []figures{{known: true}})
	m.tick(100*ms, []figures{{known: true, queued: 5}}, true)
	if m.idle != 0 {
		t.Errorf("idle %v with data in flight", m.idle)
	}
	m.tick(200*ms, []figures{{known: true}}, true)
	if m.idle != 100*time.Millisecond {
		t.Errorf("idle %v, want 100ms", m.idle)
	}
}

// loop is a control connection to itself.
func loop() (*control, *bytes.Buffer) {
	var b bytes.Buffer
	key := [32]byte{3}
	return &control{stream: &b, sign: port.NewTagger(key), check: port.NewTagger(key)}, &b
}

func TestControlRefusesEveryBit(t *testing.T) {
	c, b := loop()
	c.send(msgReport, report{bytes: 1 << 40, elapsed: 10 * time.Second, busy: 0.5, complete: true}.encode())
	good := bytes.Clone(b.Bytes())
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		c.got = 0
		b.Reset()
		b.Write(bad)
		b.Write(make([]byte, maxMessage)) // so that a longer length finds its bytes
		if m, err := c.receive(); err == nil {
			t.Fatalf("bit %d flipped: message %+v accepted", bit, m)
		}
	}
	c.got = 0
	b.Reset()
	b.Write(good)
	m, err := c.receive()
	if err != nil {
		t.Fatal(err)
	}
	r, err := parseReport(m.body)
	if want := (report{1 << 40, 10 * time.Second, 0.5, true}); err != nil || r != want {
		t.Errorf("got %+v, %v; want %+v", r, err, want)
	}
}

func FuzzControl(f *testing.F) {
	c, b := loop()
	for kind := range uint8(8) {
		b.Reset()
		c.sent = 0
		c.send(kind, []byte("\x09cancelledThe session was stopped."))
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, b := loop()
		b.Write(data)
		for {
			m, err := c.receive()
			if err != nil {
				break
			}
			parseReport(m.body)
			parseBeat(m.body)
			parseAbort(m.body)
		}
		if len(data) > 2 { // what is behind a valid tag may be odd as well
			body := data[2:min(len(data), maxBody)]
			parseReport(body)
			parseBeat(body)
			if f := parseAbort(body); f.Kind == "" || f.Detail == "" {
				t.Errorf("parseAbort(%q) = %v", body, f)
			}
		}
	})
}

// TestHotLoopsAllocateNothing runs the two loops' parts over a real connection.
func TestHotLoopsAllocateNothing(t *testing.T) {
	for _, w := range ways {
		a, b := connected(t)
		pattern := pages(t, 64<<10)
		out, in := w.open(t, a, b, pattern)
		flow := &outflow{sender: &sender{pattern: pattern}, left: -1, pacer: newPacer(1e12), grant: grant{meter: unlimited{}, overhead: 1}}
		account := newSeries(options{duration: time.Hour})
		buffer := make([]byte, 64<<10)
		allocated := testing.AllocsPerRun(100, func() {
			n, _ := flow.next(clock.Mono())
			n, err := out.push(flow.sender.pattern[flow.at:][:min(n, 1000)])
			if err != nil {
				t.Fatal(err)
			}
			flow.sent(n)
			if n, err = in.pull(buffer); err != nil {
				t.Fatal(err)
			}
			account.add(clock.Mono(), n)
		})
		if allocated != 0 {
			t.Errorf("%s: %g allocations per turn", w.name, allocated)
		}
	}
}

func TestSpec(t *testing.T) {
	spec := new(Engine).Spec()
	names := map[string]bool{}
	for _, p := range spec.Params {
		if p.Doc == "" || names[p.Name] {
			t.Errorf("parameter %q: no doc, or twice", p.Name)
		}
		names[p.Name] = true
	}
	if n := len(spec.Metrics(netp.Params{"direction": "both"})); n != 2*len(spec.Metrics(netp.Params{})) {
		t.Errorf("%d metrics with both directions", n)
	}
	for name, c := range map[string]struct {
		params netp.Params
		want   netp.Demand
	}{
		"default": {netp.Params{}, netp.Demand{Duration: 10 * time.Second, Patience: 10 * time.Second, Intervals: 100, Forward: netp.Load{Exclusive: true}}},
		"reverse paced": {netp.Params{"direction": "reverse", "rate": 14480.0 * 8, "omit": 1.0, "duration": 1.0},
			netp.Demand{Duration: 2 * time.Second, Patience: 10 * time.Second, Intervals: 10, Reverse: netp.Load{Packets: 20, Bytes: 30000, Rate: 120000}}},
		"bytes": {netp.Params{"bytes": 1448e3}, netp.Demand{Duration: time.Minute, Patience: 10 * time.Second, Forward: netp.Load{Packets: 1000, Bytes: 1.5e6, Exclusive: true}}},
		"bytes paced both": {netp.Params{"bytes": 1448e3, "rate": 1448e3 * 8, "direction": "both"},
			netp.Demand{Duration: time.Second, Patience: 69 * time.Second, Intervals: 10,
				Forward: netp.Load{Packets: 1000, Bytes: 1.5e6, Rate: 12e6}, Reverse: netp.Load{Packets: 1000, Bytes: 1.5e6, Rate: 12e6}}},
	} {
		if got := spec.Demand(c.params); got != c.want {
			t.Errorf("%s: demand %+v, want %+v", name, got, c.want)
		}
	}
	for _, p := range []netp.Params{{"ip": 5.0}, {"bytes": 10.0, "omit": 1.0}, {"bytes": 1.0, "streams": 2.0}} {
		if len(spec.Check(p)) == 0 {
			t.Errorf("%v passes the check", p)
		}
	}
}

// TestLeastRTT: the kernel forgets a round-trip time after 300 s; the path was as short all the same.
func TestLeastRTT(t *testing.T) {
	m := newSampler(0)
	reading := func(least time.Duration) []figures {
		return []figures{{known: true, rtt: 110 * time.Millisecond, minRTT: least, queued: 1}}
	}
	m.begin(0, reading(10*time.Millisecond))
	for i := range int64(3) {
		m.tick((i+1)*100*ms, reading(110*time.Millisecond), false)
	}
	if got := m.minRTT(); got != 10*time.Millisecond {
		t.Errorf("%v; want 10 ms", got)
	}
}

// TestLongTransfer: the samples of a transfer of an hour are of 100 ms, so that a short outage shows.
func TestLongTransfer(t *testing.T) {
	s := newSeries(options{bytes: 1, duration: 24 * time.Hour})
	s.begin(5)
	for at := int64(0); at < int64(time.Hour); at += 10 * ms {
		if in := at % int64(time.Minute); in < 30e9 || in >= 30e9+500*ms {
			s.add(5+at, 1000)
		}
	}
	empty := 0
	for _, b := range s.measure(0, true).interval {
		if b == 0 {
			empty++
		}
	}
	if empty < 4*60 || empty > 5*60 {
		t.Errorf("%d samples without a byte; want 4 to 5 for each of 60 outages of half a second", empty)
	}
}

// TestStall: a beat that had to wait is a stall of the host only as far as no data moved meanwhile.
func TestStall(t *testing.T) {
	const late = 250 // ms, of a beat that is due every 100
	for name, c := range map[string]struct {
		moved []int64 // ms, from the beat before
		want  time.Duration
	}{
		"data all the time":   {[]int64{10, 90, 180, 270, 345}, 0},
		"no data":             {nil, late * time.Millisecond},
		"a pause":             {[]int64{20, 220, 300, 340}, 200 * time.Millisecond},
		"a pause at the end":  {[]int64{20, 100, 180}, 170 * time.Millisecond},
		"a pause from before": {[]int64{90, 150, 240, 330}, 110 * time.Millisecond},
	} {
		s := &session{in: &receiver{}, out: &sender{}, started: 1, ticked: 1000 * ms}
		s.in.motion.moved(980*ms, 1)
		for at := range int64(late+100) / 10 {
			s.out.motion.moved((1000+10*at)*ms, 1) // the other direction does not count
		}
		s.pause(1000 * ms)
		for _, at := range c.moved {
			s.in.motion.moved((1000+at)*ms, 1)
		}
		now := s.ticked + (late+100)*ms
		s.load.tick(time.Duration(now-s.ticked)-interval, s.pause(now))
		if s.load.stalled != c.want {
			t.Errorf("%s: the host stood still for %v, want %v", name, s.load.stalled, c.want)
		}
	}
}

// TestSaturation separates a busy host that held the connections back from one that did not.
// TestChecksTouchTheTransferTime: a host that stood still made the transfer longer, as it made the goodput less.
func TestChecksTouchTheTransferTime(t *testing.T) {
	s := &session{o: options{direction: netp.Both}, in: &receiver{direction: netp.Forward}, out: &sender{direction: netp.Reverse}, started: 1, ticked: 1000 * ms}
	s.load.stalled = 500 * time.Millisecond
	stall := s.hostHealth()[0]
	for _, name := range []string{"forward.throughput", "forward.transfer_time_ratio", "reverse.throughput", "reverse.transfer_time_ratio"} {
		if stall.OK || !slices.Contains(stall.Metrics, name) {
			t.Errorf("%s is sound after a stall: %+v", name, stall)
		}
	}
}

func TestSaturation(t *testing.T) {
	for name, c := range map[string]struct {
		busy   float64 // of the host
		active time.Duration
		rwnd   time.Duration
		ok     bool
	}{
		"idle host":          {0.5, time.Second, 0, true},
		"busy, path full":    {1, time.Second, 0, true},
		"busy, sender late":  {1, 800 * time.Millisecond, 0, false},
		"busy, reader late":  {1, time.Second, 300 * time.Millisecond, false},
		"idle, small window": {0.2, time.Second, 300 * time.Millisecond, true},
	} {
		s := &session{out: &sender{streams: make([]*outflow, 1)}, load: load{use: host.Use{HostKnown: true, Busy: c.busy}}}
		var got netp.Check
		s.saturation(func(c netp.Check, ok bool, format string, args ...any) { got = verdict(c, ok, format, args...) },
			figures{limits: true, busy: c.active, rwnd: c.rwnd}, &report{}, time.Second)
		if got.OK != c.ok {
			t.Errorf("%s: ok %v, want %v", name, got.OK, c.ok)
		}
		if harmless := got.OK && got.Value > got.Limit; strings.HasPrefix(got.Reason, "No harm: ") != harmless || got.OK && !harmless && got.Reason != "" {
			t.Errorf("%s: of %g beside %g, ok %v, it says %q", name, got.Value, got.Limit, got.OK, got.Reason)
		}
	}
}

func TestMessageLayout(t *testing.T) {
	c, b := loop()
	c.send(msgBeat, beat{received: 258, elapsed: 3}.appendTo(nil))
	m := b.Bytes()
	if len(m) != 40 || binary.BigEndian.Uint16(m) != 40 || m[2] != 1 || m[3] != 3 || binary.BigEndian.Uint64(m[8:]) != 258 || binary.BigEndian.Uint64(m[16:]) != 3 {
		t.Errorf("beat is % x", m)
	}
}
