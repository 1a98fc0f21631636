package udp

import (
	"math"
	"math/bits"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netpupper/netp/agent/clock"
)

// TestBeside: a reader that is behind goes to the processor that its packets come from, follows it to another one, waits for its turns there,
// and may run anywhere as before once it has caught up, or when that takes too long.
func TestBeside(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	fd, send := connected(t)
	r := &rawSocket{fd: fd, facts: socketFacts{joins: true, kernelStamps: true}}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0); err != nil {
		t.Fatal(err) // whatever the test was started with
	}
	defer r.follow()()
	check := func(when string, count int, policy uint32) {
		t.Helper()
		var now unix.CPUSet
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil || unix.SchedGetaffinity(0, &now) != nil {
			t.Fatal(err)
		}
		if now.Count() != count || attr.Policy != policy {
			t.Errorf("%s: %d processors allowed, policy %d; want %d, %d", when, now.Count(), attr.Policy, count, policy)
		}
	}
	for cpu := range len(allowed) * bits.UintSize {
		if !allowed.IsSet(cpu) {
			continue
		}
		send(cpu)
		r.beside.look(clock.Mono(), behind/2)
		check("not behind", allowed.Count(), unix.SCHED_NORMAL)
		for _, next := range []int{cpu, firstOf(&allowed), cpu} {
			send(next)
			r.beside.look(clock.Mono(), 2*behind)
			r.beside.until = math.MaxInt64 // the test may be stopped
			check("behind", 1, unix.SCHED_BATCH)
			var now unix.CPUSet
			if unix.SchedGetaffinity(0, &now); !now.IsSet(next) {
				t.Errorf("behind packets from processor %d it is kept on another one", next)
			}
		}
		r.beside.look(clock.Mono(), caughtUp/2)
		check("caught up", allowed.Count(), unix.SCHED_NORMAL)
	}
	r.beside.until = 0
	r.beside.look(clock.Mono(), 2*behind)
	r.beside.until = 1 // long ago
	r.beside.look(clock.Mono(), 2*behind)
	check("in vain", allowed.Count(), unix.SCHED_NORMAL)
	if away := r.beside.until - clock.Mono(); away > besideOff {
		t.Errorf("it stays away for %d ns", away)
	}
	r.beside.until = math.MaxInt64
	r.beside.look(clock.Mono(), 2*behind)
	check("soon after", allowed.Count(), unix.SCHED_NORMAL)
}

func firstOf(set *unix.CPUSet) (cpu int) {
	for !set.IsSet(cpu) {
		cpu++
	}
	return cpu
}

// connected is a UDP socket, and what sends to it over loopback from a processor.
func connected(t *testing.T) (fd int, send func(cpu int)) {
	t.Helper()
	var ends [2]int
	for i := range ends {
		var err error
		if ends[i], err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(ends[i]) })
		if err := unix.Bind(ends[i], &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range ends {
		peer, err := unix.Getsockname(ends[1-i])
		if err == nil {
			err = unix.Connect(ends[i], peer)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return ends[0], func(cpu int) {
		done := make(chan error)
		go func() {
			runtime.LockOSThread() // and never again: the thread ends
			var one unix.CPUSet
			one.Set(cpu)
			err := unix.SchedSetaffinity(0, &one)
			if err == nil {
				_, err = unix.Write(ends[1], []byte("packet"))
			}
			done <- err
		}()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// TestTurns: turns that take long, one soon after the other, are given no more for a time.
func TestTurns(t *testing.T) {
	x := turns{off: math.MinInt64} // clock.Mono begins with the process
	for i := range 2 * turnsEvery {
		if x.off > 0 {
			t.Fatalf("none are given after %d calls", i)
		}
		if x.long > 0 {
			x.long = clock.Mono() // the test may be stopped
		}
		x.give(clock.Mono() - 2*turnLimit)
	}
	if x.off < 0 {
		t.Fatal("turns go on although they take long")
	}
	x.calls = 0
	x.give(x.off - 1)
	if x.calls != 0 {
		t.Error("a turn is given too early")
	}
	x.give(x.off)
	if x.calls != 1 {
		t.Error("no turn is given later")
	}
	(*turns)(nil).give(0) // a reader on another host has none
}
