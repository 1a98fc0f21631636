package beside

import (
	"math/bits"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBeside: a reader goes to the processor that its packets come from, follows it to another one and waits for its turns there; it stays
// where more comes through, and goes again when it is behind, but not soon after that was in vain.
func TestBeside(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	fd, send := connected(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0); err != nil {
		t.Fatal(err) // whatever the test was started with
	}
	r := New(fd)
	defer r.Leave()
	cpu := firstOf(&allowed)
	check := func(when string, beside bool) {
		t.Helper()
		var now unix.CPUSet
		attr, err := unix.SchedGetAttr(0, 0)
		if err != nil || unix.SchedGetaffinity(0, &now) != nil {
			t.Fatal(err)
		}
		want, policy := allowed, uint32(unix.SCHED_NORMAL)
		if beside {
			want, policy = unix.CPUSet{}, unix.SCHED_BATCH
			want.Set(cpu)
		}
		if now != want || attr.Policy != policy {
			t.Fatalf("%s: processors %v, policy %d; want %v, %d", when, now[0], attr.Policy, want[0], policy)
		}
	}
	now := int64(time.Hour)
	// look reads for a time at a rate [2 MB/s], in steps of a millisecond.
	look := func(span int64, rate int, waited time.Duration) {
		for ; span > 0; span -= int64(time.Millisecond) {
			now += int64(time.Millisecond)
			r.Look(now, rate*2000, waited)
		}
	}
	const little, much = behind / 2, 2 * behind
	// trials reads at a rate until so many are over.
	trials := func(n, rate int) {
		for ; n > 0; n-- {
			for begun := r.since; r.since == begun; {
				look(1, rate, little)
			}
		}
	}
	send(cpu)
	trials(5, 400)
	check("where everything has room", false)
	for _, rate := range []int{600, 900} {
		trials(1, rate)
		check("as long as it comes ever faster", false)
	}
	trials(1, 1000)
	check("on trial", true)
	trials(1, 900)
	check("where less came through once", true)
	trials(1, 900)
	check("where less came through", false)
	trials(10, 1000)
	check("as long as more comes through", false)
	trials(int(again/trial), 1000)
	check("after a time", true)
	trials(2, 800)
	check("where less comes through again", false)
	trials(1, 830)
	check("soon after", false)
	trials(int(off/trial), 830)
	check("when no more comes through apart", true)
	trials(10, 800)
	check("where no less comes through", true)
	for other := range len(allowed) * bits.UintSize {
		if allowed.IsSet(other) {
			cpu = other
			send(cpu)
			look(2*follow, 820, little)
			check("behind a sender that moved", true)
		}
	}
	for r.there && now < 2*int64(time.Hour) {
		trials(1, 820)
	}
	check("while what comes through apart is counted", false)
	trials(1, 820)
	check("when it is no more", true)
	trials(2, 600)
	check("where less comes through", false)
	look(off/2, 1000, much)
	check("soon after", false)
	now = r.until
	look(1, 1000, much)
	check("behind", true)
	look(2*limit, 2000, much)
	check("in vain", false)
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
