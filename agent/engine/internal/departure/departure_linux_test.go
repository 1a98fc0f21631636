package departure

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDepartures: each packet has one departure, under its own id, between the moments around its call; also after a count that began
// anew, and when stamping has ended.
func TestDepartures(t *testing.T) {
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: to.LocalAddr().(*net.UDPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	q := New(fd, 0)
	if err := q.Begin(); err != nil {
		t.Skipf("no stamps of departures here: %v", err)
	}
	before, after, seen := map[uint64]int64{}, map[uint64]int64{}, map[uint64]int{}
	send := func(id uint64) {
		before[id] = time.Now().UnixNano()
		q.Sending(id)
		if _, err := unix.Write(fd, []byte("packet")); err != nil {
			t.Fatal(err)
		}
		after[id] = time.Now().UnixNano()
	}
	take := func(id uint64, kernel int64) {
		if seen[id]++; kernel < before[id] || kernel > after[id] {
			t.Errorf("packet %d left %v after its call began, which took %v", id, time.Duration(kernel-before[id]), time.Duration(after[id]-before[id]))
		}
	}
	const packets = 3 * batch
	for id := range uint64(packets) {
		send(1000 + id)
	}
	q.Take(take)
	if err := q.Begin(); err != nil {
		t.Fatal(err)
	}
	send(None)
	send(5)
	if err := q.End(); err != nil {
		t.Fatal(err)
	}
	send(6)
	q.Take(take)
	if len(seen) != packets+1 || seen[5] != 1 || seen[None] != 0 || seen[6] != 0 {
		t.Errorf("departures of %d packets: %v", len(seen), seen)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("packet %d left %d times", id, n)
		}
	}
}
