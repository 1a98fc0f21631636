package udp

import (
	"context"
	"testing"
	"time"

	"github.com/netpupper/netp"
	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine"
	"github.com/netpupper/netp/agent/engine/internal/departure"
	"github.com/netpupper/netp/agent/port"
)

// hotPair is a sender and a receiver on a flow over loopback, without the goroutines around them.
func hotPair(t testing.TB, p netp.Params) (*sender, *receiver) {
	t.Helper()
	data, err := port.Listen(port.Config{Where: port.Where{Address: loopback}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { data.Close() })
	keys := port.DeriveKeys(make([]byte, 32), 7)
	accept, err := data.Expect(port.Expectation{ID: 7, Keys: keys, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(accept.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	from, err := port.Dialer{}.DialUDP(ctx, data.Addr(), 7, keys, port.Options{Role: wayForward})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	to, err := accept.AcceptUDP(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	s := newSettings(p)
	job := engine.Job{Clock: new(clock.Clock), SameClock: true}
	e := New()
	out, err := e.openSocket(from, s, job.Clock, false)
	if err != nil {
		t.Fatal(err)
	}
	in, err := e.openSocket(to, s, job.Clock, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.close)
	t.Cleanup(in.close)
	at := place{0, wayForward}
	x, r := newSender(at, s, from, out, job), newReceiver(at, to, in, newCollector(s, true), job)
	r.state = stateReceiving
	if err := x.schedule(context.Background(), clock.Mono(), 1); err != nil {
		t.Fatal(err)
	}
	x.state.Store(stateSending)
	for !r.user && !stamped(t, x, r) {
	}
	return x, r
}

// stamped says whether the kernel stamps what arrives: it begins with that some time after the first socket has asked for it.
func stamped(t testing.TB, x *sender, r *receiver) bool {
	if err := x.sock.send(make([]byte, 1), departure.None); err != nil {
		t.Fatal(err)
	}
	sent := x.clock.Nanos()
	batch, err := r.sock.read(clock.Mono() + int64(time.Second))
	if err != nil || len(batch) == 0 {
		t.Fatal("nothing arrived: ", err)
	}
	return batch[0].stamp < sent
}

func (r *receiver) readOnce(t testing.TB) {
	batch, err := r.sock.read(clock.Mono() + int64(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	r.take(batch)
}

func TestHotLoopsAllocateNothing(t *testing.T) {
	for name, traced := range map[string]bool{"traced": true, "not traced": false} {
		t.Run(name, func(t *testing.T) {
			x, r := hotPair(t, netp.Params{"rate": "1000pps", "duration": 10_000.0})
			if traced && !x.trace() {
				t.Skip("no stamps of departures here")
			}
			n := testing.AllocsPerRun(3000, func() {
				if err := x.one(x.pacer.Due()); err != nil {
					t.Fatal(err)
				}
				if traced && x.tracer.pending() >= tellAfter {
					x.look()
				}
				r.readOnce(t)
			})
			// The first samples of a distribution open its batches; later ones allocate only when a value of a new magnitude comes.
			if n > 0.5 {
				t.Errorf("%v allocations per packet", n)
			}
			if r.collector.received < 3000-mostDepartures {
				t.Errorf("received %d of 3000", r.collector.received)
			}
		})
	}
}

func BenchmarkPacket(b *testing.B) {
	x, r := hotPair(b, netp.Params{"rate": "1000pps", "duration": 10_000.0})
	b.ReportAllocs()
	for range b.N {
		if err := x.one(x.pacer.Due()); err != nil {
			b.Fatal(err)
		}
		r.readOnce(b)
	}
}
