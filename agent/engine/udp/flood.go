package udp

import (
	"errors"
	"runtime"
	"syscall"
	"time"

	"github.com/netpupper/netp/agent/clock"
	"github.com/netpupper/netp/agent/engine/internal/beside"
)

const (
	// Limits of a super-packet: bytes that fit an IP packet of either version, and segments the kernel takes.
	superBytes    = 65000
	superSegments = 128
	// atOneCall is how many packets of a flood leave with one call where they cannot be segments of one.
	atOneCall = 8
	// turnsEvery is after how many calls a flood gives a turn: what those write stays in a processor's caches.
	turnsEvery = 12
	// stampLife is for how long super-packets leave with one stamp: some calls.
	stampLife = int64(10 * time.Microsecond)
)

// flood sends as fast as it goes, on a thread of its own.
func (x *sender) flood() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pieces, packets := x.super(), x.several()
	for {
		now := clock.Mono()
		alive, hold := x.alive(now)
		switch {
		case !alive:
			return
		case hold:
			time.Sleep(retry)
			continue
		case x.complete(now):
			x.state.Store(stateFinished)
			return
		}
		now = x.turns.give(now)
		var err error
		if len(pieces) > 0 && x.segments > 1 {
			err = x.burst(now, pieces)
		} else {
			err = x.together(now, packets)
		}
		if errors.Is(err, errBusy) {
			time.Sleep(50 * time.Microsecond)
		} else if err != nil {
			return
		}
	}
}

// several prepares buffers for packets that leave with one call.
func (x *sender) several() [][]byte {
	packets := make([][]byte, atOneCall)
	for i := range packets {
		packets[i] = noise(x.set.largest(), uint64(x.stream)+uint64(i)<<16)
	}
	return packets
}

// together sends some packets with one call, and one stamp for that.
func (x *sender) together(now int64, packets [][]byte) error {
	purpose, sequence := x.turn(now)
	packets = packets[:min(uint64(len(packets)), x.most-x.sent.Load())]
	stamp, bytes := x.clock.Nanos(), 0
	for i := range packets {
		packets[i] = packets[i][:x.size(sequence+uint64(i))]
		x.marker.write(packets[i], purpose, sequence+uint64(i), stamp)
		bytes += len(packets[i]) + x.headers
	}
	if err := x.allowed(bytes); err != nil {
		return err
	}
	n, err := x.sock.sendAll(packets)
	if errors.Is(err, syscall.ECONNREFUSED) {
		n, err = x.sock.sendAll(packets)
	}
	x.advance(purpose, n)
	return x.emitted(err)
}

func (x *sender) advance(purpose uint8, n int) {
	if purpose == purposeWarmup {
		x.warmups += uint64(n)
	} else {
		x.sent.Add(uint64(n))
	}
}

// super prepares a buffer of packets of equal size that leave with one call; none when sizes are mixed.
func (x *sender) super() []byte {
	if len(x.set.sizes) != 1 {
		return nil
	}
	x.segments = min(superBytes/x.set.sizes[0], superSegments)
	return noise(x.segments*x.set.sizes[0], uint64(x.stream))
}

// burst sends a super-packet: one stamp for all, because they leave in one call, and for those of the calls right after. Where the system
// cannot, it tries fewer, then leaves it.
func (x *sender) burst(now int64, pieces []byte) error {
	purpose, sequence := x.turn(now)
	n := int(min(uint64(x.segments), x.most-x.sent.Load()))
	size := x.set.sizes[0]
	if err := x.allowed(n * (size + x.headers)); err != nil {
		return err
	}
	if now-x.stamped > stampLife {
		x.stamp, x.stamped = x.clock.Nanos(), now
	}
	x.marker.writeRun(pieces, size, n, purpose, sequence, x.stamp)
	able, err := x.sock.sendSegments(pieces[:n*size], size)
	switch {
	case !able:
		x.segments /= 2
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	case errors.Is(err, errBusy):
		x.stats.busy++
		return err
	case err != nil:
		x.segments = 0 // a single packet will meet the same error and name it
		return nil
	}
	x.stats.segmented = true
	x.advance(purpose, n)
	return nil
}

// turns are those of the reader of a flood on the same host. To give one that nobody waits for costs a tenth of a call.
type turns struct {
	beside.Turns
	calls int
}

// give gives a turn when it is time, and the time afterwards.
func (t *turns) give(now int64) (after int64) {
	if t == nil {
		return now
	}
	if t.calls++; t.calls < turnsEvery {
		return now
	}
	t.calls = 0
	after, _ = t.Give(now)
	return after
}
